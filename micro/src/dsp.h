/* The DSP extension of Arm's M profile (Cortex-M4, M7, M33).
 *
 * SMLAD adds two products of 16 bits; SXTB16 widens the bytes 0 and 2 of a word of weights for it,
 * or 1 and 3 of the word rotated. So a vector begins at a whole word, and a dense matrix reads each
 * whole group of four columns in the order 0, 2, 1, 3. */
#ifndef FASTGRNN_DSP_H_
#define FASTGRNN_DSP_H_

#include <arm_acle.h>

#include "sigmoid_lines.h"

#define saturate16 saturate16
#define sigmoid sigmoid
#define set_rows set_rows
#define add_rows add_rows
#define arrange arrange
#define scale_int8 scale_int8
#define scale_int16 scale_int16
#define fast_update fast_update
#define BLOCK 64
#define ALIGNMENT 2

/* ---- Arithmetic ---- */

/* __ssat() without its warning of a conversion. */
#define SATURATE(v, bits) ((int32_t)__builtin_arm_ssat((v), (bits)))

static inline int16_t saturate16(int32_t v) { return (int16_t)SATURATE(v, 16); }

/* sigmoid(x / 2^bits intervals of the table) - 0.5, with x an int16 and bits 8 or 9. Half a unit is
 * rounded up, but down where x < 0: there sigmoid(x) is 1 - sigmoid(-x). */
static inline int32_t half_sigmoid(const uint32_t* lines, int32_t x, unsigned bits) {
  const int32_t line = (int32_t)lines[x >> bits], down = x >> 31;
  /* The lower half of x is the factor for the line's rise; the upper one becomes 2^(bits - 1), for
   * its value. */
  if (bits == 9) {
    __asm__("movt %0, #256" : "+r"(x));
  } else {
    __asm__("movt %0, #128" : "+r"(x));
  }
  return __smlad(line, x, down) >> bits;
}

static inline int32_t sigmoid(int32_t p, unsigned n) {
  const int32_t x = SATURATE(SATURATE(p, 16) * (INT32_C(1) << n), 16);
  return half_sigmoid(fastgrnn_sigmoid_lines + 64, x, 9) + 16384;
}

/* ---- Vectors and rows ---- */

/* A group of columns, which LDRD can read. */
typedef struct {
  uint32_t even, odd; /* columns 0 and 2, 1 and 3 */
} __attribute__((aligned(4), may_alias)) group;

/* Whether a matrix reads whole groups of columns in the order 0, 2, 1, 3. */
static inline int in_groups(const fastgrnn_matrix* m) {
  return m->encoding == FASTGRNN_DENSE || m->encoding == FASTGRNN_BLOCKS;
}

#define APART __attribute__((noinline)) static

/* In assembler, as GCC would add to the pointer apart. */
static inline int16_t* write_group(int16_t* to, uint32_t even, uint32_t odd) {
  __asm__ volatile("strd %1, %2, [%0], #8" : "+r"(to) : "r"(even), "r"(odd) : "memory");
  return to;
}

/* Exchanges the columns 1 and 2 of each whole group; to may be from. */
static void exchange(const int16_t* from, unsigned cols, int16_t* to) {
  const int16_t *const groups_end = from + cols / 4 * 4, *const end = from + cols;
  for (; from != groups_end; from += 4) {
    const uint32_t x01 = *(const unaligned_word*)from, x23 = *(const unaligned_word*)(from + 2);
    uint32_t even, odd;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(even) : "r"(x01), "r"(x23));
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(odd) : "r"(x01), "r"(x23));
    to = write_group(to, even, odd);
  }
  while (from != end) *to++ = *from++;
}

static void arrange(const fastgrnn_matrix* m, const int16_t* from, int16_t* to) {
  const int16_t* const end = from + m->cols;
  if (in_groups(m)) {
    exchange(from, m->cols, to);
  } else if (from != to) {
    while (from != end) *to++ = *from++;
  }
}

/* Two columns at once: with 128 more they are not negative, and so are their products. */
static inline void scale_int8(const fastgrnn_matrix* m, const int8_t* x, int zero_point,
                              int multiplier, int16_t* to) {
  const int8_t *const groups_end = x + m->cols / 4 * 4, *const end = x + m->cols;
  const uint32_t factor = (uint32_t)multiplier;
  const uint32_t zero = (uint32_t)(zero_point + 128) * factor * 0x10001u;
  int16_t* const first = to;
  while (x != groups_end) {
    const uint32_t v = *(const unaligned_word*)x ^ 0x80808080u;
    uint32_t even = __uxtb16(v), odd;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(v));
    even = __usub16(even * factor, zero);
    odd = __usub16(odd * factor, zero);
    to = write_group(to, even, odd);
    x += 4;
  }
  while (x != end) *to++ = (int16_t)((*x++ - zero_point) * multiplier);
  if (!in_groups(m)) exchange(first, m->cols, first);
}

