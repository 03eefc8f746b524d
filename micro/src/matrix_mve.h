/* Dense rows for Helium (MVE: Cortex-M55, M85): eight columns of four rows at once. */
#ifndef FASTGRNN_MATRIX_MVE_H_
#define FASTGRNN_MATRIX_MVE_H_

#include <arm_mve.h>

#include "portable.h"

enum { BLOCK = 128 }; /* fast_update() reads whole vectors of eight sums */

/* Of a row, eight weights, widened, times q0. */
#define MULTIPLY_ROW(w, sum) "vldrb.s16 q1, [" w "], #8\nvmlava.s16 " sum ", q0, q1\n"

/* p[i] = the sum of the next row, shifted, plus what p[i] was if add; for n rows. The last turn of
 * a loop of columns leaves out the lanes that are too many, and reads no more than the rest. */
static inline void dense_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                              int add, int32_t* p) {
  const unsigned cols = m->cols, shift = m->shift;
  const int32x4_t right = vdupq_n_s32(-(int32_t)shift);
  /* What four rows begin with: x, how far the next four are from where w0 ends, and two sums. */
  const int32x4_t start = {(int32_t)in, (int32_t)(4 * cols - (cols + 7) / 8 * 8), 0, 0};
  const int8_t* w0 = c->values;
  const int16_t* x = in;
  int32_t *const end = p + n, *const fours_end = p + n / 4 * 4;
  c->values += n * cols;
  if (p != fours_end) {
    do {
      const int8_t *w1, *w2, *w3;
      int32_t sum0, sum1, sum2, sum3;
      int32x4_t sums;
      __asm__(
          "add %[w1], %[w0], %[cols]\n"
          "add %[w2], %[w1], %[cols]\n"
          "add %[w3], %[w2], %[cols]\n"
          "vmov %[sum0], %[sum1], %f[start]\n"
          "vmov %[sum2], %[sum3], %f[start]\n"
          "dlstp.16 lr, %[cols]\n"
          "1: vldrh.16 q0, [%[x]], #16\n"
          /* clang-format off */
        MULTIPLY_ROW("%[w0]", "%[sum0]")
        MULTIPLY_ROW("%[w1]", "%[sum1]")
        MULTIPLY_ROW("%[w2]", "%[sum2]")
        MULTIPLY_ROW("%[w3]", "%[sum3]")
          /* clang-format on */
          "letp lr, 1b\n"
          "vmov %e[sums], %[sum0], %[sum1]\n"
          "vmov %f[sums], %[sum2], %[sum3]\n"
          "vmov %[x], %[sum0], %e[start]\n"
          "add %[w0], %[w0], %[sum0]"
          : [x] "+r"(x), [w0] "+l"(w0), [w1] "=&l"(w1), [w2] "=&l"(w2), [w3] "=&l"(w3),
            [sum0] "=&Te"(sum0), [sum1] "=&Te"(sum1), [sum2] "=&Te"(sum2), [sum3] "=&Te"(sum3),
            [sums] "=&w"(sums)
          : [cols] "r"(cols), [start] "w"(start)
          : "lr", "q0", "q1", "memory");
      sums = vrshlq_s32(sums, right);
      if (add) sums = vaddq_s32(sums, vldrwq_s32(p));
      vstrwq_s32(p, sums);
      p += 4;
    } while (p != fours_end);
  }
  for (; p != end; ++p, w0 += cols) {
    const int8_t* w = w0;
    int32_t sum = 0;
    x = in;
    __asm__(
        "dlstp.16 lr, %[cols]\n"
        "1: vldrh.16 q0, [%[x]], #16\n" MULTIPLY_ROW("%[w]", "%[sum]") "letp lr, 1b"
        : [x] "+r"(x), [w] "+l"(w), [sum] "+Te"(sum)
        : [cols] "r"(cols)
        : "lr", "q0", "q1", "memory");
    *p = (add ? *p : 0) + round_shift(sum, shift);
  }
}

/* Functions of their own, so that GCC finds enough registers for dense_rows(). */
#define APART __attribute__((noinline)) static

APART void sparse_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                       int32_t* p) {
  for (; n != 0; --n, ++p) {
    const int32_t sum = m->encoding == FASTGRNN_BITMAP ? bitmap_row(m, c, in) : pairs_row(c, in);
    *p = (add ? *p : 0) + round_shift(sum, m->shift);
  }
}

APART void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                    int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(m, c, in, n, 0, p);
  } else {
    sparse_rows(m, c, in, n, 0, p);
  }
}

APART void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                    int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(m, c, in, n, 1, p);
  } else {
    sparse_rows(m, c, in, n, 1, p);
  }
}

#endif /* FASTGRNN_MATRIX_MVE_H_ */
