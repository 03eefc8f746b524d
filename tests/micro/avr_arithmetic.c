/* The arithmetic of avr.h against that of portable.h, with constant and variable shifts, and rows
 * of a bitmap whose length and shift are constant. Built twice: with EXPECTED it computes the
 * expected values, by the portable functions. */
#include <stdint.h>

#define FASTGRNN_KERNEL_H_ /* as in a model that is written as C: with fast_update() */
#include "bytes.h"
#include "variant.h"

#ifdef EXPECTED
#define NAME(name) expected_##name
#else
#define NAME(name) name##_here
#endif

/* clang-format would move one more to its own line in each run. */
/* clang-format off */
#define SHIFTS(X) \
  X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) \
  X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(30)
/* clang-format on */

int32_t NAME(add)(int32_t sum, int32_t v, unsigned n) { return add_rounded(sum, v, n); }
int32_t NAME(constant_add)(int32_t sum, int32_t v, unsigned n) {
  switch (n) {
#define CASE(n) \
  case n:       \
    return add_rounded(sum, v, n);
    SHIFTS(CASE)
  }
  return 0;
}
int16_t NAME(saturate)(int32_t v, unsigned n) { return round_saturate(v, n); }
int16_t NAME(saturate15)(int32_t v) { return round_saturate(v, 15); }
int16_t NAME(high)(int32_t v) { return round_high(v); }
int32_t NAME(sigmoid)(int32_t p, unsigned n) { return n == 0 ? sigmoid(p, 0) : sigmoid(p, n); }
int32_t NAME(tanh)(int32_t p, unsigned n) { return n == 0 ? tanh16(p, 0) : tanh16(p, n); }
int32_t NAME(signed_product)(int16_t a, int16_t b) { return multiply16(a, b); }
int32_t NAME(product)(int32_t a, int16_t b) { return multiply(a, b); }
int32_t NAME(unsigned_product)(int32_t a, uint16_t b) { return multiply_unsigned(a, b); }

/* The sum of some rows, in which a byte of the bitmap ends everywhere. */
static const FASTGRNN_FLASH uint8_t bitmap[] = {0x6d, 0xff, 0x93, 0x01, 0xe8, 0x5b, 0xf7, 0x3c,
                                                0x80, 0xbe, 0x2f, 0x00, 0xd5, 0x7a, 0xff, 0xfe};
static const FASTGRNN_FLASH int8_t weights[] = {
    -128, -128, -128, 127, 127, 127, -1,   1,  0,    64,   -65,  3,   -7,  99,  -100, 50,
    12,   -128, 127,  -2,  33,  -90, 5,    -5, 77,   -78,  127,  8,   -16, 32,  -64,  41,
    11,   2,    -128, 6,   -31, 90,  -3,   17, -128, -128, -128, 127, 127, 127, -1,   1,
    0,    64,   -65,  3,   -7,  99,  -100, 50, 12,   -128, 127,  -2,  33,  -90, 5,    -5,
    77,   -78,  127,  8,   -16, 32,  -64,  41, 11,   2,    -128, 6,   -31, 90,  -3,   17};
#define ROWS(columns, bits)                                         \
  case 100 * columns + bits: {                                      \
    static const fastgrnn_matrix m = {.index = bitmap,              \
                                      .values = weights,            \
                                      .rows = 8,                    \
                                      .cols = columns,              \
                                      .shift = bits,                \
                                      .encoding = FASTGRNN_BITMAP}; \
    cursor c = first_row(&m);                                       \
    for (i = 0; i < 4; ++i) {                                       \
      int32_t p[BLOCK];                                             \
      set_rows(&m, &c, in, 1, p);                                   \
      sum = sum * 5 + (uint32_t)p[0];                               \
    }                                                               \
    break;                                                          \
  }
#define COLUMNS(X, bits) X(2, bits) X(3, bits) X(8, bits) X(16, bits)
int32_t NAME(rows)(unsigned cols, unsigned shift, const int16_t* in) {
  uint32_t sum = 0;
  uint8_t i;
  switch (100 * cols + shift) {
    COLUMNS(ROWS, 2)
    COLUMNS(ROWS, 7)
    COLUMNS(ROWS, 8)
    COLUMNS(ROWS, 9)
    COLUMNS(ROWS, 22)
  }
  return (int32_t)sum;
}

/* The new state of the second of three units. The state may saturate. */
static const FASTGRNN_FLASH uint8_t biases[] = {1, 2, 0xc0, 0xfe, 3, 4, 5, 6, 0x17, 0x03, 7, 8};
static inline __attribute__((always_inline)) int16_t update_unit(const fastgrnn_params* cell,
                                                                 int32_t p, int16_t h) {
#ifdef fast_update
  int16_t state[] = {1, h, 2};
  fast_update(cell, &p, 1, 1, state);
  return state[0] == 1 && state[2] == 2 ? state[1] : 0;
#else
  const int16_t c = tanh16(p + (int16_t)read_u16(cell->bias + 8), 0);
  const int32_t z = sigmoid(p + (int16_t)read_u16(cell->bias + 2), 0);
  const int32_t most = (int32_t)cell->zeta * 32768 + (int32_t)cell->nu;
  const int16_t m = round_high(most - multiply_unsigned(z, cell->zeta));
  return round_saturate(add_rounded(multiply(z, h), multiply16(m, c), cell->mix_shift), 15);
#endif
}
int16_t NAME(update)(int32_t p, int16_t h, unsigned mix_shift) {
  static const fastgrnn_params cell_0 = {
      .bias = biases, .units = 3, .zeta = 65534, .nu = 32000, .mix_shift = 0};
  static const fastgrnn_params cell_3 = {
      .bias = biases, .units = 3, .zeta = 40011, .nu = 32256435, .mix_shift = 3};
  return mix_shift == 0 ? update_unit(&cell_0, p, h) : update_unit(&cell_3, p, h);
}

