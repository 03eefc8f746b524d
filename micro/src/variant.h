/* Chooses the instruction set of the kernel: here, and nowhere else.
 *
 * An instruction set is one header. It defines what it computes faster than a compiler would, each
 * function beside a macro of its own name (#define sigmoid sigmoid). portable.h defines the rest,
 * in C alone, and gives the bytes that every set has to give. A new set is a header, and its line
 * below: docs/kernel_variants.md. */
#ifndef FASTGRNN_VARIANT_H_
#define FASTGRNN_VARIANT_H_

#include "fastgrnn.h"
#include "sigmoid_table.h"

#define FASTGRNN_ARM_M (__ARM_ARCH_PROFILE == 'M')

#if defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_BIG_ENDIAN)
/* A little-endian word at any address, on chips that read one. */
typedef uint32_t __attribute__((aligned(1), may_alias)) unaligned_word;
#define unaligned_word unaligned_word
#endif

/* ---- What the kernel calls. docs/numerics.md, "No overflow", proves the ranges. ---- */

/* v / 2^n, rounded half up: the only rounding there is. n is 30 at most. */
static int32_t round_shift(int32_t v, unsigned n);
static int32_t add_rounded(int32_t sum, int32_t v, unsigned n); /* sum + round_shift(v, n) */
static int16_t round_high(int32_t v);                           /* round_shift(v, 16), which fits */
static int16_t saturate16(int32_t v);
static int16_t round_saturate(int32_t v, unsigned n); /* saturate16(round_shift(v, n)) */

/* a * b, where a is an int32 in -32768..32768. */
static int32_t multiply16(int16_t a, int16_t b);
static int32_t multiply(int32_t a, int16_t b);
static int32_t multiply_unsigned(int32_t a, uint16_t b);

/* Functions of p * 2^n, which is in Q3.12 and cut to -8.0..8.0; n is 13 at most. */
static int32_t sigmoid(int32_t p, unsigned n); /* in Q0.15: 0..32768 */
static int16_t tanh16(int32_t p, unsigned n);  /* 2 sigmoid(2 x) - 1, saturated */

/* Walks the rows of a matrix in order. */
typedef struct {
  const FASTGRNN_FLASH uint8_t* index;
  const FASTGRNN_FLASH int8_t* values;
  uint8_t bits; /* where the next row begins in a byte of a bitmap, as the set counts it */
} cursor;
static cursor first_row(const fastgrnn_matrix* m);

/* p[i] = the next row times in, shifted by m->shift; add_rows() adds it to p[i]. For n rows, BLOCK
 * at most. */
static void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                     int32_t* p);
static void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                     int32_t* p);
/* The same as add_rows() of a dense matrix for four rows, which portable.h's add_rows() calls, and
 * of blocks for four rows, or for the n that are left. */
static void add_four_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, int32_t* p);
static void add_block_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                           int32_t* p);

/* Copies a vector of m->cols values, into the order in which m reads it; to may be from. Vectors
 * lie in scratch memory at multiples of ALIGNMENT values. Where that is above 1, matrices read the
 * state in a copy there too. */
static void arrange(const fastgrnn_matrix* m, const int16_t* from, int16_t* to);
/* An int16 times a multiplier of 1..127 has 7 bits more than an int16. */
enum { INPUT_SHIFT = 7 };

/* to[i] = (x[i] - zero_point) * multiplier, or round_shift(x[i] * multiplier, INPUT_SHIFT), for
 * m->cols values, arranged. */
static void scale_int8(const fastgrnn_matrix* m, const int8_t* x, int zero_point, int multiplier,
                       int16_t* to);
static void scale_int16(const fastgrnn_matrix* m, const int16_t* x, int multiplier, int16_t* to);

/* Optional: what update() of fastgrnn.c does, faster, for the cells that is_usual() names. Where it
 * reads whole vectors of p[], it ends within BLOCK.
 *
 *   void fast_update(const fastgrnn_params* params, const int32_t* p, unsigned i, unsigned n,
 *                    int16_t* state); */

/* Optional: ONE_UPDATE, where the kernel has no second copy of update(), for those cells alone. */

/* Whether a cell is a FastGRNN with tanh, a sigmoid gate and pre-activations in Q3.12. */
static inline int is_usual(const fastgrnn_params* params) {
  return params->cell == FASTGRNN_CELL_FASTGRNN && params->activation == FASTGRNN_TANH &&
         params->recurrent_activation == FASTGRNN_SIGMOID && params->fraction_bits == 12;
}

/* ---- What portable.h has for the sets as well ---- */

static int32_t clip(int32_t v, int32_t low, int32_t high);

/* The next row times in, before its shift. */
static int32_t dense_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in);
static int32_t bitmap_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in);
static int32_t pairs_row(cursor* c, const int16_t* in);

/* ---- The sets ---- */

#if defined(FASTGRNN_PORTABLE) || defined(__ARM_BIG_ENDIAN)
/* portable.h alone */
#elif defined(__AVR_HAVE_MUL__)
#include "avr.h"
#elif FASTGRNN_ARM_M && defined(__ARM_FEATURE_MVE) /* Helium: Cortex-M55, M85 */
#include "mve.h"
#elif FASTGRNN_ARM_M && defined(__ARM_FEATURE_DSP) /* Cortex-M4, M7, M33 */
#include "dsp.h"
#elif FASTGRNN_ARM_M && __ARM_ARCH_ISA_THUMB == 1 /* Cortex-M0, M0+, M1 */
#include "thumb.h"
#elif defined(__riscv_mul)
#include "riscv.h"
#endif

#include "portable.h"

#endif /* FASTGRNN_VARIANT_H_ */
