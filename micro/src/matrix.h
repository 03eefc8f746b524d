/* int8 matrix times int16 vector, in portable C: what every faster version has to equal. */
#ifndef FASTGRNN_MATRIX_H_
#define FASTGRNN_MATRIX_H_

#include "arithmetic.h"

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

/* The rows of each encoding. They keep a cursor's pointers to themselves, since a compiler has to
 * assume that a char * may point to the cursor. */
static inline int32_t bitmap_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  const FASTGRNN_FLASH uint8_t* index = c->index;
  const FASTGRNN_FLASH int8_t* values = c->values;
  unsigned mask = c->mask;
  int32_t sum = 0;
  for (; in != end; ++in) {
    if (*index & mask) sum += *values++ * (int32_t)*in;
    mask <<= 1;
    if (mask == 256) {
      mask = 1;
      ++index;
    }
  }
  c->index = index;
  c->values = values;
  c->mask = (uint8_t)mask;
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

#if defined(FASTGRNN_MVE)
#include "matrix_mve.h"
#elif defined(FASTGRNN_DSP)
#include "matrix_dsp.h"
#else

/* The most rows that are computed together. */
enum { BLOCK = 4 };

static inline int32_t dense_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  const FASTGRNN_FLASH int8_t* values = c->values;
  int32_t sum = 0;
  while (in != end) sum += *values++ * (int32_t)*in++;
  c->values = values;
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

/* p[i] = the same. */
static inline void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  unsigned i;
  for (i = 0; i < BLOCK; ++i) p[i] = 0;
  add_rows(m, c, in, n, p);
}

#endif

#endif /* FASTGRNN_MATRIX_H_ */
