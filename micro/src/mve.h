/* arithmetic.h for Helium: eight units at once. */
#ifndef FASTGRNN_ARITHMETIC_MVE_H_
#define FASTGRNN_ARITHMETIC_MVE_H_

#include <arm_mve.h>

/* sigmoid(abs(x)) - 0.5. The upper 7 bits of abs(x), 64 at most, are a line of the
 * table, and the others a factor of its rise. In assembler and volatile, as GCC would mix two of
 * them until registers run out. */
static inline int16x8_t half_sigmoids(int16x8_t x) {
  int16x8_t y, next, line, factor;
  __asm__ volatile(
      "vabs.s16 %q[factor], %q[x]\n"
      "vshr.u16 %q[line], %q[factor], #9\n"
      "vldrh.u16 %q[y], [%[table], %q[line], uxtw #1]\n"
      "vldrh.u16 %q[next], [%[table1], %q[line], uxtw #1]\n"
      "vshl.i16 %q[factor], %q[factor], #7\n"
      "vsub.i16 %q[next], %q[next], %q[y]\n"
      "vrmulh.u16 %q[next], %q[next], %q[factor]\n"
      "vsub.i16 %q[y], %q[y], %[half]\n"
      "vadd.i16 %q[y], %q[y], %q[next]"
      : [y] "=&w"(y), [next] "=&w"(next), [line] "=&w"(line), [factor] "=&w"(factor)
      : [x] "w"(x), [table] "r"(fastgrnn_sigmoid_table), [table1] "r"(fastgrnn_sigmoid_table + 1),
        [half] "r"(16384));
  return y;
}

/* Negates y where x is lt or ge 0. In assembler, as GCC moves the predicates of intrinsics out of
 * their register and back. */
#define NEGATE_WHERE(x, condition, y) \
  __asm__("vpt.s16 " condition ", %q1, zr\nvnegt.s16 %q0, %q0" : "+w"(y) : "w"(x) : "p0")

/* An instruction that narrows even units, in place, and odd ones into the gaps. In assembler, as
 * GCC would narrow a copy. */
#define NARROW(instruction, type, shift, even, odd)                                            \
  __asm__(instruction "b." type " %q0, %q0" shift "\n" instruction "t." type " %q0, %q1" shift \
          : "+w"(even)                                                                         \
          : "w"(odd))

/* Whether fast_update() knows the cell: a FastGRNN with the usual nonlinearities and format. */
static inline int has_fast_update(const fastgrnn_params* params) {
  return params->cell == FASTGRNN_CELL_FASTGRNN && params->activation == FASTGRNN_TANH &&
         params->recurrent_activation == FASTGRNN_SIGMOID && params->fraction_bits == 12;
}

/* p, of which each half has every second unit, plus biases times unit; cut to int16. */
static inline int16x8_t add_biases(int32x4x2_t p, int16x8_t bias, int32_t unit) {
  int32x4_t even = vmlaq_n_s32(p.val[0], vmovlbq_s16(bias), unit);
  const int32x4_t odd = vmlaq_n_s32(p.val[1], vmovltq_s16(bias), unit);
  NARROW("vqmovn", "s32", "", even, odd);
  return vreinterpretq_s16_s32(even);
}

/* As update(). */
static void fast_update(const fastgrnn_params* params, const int32_t* p, unsigned i, unsigned n,
                        int16_t* state) {
  const uint8_t *gate_bias = params->bias + 2 * i, *bias = gate_bias + 2 * params->units;
  const uint16x8_t zeta = vdupq_n_u16(params->zeta);
  const int32_t unit = INT32_C(1) << params->bias_shift, mix_shift = params->mix_shift;
  const uint32_t nu = params->nu + 32768; /* with half a unit of m */
  int32_t left = (int32_t)n;
  for (state += i; left > 0; left -= 8, p += 8, gate_bias += 16, bias += 16, state += 8) {
    const int32x4x2_t sums = vld2q_s32(p);
    int16x8_t h, gate, x, minus_z, c;
    uint16x8_t rest;
    uint32x4_t mix0, mix1;
    int32x4_t v0, v1;
    __asm__(
        "vctp.16 %[left]\n"
        "vpsttt\n"
        "vldrbt.8 %q[gate], [%[gate_bias]]\n" /* bytes: biases may lie anywhere */
        "vldrbt.8 %q[x], [%[bias]]\n"
        "vldrht.16 %q[h], [%[state]]"
        : [gate] "=&w"(gate), [x] "=&w"(x), [h] "=&w"(h)
        : [left] "r"(left), [gate_bias] "r"(gate_bias), [bias] "r"(bias), [state] "r"(state)
        : "p0", "memory");
    gate = add_biases(sums, gate, unit);
    x = add_biases(sums, x, unit);
    x = vqaddq_s16(x, x);
    c = half_sigmoids(x);
    NEGATE_WHERE(x, "lt", c);
    c = vqaddq_s16(c, c);
    x = half_sigmoids(gate);
    NEGATE_WHERE(gate, "ge", x);
    rest = vreinterpretq_u16_s16(vaddq_n_s16(x, 16384)); /* 1 - z */
    minus_z = vsubq_n_s16(x, 16384);                     /* an int16 where z is 1, too */
    mix0 = vaddq_n_u32(vmullbq_int_u16(rest, zeta), nu);
    mix1 = vaddq_n_u32(vmulltq_int_u16(rest, zeta), nu);
    NARROW("vshrn", "i32", ", #16", mix0, mix1);
    x = vreinterpretq_s16_u32(mix0); /* m */
    v0 = vrshlq_n_s32(vmullbq_int_s16(x, c), -mix_shift);
    v1 = vrshlq_n_s32(vmulltq_int_s16(x, c), -mix_shift);
    v0 = vsubq_s32(v0, vmullbq_int_s16(minus_z, h));
    v1 = vsubq_s32(v1, vmulltq_int_s16(minus_z, h));
    NARROW("vqrshrn", "s32", ", #15", v0, v1);
    __asm__("vctp.16 %[left]\nvpst\nvstrht.16 %q[v0], [%[state]]"
            :
            : [v0] "w"(v0), [left] "r"(left), [state] "r"(state)
            : "p0", "memory");
  }
}

#endif /* FASTGRNN_ARITHMETIC_MVE_H_ */
