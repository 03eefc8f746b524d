/* Sparse matrices with the DSP extension: a part of dsp.h. */
#ifndef FASTGRNN_DSP_SPARSE_H_
#define FASTGRNN_DSP_SPARSE_H_

/* clang-format off */

#define MULTIPLY_PAIR                      \
  "ldrb.w %[x], [%[pair]], #1\n"           \
  "ldrsb.w %[weight], [%[pair]], #1\n"     \
  "ldrsh.w %[x], [%[in], %[x], lsl #1]\n"  \
  "mla %[sum], %[weight], %[x], %[sum]\n"

/* clang-format on */

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

/* clang-format off */

#define CASE(number, code) number ": " code "bne 1b\n b 9b\n"
#define LOAD(weight) "ldrsb.w %[" weight "], [%[values]], #1\n"
#define MULTIPLY(half, word, weight) \
  "smla" half "b %[sum], %[" word "], %[" weight "], %[sum]\n"
#define C0(weight) MULTIPLY("b", "x01", weight)
#define C1(weight) MULTIPLY("t", "x01", weight)
#define C2(weight) MULTIPLY("b", "x23", weight)
#define C3(weight) MULTIPLY("t", "x23", weight)
#define ONE(x) LOAD("u") x("u")
#define TWO(x, y) LOAD("u") LOAD("v") x("u") y("v")
#define THREE(x, y, z) TWO(x, y) LOAD("u") z("u")

/* The weights of the set bits, which are not 0, times their columns from x on. The lowest four bits
 * choose one of 16 cases. Goes back to 9 after the last set bit. */
#define MULTIPLY_SET_COLUMNS                                                             \
  "1: ldrd %[x01], %[x23], [%[x]], #8\n"                                                 \
  "and %[u], %[bits], #15\n"                                                             \
  "lsrs %[bits], %[bits], #4\n"                                                          \
  "tbb [pc, %[u]]\n"                                                                     \
  "0: .byte (10f - 0b) / 2, (11f - 0b) / 2, (12f - 0b) / 2, (13f - 0b) / 2\n"            \
  ".byte (14f - 0b) / 2, (15f - 0b) / 2, (16f - 0b) / 2, (17f - 0b) / 2\n"               \
  ".byte (18f - 0b) / 2, (19f - 0b) / 2, (20f - 0b) / 2, (21f - 0b) / 2\n"               \
  ".byte (22f - 0b) / 2, (23f - 0b) / 2, (24f - 0b) / 2, (25f - 0b) / 2\n"               \
  CASE("11", ONE(C0)) CASE("12", ONE(C1)) CASE("14", ONE(C2)) CASE("18", ONE(C3))        \
  CASE("13", TWO(C0, C1)) CASE("15", TWO(C0, C2)) CASE("16", TWO(C1, C2))                \
  CASE("19", TWO(C0, C3)) CASE("20", TWO(C1, C3)) CASE("22", TWO(C2, C3))                \
  CASE("17", THREE(C0, C1, C2)) CASE("21", THREE(C0, C1, C3))                            \
  CASE("23", THREE(C0, C2, C3)) CASE("24", THREE(C1, C2, C3))                            \
  "25: ldr.w %[v], [%[values]], #4\n"                                                    \
  "sxtb16 %[u], %[v]\n"                                                                  \
  "sxtb16 %[v], %[v], ror #8\n"                                                          \
  "smlabb %[sum], %[x01], %[u], %[sum]\n"                                                \
  "smlatb %[sum], %[x01], %[v], %[sum]\n"                                                \
  "smlabt %[sum], %[x23], %[u], %[sum]\n"                                                \
  "smlatt %[sum], %[x23], %[v], %[sum]\n"                                                \
  CASE("10", "")

