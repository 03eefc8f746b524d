/* Dense rows for the DSP extension: SMLAD adds two products. SXTB16 widens the bytes 0 and 2 of a
 * word of weights for it, or 1 and 3 of the word rotated. */
#ifndef FASTGRNN_MATRIX_DSP_H_
#define FASTGRNN_MATRIX_DSP_H_

#include "vectors_dsp.h"

enum { BLOCK = 64 };

/* clang-format off */

/* A loop of `code` from `pointer` to `end`, four turns in one; at first it goes to where 4 - rest
 * of them are left out. In assembler, as GCC does not find a register for everything that is in
 * it. */
#define FOUR_TIMES(code, rest, pointer, end)                              \
  "tbb [pc, " rest "]\n"                                                  \
  "0: .byte (1f - 0b) / 2, (4f - 0b) / 2, (3f - 0b) / 2, (2f - 0b) / 2\n" \
  "1: " code "2: " code "3: " code "4: " code                             \
  "cmp " pointer ", " end "\n"                                            \
  "bne 1b"

/* A group of a row: its word of weights by `load`, and its sum. */
#define MULTIPLY_ROW(load, sum)               \
  load "\n"                                   \
  "sxtb16 %[even], %[odd]\n"                  \
  "sxtb16 %[odd], %[odd], ror #8\n"           \
  "smlad " sum ", %[even], %[x02], " sum "\n" \
  "smlad " sum ", %[odd], %[x13], " sum "\n"

#define MULTIPLY_FOUR_ROWS                                    \
  "ldrd %[x02], %[x13], [%[x]], #8\n"                         \
  MULTIPLY_ROW("ldr.w %[odd], [%[w], %[stride]]", "%[sum1]")  \
  MULTIPLY_ROW("ldr.w %[odd], [%[w]], #4", "%[sum0]")         \
  MULTIPLY_ROW("ldr.w %[odd], [%[w2], %[stride]]", "%[sum3]") \
  MULTIPLY_ROW("ldr.w %[odd], [%[w2]], #4", "%[sum2]")

#define MULTIPLY_PAIR                      \
  "ldrb.w %[x], [%[pair]], #1\n"           \
  "ldrsb.w %[weight], [%[pair]], #1\n"     \
  "ldrsh.w %[x], [%[in], %[x], lsl #1]\n"  \
  "mla %[sum], %[weight], %[x], %[sum]\n"

/* clang-format on */

/* p[i] = the sum of the next row, shifted, plus what p[i] was if add; for n rows. */
static inline void dense_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                              int add, int32_t* p) {
  const unsigned stride = m->cols, shift = m->shift;
  const int16_t *const groups_end = in + stride / 4 * 4, *const end = in + stride;
  const int32_t half = (INT32_C(1) << shift) >> 1;
  int32_t* const p_end = p + n;
  int32_t* const fours_end = stride < 4 ? p : p + n / 4 * 4;
  const int8_t* w = c->values;
  if (p != fours_end) {
    do {
      const int8_t* w2;
      const int16_t* x = in;
      int32_t sum0 = half, sum1 = half, sum2 = half, sum3 = half, x02, x13, even, odd;
      __asm__(
          "add %[w2], %[w], %[stride], lsl #1\n"
          "ubfx %[odd], %[stride], #2, #2\n" FOUR_TIMES(MULTIPLY_FOUR_ROWS, "%[odd]", "%[x]",
                                                        "%[groups_end]")
          : [w] "+r"(w), [w2] "=&r"(w2), [x] "+r"(x), [sum0] "+r"(sum0), [sum1] "+r"(sum1),
            [sum2] "+r"(sum2), [sum3] "+r"(sum3), [x02] "=&r"(x02), [x13] "=&r"(x13),
            [even] "=&r"(even), [odd] "=&r"(odd)
          : [stride] "r"(stride), [groups_end] "r"(groups_end)
          : "cc", "memory");
      for (; x != end; ++x, ++w, ++w2) {
        sum0 += w[0] * *x;
        sum1 += w[stride] * *x;
        sum2 += w2[0] * *x;
        sum3 += w2[stride] * *x;
      }
      w = w2 + stride;
      sum0 >>= shift;
      sum1 >>= shift;
      sum2 >>= shift;
      sum3 >>= shift;
      if (add) {
        sum0 += p[0];
        sum1 += p[1];
        sum2 += p[2];
        sum3 += p[3];
      }
      p[0] = sum0;
      p[1] = sum1;
      p[2] = sum2;
      p[3] = sum3;
      p += 4;
    } while (p != fours_end);
  }
  for (; p != p_end; ++p) {
    const int16_t* x = in;
    int32_t sum = half;
    for (; x != groups_end; x += 4, w += 4) {
      const unaligned_word weights = *(const unaligned_word*)w;
      int32_t odd;
      __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(weights));
      sum = __smlad(__sxtb16((int32_t)weights), (int32_t)((const group*)x)->even, sum);
      sum = __smlad(odd, (int32_t)((const group*)x)->odd, sum);
    }
    while (x != end) sum += *w++ * *x++;
    *p = (add ? *p : 0) + (sum >> shift);
  }
  c->values = w;
}

static inline void pairs_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                              int add, int32_t* p) {
  const unsigned shift = m->shift;
  const int32_t half = (INT32_C(1) << shift) >> 1;
  const uint8_t* count = c->index;
  const int8_t* pair = c->values;
  int32_t* const p_end = p + n;
  for (; p != p_end; ++p, ++count) {
    const int8_t* const end = pair + 2u * *count;
    int32_t sum = half, x, weight;
    if (pair != end) {
      __asm__(FOUR_TIMES(MULTIPLY_PAIR, "%[rest]", "%[pair]", "%[end]")
              : [pair] "+r"(pair), [sum] "+r"(sum), [x] "=&r"(x), [weight] "=&r"(weight)
              : [rest] "r"(*count % 4), [in] "r"(in), [end] "r"(end)
              : "cc", "memory");
    }
    sum >>= shift;
    if (add) sum += *p;
    *p = sum;
  }
  c->index = count;
  c->values = pair;
}

static void rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                 int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(m, c, in, n, add, p);
  } else if (m->encoding == FASTGRNN_PAIRS) {
    pairs_rows(m, c, in, n, add, p);
  } else {
    for (; n != 0; --n, ++p) *p = (add ? *p : 0) + round_shift(bitmap_row(m, c, in), m->shift);
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

#endif /* FASTGRNN_MATRIX_DSP_H_ */
