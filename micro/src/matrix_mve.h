/* Dense rows for Helium (MVE: Cortex-M55, M85): eight columns of four rows at once. */
#ifndef FASTGRNN_MATRIX_MVE_H_
#define FASTGRNN_MATRIX_MVE_H_

#include <arm_mve.h>

#include "arithmetic.h"

enum { BLOCK = 64 }; /* whole vectors of rows are written */

/* A row: eight weights, widened, times q0. */
#define MULTIPLY_ROW(w, sum) "vldrb.s16 q1, [" w "], #8\nvmlava.s16 " sum ", q0, q1\n"

/* p[i] = the sum of the next row, shifted, plus what p[i] was if add; for n rows. */
static inline void dense_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                              int add, int32_t* p) {
  const unsigned cols = m->cols;
  const int32_t right = -(int32_t)m->shift;
  const int8_t* w = c->values;
  int32_t* const end = p + n;
  for (; p < end; p += 4) {
    const int8_t *w0 = w, *w1 = w0 + cols, *w2 = w1 + cols, *w3 = w2 + cols;
    const int16_t* x = in;
    int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    w = w3 + cols;
    if (end - p < 4) { /* the rows past the end are the first one again */
      w = w0 + (unsigned)(end - p) * cols;
      if (end - p < 3) w2 = w0;
      if (end - p < 2) w1 = w0;
      w3 = w0;
    }
    /* The last turn leaves out the lanes that are too many, and reads no more than the rest. */
    __asm__(
        "dlstp.16 lr, %[cols]\n"
        "1: vldrh.16 q0, [%[x]], #16\n"
        /* clang-format off */
        MULTIPLY_ROW("%[w0]", "%[sum0]")
        MULTIPLY_ROW("%[w1]", "%[sum1]")
        MULTIPLY_ROW("%[w2]", "%[sum2]")
        MULTIPLY_ROW("%[w3]", "%[sum3]")
        /* clang-format on */
        "letp lr, 1b"
        : [x] "+r"(x), [w0] "+l"(w0), [w1] "+l"(w1), [w2] "+l"(w2), [w3] "+l"(w3),
          [sum0] "+Te"(sum0), [sum1] "+Te"(sum1), [sum2] "+Te"(sum2), [sum3] "+Te"(sum3)
        : [cols] "r"(cols)
        : "lr", "q0", "q1", "memory");
    {
      const int32x4_t sums = {sum0, sum1, sum2, sum3};
      const int32x4_t shifted = vrshlq_n_s32(sums, right);
      vstrwq_s32(p, add ? vaddq_s32(shifted, vldrwq_s32(p)) : shifted);
    }
  }
  c->values = w;
}

static void rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                 int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(m, c, in, n, add, p);
    return;
  }
  for (; n != 0; --n, ++p) {
    const int32_t sum = m->encoding == FASTGRNN_BITMAP ? bitmap_row(m, c, in) : pairs_row(c, in);
    *p = (add ? *p : 0) + round_shift(sum, m->shift);
  }
}

static inline void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  rows(m, c, in, n, 0, p);
}

static inline void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  rows(m, c, in, n, 1, p);
}

#endif /* FASTGRNN_MATRIX_MVE_H_ */