static inline void scale_int16(const fastgrnn_matrix* m, const int16_t* x, int multiplier,
                               int16_t* to) {
  const int16_t *const groups_end = x + m->cols / 4 * 4, *const end = x + m->cols;
  const int32_t half = 1 << (INPUT_SHIFT - 1);
  int16_t* const first = to;
  for (; x != groups_end; x += 4) {
    const int32_t x01 = (int32_t)*(const unaligned_word*)x;
    const int32_t x23 = (int32_t)*(const unaligned_word*)(x + 2);
    uint32_t even = (uint32_t)(__smlabb(x01, multiplier, half) >> INPUT_SHIFT);
    uint32_t odd = (uint32_t)(__smlatb(x01, multiplier, half) >> INPUT_SHIFT);
    /* A shift to the left of 16 - INPUT_SHIFT leaves the rounded product in the upper half. */
    __asm__("pkhbt %0, %0, %1, lsl #9" : "+r"(even) : "r"(__smlabb(x23, multiplier, half)));
    __asm__("pkhbt %0, %0, %1, lsl #9" : "+r"(odd) : "r"(__smlatb(x23, multiplier, half)));
    to = write_group(to, even, odd);
  }
  while (x != end) *to++ = (int16_t)(__smlabb(*x++, multiplier, half) >> INPUT_SHIFT);
  if (!in_groups(m)) exchange(first, m->cols, first);
}

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

/* clang-format on */

/* What the sum of a row begins with: its inputs, and half a unit after the shift. */
typedef struct {
  const int16_t* x;
  int32_t sum;
} row_start;

/* p[i] = the next dense row times in, shifted, plus p[i] if add; for n rows. A function of its own,
 * as are all that leave dense_fours() its registers. */
APART void dense_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                      int32_t* p) {
  const int16_t *const groups_end = in + m->cols / 4 * 4, *const end = in + m->cols;
  int32_t* const p_end = p + n;
  const int8_t* w = c->values;
  for (; p != p_end; ++p) {
    const int16_t* x = in;
    int32_t sum = 0;
    for (; x != groups_end; x += 4, w += 4) {
      const unaligned_word weights = *(const unaligned_word*)w;
      int32_t odd;
      __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(weights));
      sum = __smlad(__sxtb16((int32_t)weights), (int32_t)((const group*)x)->even, sum);
      sum = __smlad(odd, (int32_t)((const group*)x)->odd, sum);
    }
    while (x != end) sum += *w++ * *x++;
    *p = (add ? *p : 0) + round_shift(sum, m->shift);
  }
  c->values = w;
}

/* The same for n / 4 times four rows, n being 4 at least, of four columns at least. */
static inline void dense_fours(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                               int add, int32_t* p) {
  const unsigned stride = m->cols, shift = m->shift;
  const int16_t* const groups_end = in + stride / 4 * 4;
  const int32_t half = (INT32_C(1) << shift) >> 1;
  const int8_t* w = c->values;
  /* What four rows begin and end with, in memory, as registers are few; and read in pairs. ASR
   * takes notice of the lowest byte alone: next to it is add, and above them the fours of rows
   * after these.
   */
  const row_start start = {in, half};
  const struct {
    int32_t sum;
    unsigned groups_in_first_turn;
  } start_1 = {half, stride / 4 % 4};
  struct {
    unsigned shift_add_and_left;
    int32_t* p;
  } finish = {shift | (add ? 0x100u : 0u) | (stride % 4 != 0 ? 0x200u : 0u) | (n / 4 - 1) << 16, p};
  const int8_t* w2;
  const int16_t* x;
  int32_t sum0, sum1, sum2, sum3, x02, x13, even, odd;
  /* clang-format off */
  __asm__ volatile(
      "9: ldrd %[x], %[sum0], %[start]\n"
      "ldrd %[sum1], %[odd], %[start_1]\n"
      "mov %[sum2], %[sum0]\n"
      "mov %[sum3], %[sum0]\n"
      "add %[w2], %[w], %[stride], lsl #1\n"
      FOUR_TIMES(MULTIPLY_FOUR_ROWS, "%[odd]", "%[x]", "%[groups_end]") "\n"
      "ldrd %[odd], %[even], %[finish]\n"
      "lsls %[x02], %[odd], #23\n"
      "bcs 4f\n"
      "6: add %[w], %[w2], %[stride]\n"
      "asr %[sum0], %[sum0], %[odd]\n"
      "asr %[sum1], %[sum1], %[odd]\n"
      "asr %[sum2], %[sum2], %[odd]\n"
      "asr %[sum3], %[sum3], %[odd]\n"
      "bpl 7f\n"
      "ldrd %[x], %[x02], [%[even]]\n"
      "ldrd %[x13], %[w2], [%[even], #8]\n"
      "add %[sum0], %[sum0], %[x]\n"
      "add %[sum1], %[sum1], %[x02]\n"
      "add %[sum2], %[sum2], %[x13]\n"
      "add %[sum3], %[sum3], %[w2]\n"
      "7: strd %[sum0], %[sum1], [%[even]], #8\n"
      "strd %[sum2], %[sum3], [%[even]], #8\n"
      "subs %[odd], %[odd], #0x10000\n"
      "strd %[odd], %[even], %[finish]\n"
      "bpl 9b\n"
      "b 5f\n"
      /* Columns after the last group. */
      "4: and %[even], %[stride], #3\n"
      "3: ldrsh %[x02], [%[x]], #2\n"
      "ldrsb %[odd], [%[w], %[stride]]\n"
      "ldrsb %[x13], [%[w]], #1\n"
      "smlabb %[sum1], %[odd], %[x02], %[sum1]\n"
      "smlabb %[sum0], %[x13], %[x02], %[sum0]\n"
      "ldrsb %[odd], [%[w2], %[stride]]\n"
      "ldrsb %[x13], [%[w2]], #1\n"
      "smlabb %[sum3], %[odd], %[x02], %[sum3]\n"
      "smlabb %[sum2], %[x13], %[x02], %[sum2]\n"
      "subs %[even], %[even], #1\n"
      "bne 3b\n"
      "ldrd %[odd], %[even], %[finish]\n"
      "lsls %[x02], %[odd], #23\n"
      "b 6b\n"
      "5:"
      : [w] "+r"(w), [w2] "=&r"(w2), [x] "=&r"(x), [sum0] "=&r"(sum0), [sum1] "=&r"(sum1),
        [sum2] "=&r"(sum2), [sum3] "=&r"(sum3), [x02] "=&r"(x02), [x13] "=&r"(x13),
        [even] "=&r"(even), [odd] "=&r"(odd), [finish] "+m"(finish)
      : [stride] "r"(stride), [groups_end] "r"(groups_end), [start] "m"(start),
        [start_1] "m"(start_1)
      : "cc", "memory");
  /* clang-format on */
  c->values = w;
}

