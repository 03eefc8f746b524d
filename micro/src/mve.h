/* Helium (MVE: Cortex-M55, M85): eight columns of four rows at once, and eight units. */
#ifndef FASTGRNN_MVE_H_
#define FASTGRNN_MVE_H_

#include <arm_mve.h>

#define set_rows set_rows
#define add_rows add_rows
#define arrange arrange
#define fast_update fast_update
#define BLOCK 128 /* fast_update() reads whole vectors of eight sums */

/* ---- Vectors and rows ---- */

static inline void arrange(const fastgrnn_matrix* m, const int16_t* from, int16_t* to) {
  const int16_t* const end = from + m->cols;
  if (from == to) return;
  __asm__ volatile(
      "dlstp.16 lr, %[n]\n"
      "1: vldrh.16 q0, [%[from]], #16\n"
      "vstrh.16 q0, [%[to]], #16\n"
      "letp lr, 1b"
      : [from] "+r"(from), [to] "+r"(to)
      : [n] "r"(end - from)
      : "lr", "q0", "memory");
}

/* Adds the products of q0 and eight weights of a row, widened. */
#define MULTIPLY_ROW(w, sum) "vldrb.s16 q1, [" w "], #8\nvmlava.s16 " sum ", q0, q1\n"

/* p[i] = the next row times in, shifted, plus p[i] if add; for n rows. The last turn of a loop of
 * columns masks the lanes past the row, and reads nothing there. */
static inline void dense_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                              int add, int32_t* p) {
  const unsigned cols = m->cols, shift = m->shift;
  const int32x4_t right = vdupq_n_s32(-(int32_t)shift);
  /* Four rows begin with these: x, the way from the end of w0 to the next four, and two sums. */
  const int32x4_t start = {(int32_t)in, (int32_t)(4 * cols - (cols + 7) / 8 * 8), 0, 0};
  const int8_t* w0 = c->values;
  const int16_t* x = in;
  int32_t *const end = p + n, *const fours_end = p + n / 4 * 4;
  c->values += n * cols;
  if (p != fours_end) {
    do {
      const int8_t *w1, *w2, *w3;
      int32_t sum0, sum1, sum2, sum3;
      int32x4_t sums;
      __asm__(
          "add %[w1], %[w0], %[cols]\n"
          "add %[w2], %[w1], %[cols]\n"
          "add %[w3], %[w2], %[cols]\n"
          "vmov %[sum0], %[sum1], %f[start]\n"
          "vmov %[sum2], %[sum3], %f[start]\n"
          "dlstp.16 lr, %[cols]\n"
          "1: vldrh.16 q0, [%[x]], #16\n"
          /* clang-format off */
        MULTIPLY_ROW("%[w0]", "%[sum0]")
        MULTIPLY_ROW("%[w1]", "%[sum1]")
        MULTIPLY_ROW("%[w2]", "%[sum2]")
        MULTIPLY_ROW("%[w3]", "%[sum3]")
          /* clang-format on */
          "letp lr, 1b\n"
          "vmov %e[sums], %[sum0], %[sum1]\n"
          "vmov %f[sums], %[sum2], %[sum3]\n"
          "vmov %[x], %[sum0], %e[start]\n"
          "add %[w0], %[w0], %[sum0]"
          : [x] "+r"(x), [w0] "+l"(w0), [w1] "=&l"(w1), [w2] "=&l"(w2), [w3] "=&l"(w3),
            [sum0] "=&Te"(sum0), [sum1] "=&Te"(sum1), [sum2] "=&Te"(sum2), [sum3] "=&Te"(sum3),
            [sums] "=&w"(sums)
          : [cols] "r"(cols), [start] "w"(start)
          : "lr", "q0", "q1", "memory");
      sums = vrshlq_s32(sums, right);
      if (add) sums = vaddq_s32(sums, vldrwq_s32(p));
      vstrwq_s32(p, sums);
      p += 4;
    } while (p != fours_end);
  }
  for (; p != end; ++p, w0 += cols) {
    const int8_t* w = w0;
    int32_t sum = 0;
    x = in;
    __asm__(
        "dlstp.16 lr, %[cols]\n"
        "1: vldrh.16 q0, [%[x]], #16\n" MULTIPLY_ROW("%[w]", "%[sum]") "letp lr, 1b"
        : [x] "+r"(x), [w] "+l"(w), [sum] "+Te"(sum)
        : [cols] "r"(cols)
        : "lr", "q0", "q1", "memory");
    *p = (add ? *p : 0) + round_shift(sum, shift);
  }
}

/* Functions of their own, so that GCC finds enough registers for dense_rows(). */
#define APART __attribute__((noinline)) static

APART void sparse_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n, int add,
                       int32_t* p) {
  if (m->encoding == FASTGRNN_BLOCKS) {
    unsigned i;
    for (i = 0; !add && i < n; ++i) p[i] = 0;
    for (i = 0; i < n; i += 4) add_block_rows(m, c, in, n - i < 4 ? n - i : 4, p + i);
    return;
  }
  for (; n != 0; --n, ++p) {
    const int32_t sum = m->encoding == FASTGRNN_BITMAP ? bitmap_row(m, c, in) : pairs_row(c, in);
    *p = (add ? *p : 0) + round_shift(sum, m->shift);
  }
}

APART void set_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                    int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(m, c, in, n, 0, p);
  } else {
    sparse_rows(m, c, in, n, 0, p);
  }
}

APART void add_rows(const fastgrnn_matrix* m, cursor* c, const int16_t* in, unsigned n,
                    int32_t* p) {
  if (m->encoding == FASTGRNN_DENSE) {
    dense_rows(m, c, in, n, 1, p);
  } else {
    sparse_rows(m, c, in, n, 1, p);
  }
}

/* ---- The update ---- */

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

/* p + bias * unit, saturated to int16; p holds the even units in val[0] and the odd ones in val[1].
 */
static inline int16x8_t add_biases(int32x4x2_t p, int16x8_t bias, int32_t unit) {
  int32x4_t even = vmlaq_n_s32(p.val[0], vmovlbq_s16(bias), unit);
  const int32x4_t odd = vmlaq_n_s32(p.val[1], vmovltq_s16(bias), unit);
  NARROW("vqmovn", "s32", "", even, odd);
  return vreinterpretq_s16_s32(even);
}

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

#endif /* FASTGRNN_MVE_H_ */
