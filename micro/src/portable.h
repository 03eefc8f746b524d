/* Everything in variant.h that the instruction set has not defined, in C alone: the versions that
 * every set has to equal. */
#ifndef FASTGRNN_PORTABLE_H_
#define FASTGRNN_PORTABLE_H_

/* ---- Arithmetic ---- */

static inline int32_t clip(int32_t v, int32_t low, int32_t high) {
  return v < low ? low : v > high ? high : v;
}

#ifndef round_shift
static inline int32_t round_shift(int32_t v, unsigned n) {
  return (v + ((INT32_C(1) << n) >> 1)) >> n;
}
#endif

#ifndef add_rounded
static inline int32_t add_rounded(int32_t sum, int32_t v, unsigned n) {
  return sum + round_shift(v, n);
}
#endif

#ifndef round_high
static inline int16_t round_high(int32_t v) { return (int16_t)round_shift(v, 16); }
#endif

#ifndef saturate16
static inline int16_t saturate16(int32_t v) { return (int16_t)clip(v, -32768, 32767); }
#endif

#ifndef round_saturate
static inline int16_t round_saturate(int32_t v, unsigned n) {
  return saturate16(round_shift(v, n));
}
#endif

#ifndef multiply16
static inline int32_t multiply16(int16_t a, int16_t b) { return (int32_t)a * b; }
#endif

#ifndef multiply
static inline int32_t multiply(int32_t a, int16_t b) { return a * b; }
#endif

#ifndef multiply_unsigned
static inline int32_t multiply_unsigned(int32_t a, uint16_t b) { return a * (int32_t)b; }
#endif

#ifndef sigmoid
static inline int32_t sigmoid(int32_t p, unsigned n) {
  const int32_t limit = INT32_C(32768) >> n;
  const int32_t a = clip(p < 0 ? -p : p, 0, limit) * (INT32_C(1) << n);
  const FASTGRNN_FLASH uint16_t* t = fastgrnn_sigmoid_table + (a >> 9);
  const int32_t y = t[0] + round_shift(((int32_t)t[1] - t[0]) * (a & 511), 9);
  return p < 0 ? 32768 - y : y;
}
#endif

#ifndef tanh16
static inline int16_t tanh16(int32_t p, unsigned n) {
  return saturate16(2 * sigmoid(p, n + 1) - 32768);
}
#endif

/* ---- Rows of a matrix. Each keeps a cursor's pointers in variables of its own: a compiler has to
 * assume that a char* may point to the cursor. ---- */

#ifndef FIRST_BITS
#define FIRST_BITS 0
#endif

static inline cursor first_row(const fastgrnn_matrix* m) {
  cursor c;
  c.index = m->index;
  c.values = m->values;
  c.bits = m->encoding == FASTGRNN_BLOCKS ? 0 : FIRST_BITS;
  return c;
}

static inline int32_t dense_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  const FASTGRNN_FLASH int8_t* values = c->values;
  int32_t sum = 0;
  while (in != end) sum += *values++ * (int32_t)*in++;
  c->values = values;
  return sum;
}

/* The sum of the weights of the set bits, and where the weights go on. The bits are not 0. */
#ifndef add_set
static inline int32_t add_set(uint32_t bits, const FASTGRNN_FLASH int8_t** next, const int16_t* in,
                              int32_t sum) {
  const FASTGRNN_FLASH int8_t* values = *next;
#ifdef __ARM_FEATURE_CLZ /* finds the lowest bit in two instructions */
  do sum += *values++ * (int32_t)in[__builtin_ctz(bits)];
  while ((bits &= bits - 1) != 0);
#else
  do {
    if ((bits & 1) != 0) sum += *values++ * (int32_t)*in;
    ++in;
  } while ((bits >>= 1) != 0);
#endif
  *next = values;
  return sum;
}
#endif

