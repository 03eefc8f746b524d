/* What the kernel computes with, beside the matrices, in portable C: what every faster version has
 * to equal. Each comment says what the arguments keep to (docs/numerics.md, "No overflow"). */
#ifndef FASTGRNN_ARITHMETIC_H_
#define FASTGRNN_ARITHMETIC_H_

#include "fastgrnn.h"
#include "sigmoid_table.h"

/* Of Arm's M profile: Helium (Cortex-M55), or else the DSP extension (M4, M7, M33), or no more than
 * 16-bit instructions (M0, M0+). */
#if !defined(FASTGRNN_PORTABLE) && __ARM_ARCH_PROFILE == 'M' && !defined(__ARM_BIG_ENDIAN)
#if defined(__ARM_FEATURE_MVE)
#define FASTGRNN_MVE
#elif defined(__ARM_FEATURE_DSP)
#define FASTGRNN_DSP
#elif __ARM_ARCH_ISA_THUMB == 1
#define FASTGRNN_THUMB
#endif
#endif

#ifdef FASTGRNN_DSP
#include "sigmoid_lines.h"
#endif

#if defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_BIG_ENDIAN)
#define FASTGRNN_UNALIGNED
/* A word that may lie anywhere. */
typedef uint32_t __attribute__((aligned(1), may_alias)) unaligned_word;
#endif

static inline int32_t clip(int32_t v, int32_t low, int32_t high) {
  return v < low ? low : v > high ? high : v;
}

#if defined(__AVR_HAVE_MUL__) && !defined(FASTGRNN_PORTABLE)
#include "avr.h"
#else

/* v / 2^n, rounded half up: the only rounding there is. n is 30 at most. */
static inline int32_t round_shift(int32_t v, unsigned n) {
  return (v + ((INT32_C(1) << n) >> 1)) >> n;
}

static inline int32_t add_rounded(int32_t sum, int32_t v, unsigned n) {
  return sum + round_shift(v, n);
}

/* There are others of saturate16() and sigmoid(). */
#ifdef FASTGRNN_DSP
#include "dsp.h"
#else
static inline int16_t saturate16(int32_t v) { return (int16_t)clip(v, -32768, 32767); }
#endif

/* Its results fit. */
static inline int16_t round_high(int32_t v) { return (int16_t)round_shift(v, 16); }

#ifdef FASTGRNN_MVE
#include "mve.h"
#endif

static inline int16_t round_saturate(int32_t v, unsigned n) {
  return saturate16(round_shift(v, n));
}

static inline int32_t multiply16(int16_t a, int16_t b) { return (int32_t)a * b; }

/* a * b, with a in -32768..32768. */
static inline int32_t multiply(int32_t a, int16_t b) { return a * b; }
static inline int32_t multiply_unsigned(int32_t a, uint16_t b) { return a * (int32_t)b; }

#ifndef FASTGRNN_DSP
/* The sigmoid of p * 2^n, which is in Q3.12 and cut to -8.0..8.0, in Q0.15: 0..32768. n is 13 at
 * most. */
static inline int32_t sigmoid(int32_t p, unsigned n) {
  const int32_t limit = INT32_C(32768) >> n;
  const int32_t a = clip(p < 0 ? -p : p, 0, limit) * (INT32_C(1) << n);
  const FASTGRNN_FLASH uint16_t* t = fastgrnn_sigmoid_table + (a >> 9);
  const int32_t y = t[0] + round_shift(((int32_t)t[1] - t[0]) * (a & 511), 9);
  return p < 0 ? 32768 - y : y;
}
#endif

/* 2 sigmoid(2 x) - 1 */
static inline int16_t tanh16(int32_t p, unsigned n) {
  return saturate16(2 * sigmoid(p, n + 1) - 32768);
}

#endif

#endif /* FASTGRNN_ARITHMETIC_H_ */
