/* int8 matrix times int16 vector, in portable C: what every faster version has to equal. */
#ifndef FASTGRNN_MATRIX_H_
#define FASTGRNN_MATRIX_H_

#include "fastgrnn.h"

/* The most rows that are computed together. */
enum { BLOCK = 4 };

/* v / 2^n, rounded half up: the only rounding there is. */
static inline int32_t round_shift(int32_t v, unsigned n) {
  return (v + ((INT32_C(1) << n) >> 1)) >> n;
}

/* Walks the rows of a matrix in order. */
typedef struct {
  const FASTGRNN_FLASH uint8_t* index;
  const FASTGRNN_FLASH int8_t* values;
  uint8_t mask; /* of the next weight's bit in a bitmap */
} cursor;

static inline cursor first_row(const fastgrnn_matrix* m) {
  cursor c;
  c.index = m->index;
  c.values = m->values;
  c.mask = 1;
  return c;
}

static inline int32_t dense_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  int32_t sum = 0;
  while (in != end) sum += *c->values++ * (int32_t)*in++;
  return sum;
}

static inline int32_t bitmap_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  int32_t sum = 0;
  for (; in != end; ++in) {
    if (*c->index & c->mask) sum += *c->values++ * (int32_t)*in;
    c->mask = (uint8_t)(c->mask << 1);
    if (c->mask == 0) {
      c->mask = 1;
      ++c->index;
    }
  }
  return sum;
}

static inline int32_t pairs_row(cursor* c, const int16_t* in) {
  unsigned count = *c->index++;
  int32_t sum = 0;
  for (; count != 0; --count, c->values += 2)
    sum += c->values[1] * (int32_t)in[(uint8_t)*c->values];
  return sum;
}

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

#endif /* FASTGRNN_MATRIX_H_ */