#ifndef EXPECTED
#include <stdlib.h>

#include "board.h"

int32_t expected_add(int32_t, int32_t, unsigned);
int16_t expected_saturate(int32_t, unsigned), expected_high(int32_t);
int16_t expected_update(int32_t, int16_t, unsigned);
int32_t expected_sigmoid(int32_t, unsigned), expected_tanh(int32_t, unsigned);
int32_t expected_product(int32_t, int16_t), expected_unsigned_product(int32_t, uint16_t);
int32_t expected_signed_product(int16_t, int16_t);
int32_t expected_rows(unsigned, unsigned, const int16_t*);

static void check(const char* name, int32_t v, unsigned n, int32_t got, int32_t expected) {
  char text[12];
  if (got == expected) return;
  board_write(name);
  board_write(" of ");
  board_write(ltoa(v, text, 10));
  board_write(", ");
  board_write(ltoa((int32_t)n, text, 10));
  board_write(": ");
  board_write(ltoa(got, text, 10));
  board_write(", expected ");
  board_write(ltoa(expected, text, 10));
  board_write("\n");
  board_exit(1);
}

/* A number of any magnitude, often next to a power of 2 or at a limit. */
static int32_t draw(uint8_t bits) {
  const uint32_t r = (uint32_t)random() ^ (uint32_t)random() << 16;
  const uint8_t width = (uint8_t)(r >> 16) % bits;
  const int32_t v = (r & 3) != 0 ? (int32_t)(r >> (31 - width))
                                 : (INT32_C(1) << width) + (int32_t)(r >> 24) % 3 - 1;
  return (r & 4) != 0 ? v : -v;
}

int main(void) {
  static const uint8_t shifts[] = {
#define ITEM(n) n,
      SHIFTS(ITEM)};
  uint16_t i;
  uint8_t j;
  unsigned shift;
  for (i = 0; i < 400; ++i) {
    const int32_t v = draw(30), sum = draw(29), z = draw(15), p = draw(30);
    const int32_t wide = clip(draw(31), -INT32_C(0x7fff0000), INT32_C(0x7fff0000));
    const int16_t a = (int16_t)random(), b = (i & 7) == 0 ? INT16_MIN : (int16_t)draw(15);
    for (j = 0; j < sizeof shifts; ++j) {
      const uint8_t n = shifts[j];
      check("add_rounded", v, n, add_here(sum, v, n), expected_add(sum, v, n));
      check("constant add_rounded", v, n, constant_add_here(sum, v, n), expected_add(sum, v, n));
      check("round_saturate", v, n, saturate_here(v, n), expected_saturate(v, n));
    }
    check("round_saturate", wide, 15, saturate15_here(wide), expected_saturate(wide, 15));
    check("round_high", wide >> 1, 16, high_here(wide >> 1), expected_high(wide >> 1));
    for (j = 0; j <= 12; ++j) {
      check("sigmoid", p, j, sigmoid_here(p, j), expected_sigmoid(p, j));
      check("tanh16", p, j, tanh_here(p, j), expected_tanh(p, j));
    }
    for (shift = 0; shift <= 3; shift += 3) {
      check("update", p, shift, update_here(p, a, shift), expected_update(p, a, shift));
      check("update", p, shift, update_here(p, b, shift), expected_update(p, b, shift));
      check("update", v >> 14, shift, update_here(v >> 14, a, shift),
            expected_update(v >> 14, a, shift));
      check("update", p, shift, update_here(p, INT16_MAX, shift),
            expected_update(p, INT16_MAX, shift));
      check("update", p, shift, update_here(p, INT16_MIN, shift),
            expected_update(p, INT16_MIN, shift));
    }
    check("multiply16", a, 0, signed_product_here(a, b), expected_signed_product(a, b));
    check("multiply", z, 0, product_here(z, b), expected_product(z, b));
    check("multiply_unsigned", z, 0, unsigned_product_here(z, (uint16_t)a),
          expected_unsigned_product(z, (uint16_t)a));
  }
  for (i = 0; i < 40; ++i) {
    static const uint8_t columns[] = {2, 3, 8, 16}, row_shifts[] = {2, 7, 8, 9, 22};
    int16_t in[16];
    uint8_t k;
    for (j = 0; j < 16; ++j) in[j] = i < 4 ? (i & 1 ? INT16_MIN : INT16_MAX) : (int16_t)random();
    for (j = 0; j < sizeof columns; ++j) {
      for (k = 0; k < sizeof row_shifts; ++k) {
        check("rows", columns[j], row_shifts[k], rows_here(columns[j], row_shifts[k], in),
              expected_rows(columns[j], row_shifts[k], in));
      }
    }
  }
  board_write("passed\n");
  board_exit(0);
}
#endif
