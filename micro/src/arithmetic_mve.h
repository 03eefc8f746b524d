/* arithmetic.h for Helium: four units at once. */
#ifndef FASTGRNN_ARITHMETIC_MVE_H_
#define FASTGRNN_ARITHMETIC_MVE_H_

#include <arm_mve.h>

/* sigmoid() - 0.5 of x, which is a Q3.12 in the upper half of each lane. */
static inline int32x4_t half_sigmoids(int32x4_t x) {
  const int32x4_t lines = vreinterpretq_s32_u32(vldrwq_gather_shifted_offset_u32(
      fastgrnn_sigmoid_lines + 64, vreinterpretq_u32_s32(vshrq_n_s32(x, 25))));
  const int32x4_t rises =
      vmullbq_int_s16(vreinterpretq_s16_s32(lines), vreinterpretq_s16_s32(vshrq_n_s32(x, 16)));
  const int32x4_t values = vmulltq_int_s16(vreinterpretq_s16_s32(lines),
                                           vreinterpretq_s16_s32(vdupq_n_s32(INT32_C(256) << 16)));
  return vshrq_n_s32(vaddq_s32(vaddq_s32(rises, values), vshrq_n_s32(x, 31)), 9);
}

/* Whether fast_update() knows the cell: a FastGRNN with the usual nonlinearities and format. */
static inline int has_fast_update(const fastgrnn_params* params) {
  return params->cell == FASTGRNN_CELL_FASTGRNN && params->activation == FASTGRNN_TANH &&
         params->recurrent_activation == FASTGRNN_SIGMOID && params->fraction_bits == 12;
}

/* p plus int16s that may lie anywhere, times unit. */
static inline int32x4_t add_biases(int32x4_t p, const uint8_t* bias, int32_t unit,
                                   mve_pred16_t lanes) {
  const uint32x4_t bytes = vidupq_n_u32(0, 2);
  const int32x4_t low = vreinterpretq_s32_u32(vldrbq_gather_offset_z_u32(bias, bytes, lanes));
  const int32x4_t high = vldrbq_gather_offset_z_s32((const int8_t*)bias + 1, bytes, lanes);
  return vmlaq_n_s32(vmlaq_n_s32(p, low, unit), high, unit * 256);
}

/* As update(). */
static void fast_update(const fastgrnn_params* params, const int32_t* p, unsigned i, unsigned n,
                        int16_t* state) {
  const uint8_t* bias = params->bias + 2 * i;
  const unsigned units = params->units;
  const int32_t zeta = params->zeta, unit = INT32_C(1) << params->bias_shift;
  const int32_t mix_shift = params->mix_shift;
  const int32_t mix = zeta * 32768 + (int32_t)params->nu + 32768; /* with half a unit of m */
  int32_t left = (int32_t)n;
  for (state += i; left > 0; left -= 4, p += 4, bias += 8, state += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)left);
    const int32x4_t sums = vldrwq_z_s32(p, lanes), h = vldrhq_z_s32(state, lanes);
    const int32x4_t gate = vqshlq_n_s32(add_biases(sums, bias, unit, lanes), 16);
    const int32x4_t x = vqshlq_n_s32(add_biases(sums, bias + 2 * units, unit, lanes), 17);
    const int32x4_t z = vaddq_n_s32(half_sigmoids(gate), 16384);
    const int32x4_t c = vminq_s32(vshlq_n_s32(half_sigmoids(x), 1), vdupq_n_s32(32767));
    const int32x4_t m = vshrq_n_s32(vaddq_n_s32(vmulq_n_s32(z, -zeta), mix), 16);
    const int32x4_t mc = vrshlq_n_s32(vmulq_s32(m, c), -mix_shift);
    const int32x4_t v = vaddq_s32(mc, vmulq_s32(z, h));
    vstrhq_p_s32(state, vreinterpretq_s32_s16(vqrshrnbq_n_s32(vuninitializedq_s16(), v, 15)),
                 lanes);
  }
}

#endif /* FASTGRNN_ARITHMETIC_MVE_H_ */
