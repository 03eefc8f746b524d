/* arithmetic.h for the DSP extension of Arm's M profile. */
#ifndef FASTGRNN_ARITHMETIC_DSP_H_
#define FASTGRNN_ARITHMETIC_DSP_H_

#include <arm_acle.h>

/* __ssat() without its warning of a conversion. */
#define SATURATE(v, bits) ((int32_t)__builtin_arm_ssat((v), (bits)))

static inline int16_t saturate16(int32_t v) { return (int16_t)SATURATE(v, 16); }

/* sigmoid(x / 2^bits intervals of the table) - 0.5, with x an int16 and bits 8 or 9. Half a unit is
 * rounded up, but down where x < 0: there sigmoid(x) is 1 - sigmoid(-x). */
static inline int32_t half_sigmoid(const uint32_t* lines, int32_t x, unsigned bits) {
  const int32_t line = (int32_t)lines[x >> bits], down = x >> 31;
  /* Now x is a factor for the rise of the line, and in the upper half 2^(bits - 1) for its value.
   */
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

/* Whether fast_update() knows the cell: a FastGRNN with the usual nonlinearities and format. */
static inline int has_fast_update(const fastgrnn_params* params) {
  return params->cell == FASTGRNN_CELL_FASTGRNN && params->activation == FASTGRNN_TANH &&
         params->recurrent_activation == FASTGRNN_SIGMOID && params->fraction_bits == 12;
}

typedef int16_t __attribute__((aligned(1), may_alias)) unaligned_int16;

/* Hides what a value is made of from GCC, which would make it again for each unit. */
#define KEEP(v) __asm__("" : "+r"(v))

/* As update(). */
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
  const int32_t* const end = p + n;
  KEEP(lines);
  KEEP(bias_unit);
  for (state += i; p != end; ++state, ++bias) {
    const int32_t sum = *p++;
    const int32_t half_x = SATURATE(sum + bias[units] * bias_unit, 15); /* tanh doubles it */
    const int32_t z = half_sigmoid(lines, SATURATE(sum + *bias * bias_unit, 16), 9) + 16384;
    const int32_t c = SATURATE(2 * half_sigmoid(lines, half_x, 8), 16);
    const int32_t v = (__smlatb(mix - zeta * z, c, half) >> mix_shift) + z * *state;
    *state = (int16_t)SATURATE(v >> 15, 16);
  }
}

#endif /* FASTGRNN_ARITHMETIC_DSP_H_ */
