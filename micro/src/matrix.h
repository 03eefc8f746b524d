/* int8 matrix times int16 vector, in portable C: what every faster version has to equal. */
#ifndef FASTGRNN_MATRIX_H_
#define FASTGRNN_MATRIX_H_

#include "portable.h"

/* Walks the rows of a matrix in order. */
typedef struct {
  const FASTGRNN_FLASH uint8_t* index;
  const FASTGRNN_FLASH int8_t* values;
  uint8_t bit; /* of the next weight in a bitmap's byte */
} cursor;

static inline cursor first_row(const fastgrnn_matrix* m) {
  cursor c;
  c.index = m->index;
  c.values = m->values;
  c.bit = 0;
  return c;
}

/* The sum of the weights of the set bits, and where the weights go on. The bits are not 0. */
static inline int32_t add_set(uint32_t bits, const FASTGRNN_FLASH int8_t** next, const int16_t* in,
                              int32_t sum) {
  const FASTGRNN_FLASH int8_t* values = *next;
#ifdef __ARM_FEATURE_CLZ /* finds the lowest bit in two instructions */
  do sum += *values++ * (int32_t)in[__builtin_ctz(bits)];
  while ((bits &= bits - 1) != 0);
#elif defined(FASTGRNN_THUMB)
  int32_t x, v;
  --in;
  __asm__ volatile(
      ".syntax unified\n"
      "1: adds %[in], #2\n lsrs %[bits], #1\n bcc 1b\n"
      "movs %[v], #0\n ldrsh %[x], [%[in], %[v]]\n ldrsb %[v], [%[values], %[v]]\n"
      "muls %[v], %[x]\n adds %[sum], %[v]\n adds %[values], #1\n"
      "cmp %[bits], #0\n"
      "bne 1b"
      : [bits] "+l"(bits), [values] "+l"(values), [in] "+l"(in), [sum] "+l"(sum), [x] "=&l"(x),
        [v] "=&l"(v)
      :
      : "cc", "memory");
#else
  do {
    if ((bits & 1) != 0) sum += *values++ * (int32_t)*in;
    ++in;
  } while ((bits >>= 1) != 0);
#endif
  *next = values;
  return sum;
}

/* The rows of each encoding. They keep a cursor's pointers to themselves, since a compiler has to
 * assume that a char * may point to the cursor. */
static inline int32_t bitmap_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const FASTGRNN_FLASH uint8_t* index = c->index;
  const FASTGRNN_FLASH int8_t* values = c->values;
  unsigned left = m->cols, bit = c->bit;
  int32_t sum = 0;
  while (left != 0) {
    const unsigned end = left + bit < 32 ? left + bit : 32; /* of the row's bits in a word */
    uint32_t bits = 0;
    unsigned i;
#ifdef FASTGRNN_UNALIGNED
    if (end == 32) {
      bits = *(const unaligned_word*)index;
    } else
#endif
    {
      for (i = 0; i < end; i += 8) bits |= (uint32_t)index[i / 8] << i;
      bits = bits << (32 - end) >> (32 - end);
    }
    bits >>= bit;
    if (bits != 0) sum = add_set(bits, &values, in, sum);
    index += end / 8;
    in += end - bit;
    left -= end - bit;
    bit = end % 8;
  }
  c->index = index;
  c->values = values;
  c->bit = (uint8_t)bit;
  return sum;
}

static inline int32_t pairs_row(cursor* c, const int16_t* in) {
  const FASTGRNN_FLASH int8_t* values = c->values;
  const FASTGRNN_FLASH int8_t* const end = values + 2u * *c->index++;
  int32_t sum = 0;
  for (; values != end; values += 2) sum += values[1] * (int32_t)in[(uint8_t)*values];
  c->values = values;
  return sum;
}

static inline int32_t dense_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  const FASTGRNN_FLASH int8_t* values = c->values;
  int32_t sum = 0;
  while (in != end) sum += *values++ * (int32_t)*in++;
  c->values = values;
  return sum;
}

#if defined(FASTGRNN_MVE)
#include "matrix_mve.h"
#elif defined(FASTGRNN_DSP)
#include "matrix_dsp.h"
#else

#ifdef FASTGRNN_THUMB
#include "thumb.h"
#else

/* The most rows that are computed together. */
enum { BLOCK = 4 };

/* p[i] += the next row times in, shifted; for n rows, BLOCK at most. */
static void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                     int32_t* p) {
  for (; n != 0; --n, ++p) {
    const int32_t sum = m->encoding == FASTGRNN_DENSE    ? dense_row(m, c, in)
                        : m->encoding == FASTGRNN_BITMAP ? bitmap_row(m, c, in)
                                                         : pairs_row(c, in);
    *p += round_shift(sum, m->shift);
  }
}

#endif

/* p[i] = the same. */
static inline void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  unsigned i;
  for (i = 0; i < BLOCK; ++i) p[i] = 0;
  add_rows(m, c, in, n, p);
}

#endif

#endif /* FASTGRNN_MATRIX_H_ */