/* add_rows() of a bitmap whose rows are whole groups of columns. */
static inline void bitmap_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                               int32_t* p) {
  const unsigned cols = m->cols, shift = m->shift;
  const row_start start = {in, (INT32_C(1) << shift) >> 1};
  int32_t* const end = p + n;
  const uint8_t* index = c->index;
  const int8_t* values = c->values;
  const int16_t *x, *next;
  uint32_t bits, bit = c->bits;
  int32_t sum, x01, x23, u, v, left;
  __asm__ volatile(
      /* The row's bits in its first word, */
      "2: ldrd %[x], %[sum], %[start]\n"
      "ldr %[left], %[cols]\n"
      "rsb %[u], %[bit], #32\n"
      "subs %[left], %[left], %[u]\n"
      "blo 5f\n"
      "ldr %[bits], [%[index]], #4\n"
      "add %[next], %[x], %[u], lsl #1\n"
      "lsrs %[bits], %[bits], %[bit]\n"
      "mov %[bit], #0\n"
      "bne 1f\n"
      /* in the next, */
      "9: mov %[x], %[next]\n"
      "subs %[left], %[left], #32\n"
      "blo 4f\n"
      "ldr %[bits], [%[index]], #4\n"
      "add %[next], %[next], #64\n"
      "cmp %[bits], #0\n"
      "beq 9b\n"
      MULTIPLY_SET_COLUMNS
      /* and in less than a word. */
      "5: add %[left], %[left], %[u]\n"
      "b 6f\n"
      "4: adds %[left], %[left], #32\n"
      "beq 8f\n"
      "6: add %[u], %[left], %[bit]\n"
      "ldrb %[bits], [%[index]]\n"
      "cmp %[u], #8\n"
      "bls 7f\n"
      "ldrb %[v], [%[index], #1]\n"
      "orr %[bits], %[bits], %[v], lsl #8\n"
      "cmp %[u], #16\n"
      "bls 7f\n"
      "ldrb %[v], [%[index], #2]\n"
      "orr %[bits], %[bits], %[v], lsl #16\n"
      "cmp %[u], #24\n"
      "bls 7f\n"
      "ldrb %[v], [%[index], #3]\n"
      "orr %[bits], %[bits], %[v], lsl #24\n"
      "7: rsb %[v], %[u], #32\n"
      "lsl %[bits], %[bits], %[v]\n"
      "rsb %[v], %[left], #32\n"
      "lsrs %[bits], %[bits], %[v]\n"
      "add %[index], %[index], %[u], lsr #3\n"
      "and %[bit], %[u], #7\n"
      "mov %[left], #0\n"
      "bne 1b\n"
      "8: ldr %[u], %[shift]\n"
      "ldr %[v], [%[p]]\n"
      "asr %[sum], %[sum], %[u]\n"
      "add %[v], %[v], %[sum]\n"
      "ldr %[u], %[end]\n"
      "str %[v], [%[p]], #4\n"
      "cmp %[p], %[u]\n"
      "bne 2b"
      : [index] "+r"(index), [values] "+r"(values), [p] "+r"(p), [bit] "+r"(bit), [x] "=&r"(x),
        [next] "=&r"(next), [sum] "=&r"(sum), [bits] "=&r"(bits), [left] "=&r"(left),
        [x01] "=&r"(x01), [x23] "=&r"(x23), [u] "=&r"(u), [v] "=&r"(v)
      : [start] "m"(start), [cols] "m"(cols), [shift] "m"(shift), [end] "m"(end)
      : "cc", "memory");
  c->index = index;
  c->values = values;
  c->bits = (uint8_t)bit;
}

#define MULTIPLY_BLOCK_ROW(sum) MULTIPLY_ROW("ldr.w %[odd], [%[values]], #4", sum)

/* add_rows() of blocks, whose columns are in the order of dense rows. */
static inline void block_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                              int32_t* p) {
  const unsigned shift = m->shift, rest = m->cols % 4;
  const uint8_t* index = c->index;
  const int8_t* values = c->values;
  int32_t* const end = p + n;
  for (; p < end; p += 4) {
    int32_t sum_0 = (INT32_C(1) << shift) >> 1, sum_1 = sum_0, sum_2 = sum_0, sum_3 = sum_0;
    unsigned left = m->cols / 4, bits = 1; /* what is left of a byte, and a 1 above it */
    const int16_t* x = in;
    if (left != 0) {
      int32_t x02, x13, even, odd;
      __asm__(
          "1: lsrs %[bits], %[bits], #1\n"
          "beq 3f\n"
          "ldrd %[x02], %[x13], [%[x]], #8\n"
          "bcc 2f\n"
          MULTIPLY_BLOCK_ROW("%[sum_0]")
          MULTIPLY_BLOCK_ROW("%[sum_1]")
          MULTIPLY_BLOCK_ROW("%[sum_2]")
          MULTIPLY_BLOCK_ROW("%[sum_3]")
          "2: subs %[left], %[left], #1\n"
          "bne 1b\n"
          "b 4f\n"
          "3: ldrb %[bits], [%[index]], #1\n"
          "orr %[bits], %[bits], #256\n"
          "b 1b\n"
          "4:"
          : [index] "+r"(index), [values] "+r"(values), [x] "+r"(x), [bits] "+r"(bits),
            [left] "+r"(left), [sum_0] "+r"(sum_0), [sum_1] "+r"(sum_1), [sum_2] "+r"(sum_2),
            [sum_3] "+r"(sum_3), [x02] "=&r"(x02), [x13] "=&r"(x13), [even] "=&r"(even),
            [odd] "=&r"(odd)
          :
          : "cc", "memory");
    }
    if (rest != 0) { /* a block with fewer columns */
      if (bits == 1) bits = *index++;
      if ((bits & 1) != 0) {
        for (; left < rest; ++left, ++x) {
          sum_0 += values[left] * *x;
          sum_1 += values[4 + left] * *x;
          sum_2 += values[8 + left] * *x;
          sum_3 += values[12 + left] * *x;
        }
        values += 16;
      }
    }
    p[0] += sum_0 >> shift;
    if (p + 1 < end) p[1] += sum_1 >> shift;
    if (p + 2 < end) p[2] += sum_2 >> shift;
    if (p + 3 < end) p[3] += sum_3 >> shift;
  }
  c->index = index;
  c->values = values;
}

/* clang-format on */

#endif /* FASTGRNN_DSP_SPARSE_H_ */