/* The cursor's bits are the number of the row's first bit in its byte. */
static inline int32_t bitmap_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const FASTGRNN_FLASH uint8_t* index = c->index;
  const FASTGRNN_FLASH int8_t* values = c->values;
  unsigned left = m->cols, bit = c->bits;
  int32_t sum = 0;
  while (left != 0) {
    const unsigned end = left + bit < 32 ? left + bit : 32; /* of the row's bits in a word */
    uint32_t bits = 0;
    unsigned i;
#ifdef unaligned_word
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
  c->bits = (uint8_t)bit;
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

/* p[i] += the next rows of a matrix in blocks times in: of four rows, or n where fewer are left. */
#ifndef add_block_rows
#define ADD_COLUMN(i)           \
  x = in[i];                    \
  sum_0 += values[i] * x;       \
  sum_1 += values[4 + (i)] * x; \
  sum_2 += values[8 + (i)] * x; \
  sum_3 += values[12 + (i)] * x

static inline void add_block_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in,
                                  unsigned n, int32_t* p) {
  const FASTGRNN_FLASH uint8_t* index = c->index;
  const FASTGRNN_FLASH int8_t* values = c->values;
  const unsigned rest = m->cols % 4, shift = m->shift;
  unsigned left = m->cols / 4, bits = 1; /* what is left of a byte, and a 1 above it */
  int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0, x;
  for (; left != 0; --left, in += 4, bits >>= 1) {
    if (bits == 1) bits = *index++ | 256u;
    if ((bits & 1) != 0) {
      ADD_COLUMN(0);
      ADD_COLUMN(1);
      ADD_COLUMN(2);
      ADD_COLUMN(3);
      values += 16;
    }
  }
  if (rest != 0) { /* a block with fewer columns */
    if (bits == 1) bits = *index++;
    if ((bits & 1) != 0) {
      for (left = 0; left < rest; ++left) {
        ADD_COLUMN(left);
      }
      values += 16;
    }
  }
  c->index = index;
  c->values = values;
  p[0] = add_rounded(p[0], sum_0, shift);
  if (n > 1) p[1] = add_rounded(p[1], sum_1, shift);
  if (n > 2) p[2] = add_rounded(p[2], sum_2, shift);
  if (n > 3) p[3] = add_rounded(p[3], sum_3, shift);
}
#endif

#ifndef BLOCK
#define BLOCK 4
#endif

/* p[i] += the next four dense rows times in. Each input is read once for the four, whose sums and
 * pointers just fit the registers of a Cortex-M3. */
#ifndef add_four_rows
static inline void add_four_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in,
                                 int32_t* p) {
  const unsigned cols = m->cols, shift = m->shift;
  const FASTGRNN_FLASH int8_t *row_0 = c->values, *row_1 = row_0 + cols, *row_2 = row_1 + cols,
                              *row_3 = row_2 + cols;
  const int16_t* const end = in + cols;
  int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;
  c->values = row_3 + cols;
  while (in != end) {
    const int32_t x = *in++;
    sum_0 += *row_0++ * x;
    sum_1 += *row_1++ * x;
    sum_2 += *row_2++ * x;
    sum_3 += *row_3++ * x;
  }
  p[0] = add_rounded(p[0], sum_0, shift);
  p[1] = add_rounded(p[1], sum_1, shift);
  p[2] = add_rounded(p[2], sum_2, shift);
  p[3] = add_rounded(p[3], sum_3, shift);
}
#endif

#ifndef add_rows
static void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                     int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE && n == 4) {
    add_four_rows(m, c, in, p);
    return;
  }
  if (m->encoding == FASTGRNN_BLOCKS) {
    add_block_rows(m, c, in, n, p);
    return;
  }
  for (; n != 0; --n, ++p) {
    const int32_t sum = m->encoding == FASTGRNN_DENSE    ? dense_row(m, c, in)
                        : m->encoding == FASTGRNN_BITMAP ? bitmap_row(m, c, in)
                                                         : pairs_row(c, in);
    *p += round_shift(sum, m->shift);
  }
}
#endif

#ifndef set_rows
#if BLOCK > 16
#error "fastgrnn.c has 16 values for a low rank, not BLOCK: such a set has a set_rows() of its own"
#endif
static inline void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                            int32_t* p) {
  unsigned i;
  for (i = 0; i < BLOCK; ++i) p[i] = 0;
  add_rows(m, c, in, n, p);
}
#endif

/* ---- Vectors ---- */

#ifndef ALIGNMENT
#define ALIGNMENT 1
#endif

#ifndef arrange
static inline void arrange(const fastgrnn_matrix* m, const int16_t* from, int16_t* to) {
  const int16_t* const end = from + m->cols;
  if (from == to) return;
  while (from != end) *to++ = *from++;
}
#endif

#ifndef scale_int8
static inline void scale_int8(const fastgrnn_matrix* m, const int8_t* x, int zero_point,
                              int multiplier, int16_t* to) {
  const unsigned cols = m->cols;
  unsigned i;
  for (i = 0; i < cols; ++i) to[i] = (int16_t)((x[i] - zero_point) * multiplier);
  arrange(m, to, to);
}
#endif

#ifndef scale_int16
static inline void scale_int16(const fastgrnn_matrix* m, const int16_t* x, int multiplier,
                               int16_t* to) {
  const int16_t* const end = x + m->cols;
  int16_t* const first = to;
  while (x != end) {
    *to++ = (int16_t)round_shift(multiply16(*x++, (int16_t)multiplier), INPUT_SHIFT);
  }
  arrange(m, first, first);
}
#endif

#endif /* FASTGRNN_PORTABLE_H_ */