#include "dsp_sparse.h"

APART void sparse_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                       int32_t* p) {
  unsigned i;
  if (m->encoding == FASTGRNN_PAIRS) {
    pairs_rows(m, c, in, n, add, p);
    return;
  }
  for (i = 0; !add && i < n; ++i) p[i] = 0;
  if (m->encoding == FASTGRNN_BLOCKS) {
    block_rows(m, c, in, n, p);
  } else if (m->cols % 4 == 0) {
    bitmap_rows(m, c, in, n, p);
  } else {
    for (; n != 0; --n, ++p) *p += round_shift(bitmap_row(m, c, in), m->shift);
  }
}

static void rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                 int32_t* p) {
  if (m->encoding != FASTGRNN_DENSE) {
    sparse_rows(m, c, in, n, add, p);
    return;
  }
  if (m->cols >= 4 && n >= 4) {
    dense_fours(m, c, in, n, add, p);
    p += n / 4 * 4;
    n %= 4;
  }
  if (n != 0) dense_rows(m, c, in, n, add, p);
}

static inline void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  rows(m, c, in, n, 0, p);
}

static inline void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  rows(m, c, in, n, 1, p);
}

/* ---- The update ---- */

typedef int16_t __attribute__((aligned(1), may_alias)) unaligned_int16;

/* Hides what a value is made of from GCC, which would make it again for each unit. */
#define KEEP(v) __asm__("" : "+r"(v))

static void fast_update(const fastgrnn_params* params, const int32_t* p, unsigned i, unsigned n,
                        int16_t* state) {
  const unaligned_int16* bias = (const unaligned_int16*)params->bias + i;
  const unsigned units = params->units, mix_shift = params->mix_shift;
  const int32_t zeta = params->zeta;
  /* What is added before a shift, to round or after an earlier one, is added as early as it can. */
  const int32_t mix = zeta * 32768 + (int32_t)params->nu + 32768;
  const int32_t half = ((INT32_C(1) << mix_shift) >> 1) + (INT32_C(16384) << mix_shift);
  const uint32_t* lines = fastgrnn_sigmoid_lines + 64;
  int32_t bias_unit = INT32_C(1) << params->bias_shift;
  /* The units after this one, and the shift in the lowest byte, of which alone ASR takes notice. */
  int32_t left_and_shift = ((int32_t)n - 1) * 256 + (int32_t)mix_shift;
  KEEP(lines);
  KEEP(bias_unit);
  for (state += i; left_and_shift >= 0; ++state, ++bias, left_and_shift -= 256) {
    const int32_t sum = *p++;
    const int32_t half_x = SATURATE(sum + bias[units] * bias_unit, 15); /* tanh doubles it */
    const int32_t z = half_sigmoid(lines, SATURATE(sum + *bias * bias_unit, 16), 9) + 16384;
    const int32_t c = SATURATE(2 * half_sigmoid(lines, half_x, 8), 16);
    int32_t v = __smlatb(mix - zeta * z, c, half);
    __asm__("asr %0, %0, %1" : "+r"(v), "+r"(left_and_shift));
    *state = (int16_t)SATURATE((v + z * *state) >> 15, 16);
  }
}

#endif /* FASTGRNN_DSP_H_ */
