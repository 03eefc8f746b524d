/* See fastgrnn.h. docs/numerics.md proves that no sum or product here leaves int32, for any
 * weights, state and input, once fastgrnn_init() has accepted the options. */
#include "fastgrnn.h"

#include "bytes.h"
#include "variant.h"

#ifdef __GNUC__
#define INLINED inline __attribute__((always_inline))
#else
#define INLINED inline
#endif

/* C99 leaves the shift of a negative number to the compiler; every one we know of, and this code,
 * takes it as a floor division. */
typedef char fastgrnn_requires_arithmetic_shift[(-1 >> 1) == -1 ? 1 : -1];

/* p * 2^n in Q3.12, cut to -8.0..8.0. */
static int32_t clip_q3_12(int32_t p, unsigned n) {
  const int32_t limit = INT32_C(32768) >> n;
  return clip(p, -limit, limit) * (INT32_C(1) << n);
}

/* A bounded nonlinearity of a pre-activation, in Q0.15 with 1.0 = 32768. */
static int32_t activate(unsigned activation, int32_t p, unsigned fraction_bits) {
  const unsigned n = 12 - fraction_bits;
  switch (activation) {
    case FASTGRNN_SIGMOID:
      return sigmoid(p, n);
    case FASTGRNN_TANH: /* 2 sigmoid(2 x) - 1 */
      return 2 * sigmoid(p, n + 1) - 32768;
    case FASTGRNN_QUANT_SIGMOID: /* (x + 1) / 2 */
      return clip((clip_q3_12(p, n) + 4096) * 4, 0, 32768);
    default: /* FASTGRNN_QUANT_TANH */
      return clip(clip_q3_12(p, n) * 8, -32768, 32768);
  }
}

/* The first factor of a low-rank kernel. Its rows are few: not all of BLOCK is put on the stack. */
enum { PROJECTED = BLOCK < 16 ? BLOCK : 16 };
static void project(const fastgrnn_matrix* m, const int16_t* in, int16_t* out) {
  cursor rows = first_row(m);
  unsigned left = m->rows, n, i;
  for (; left != 0; left -= n) {
    int32_t p[PROJECTED];
    n = left < PROJECTED ? left : PROJECTED;
    set_rows(m, &rows, in, n, p);
    for (i = 0; i < n; ++i) *out++ = saturate16(p[i]);
  }
}

static inline int32_t read_bias(const FASTGRNN_FLASH uint8_t* bias, unsigned shift) {
  return (int32_t)((uint32_t)(int16_t)read_u16(bias) << shift);
}

/* The fields of params by which the update of a unit differs from cell to cell. */
typedef struct {
  uint8_t cell, activation, recurrent_activation, fraction_bits, gate_shift;
} kind;

static inline int32_t gate(kind k, int32_t p) {
  if (k.recurrent_activation == FASTGRNN_RELU) {
    const unsigned bits = (unsigned)k.fraction_bits + k.gate_shift;
    return clip(p, 0, INT32_C(1) << bits) << (15 - bits);
  }
  if (k.recurrent_activation == FASTGRNN_SIGMOID) return sigmoid(p, 12u - k.fraction_bits);
  return activate(k.recurrent_activation, p, k.fraction_bits);
}

static inline int16_t candidate(kind k, int32_t p) {
  if (k.activation == FASTGRNN_RELU) return (int16_t)clip(p, 0, 32767);
  if (k.activation == FASTGRNN_TANH) return tanh16(p, 12u - k.fraction_bits);
  return saturate16(activate(k.activation, p, k.fraction_bits));
}

/* The new state of n units from the i-th, of which p is W x + U h. */
static INLINED void update_kind(kind k, const fastgrnn_params* params, const int32_t* p, unsigned i,
                                unsigned n, int16_t* state) {
  const int gated = k.cell == FASTGRNN_CELL_FASTGRNN;
  /* zeta (1 - z) + nu where z is 0 */
  const int32_t most =
      (int32_t)params->zeta * (INT32_C(32768) >> k.gate_shift) + (int32_t)params->nu;
  const unsigned mix_shift = params->mix_shift, bias_shift = params->bias_shift;
  const uint16_t zeta = params->zeta;
  const FASTGRNN_FLASH uint8_t* bias = params->bias + 2 * i;
  const FASTGRNN_FLASH uint8_t* candidate_bias = gated ? bias + 2 * params->units : bias;
  for (state += i; n != 0; --n, ++p, ++state, bias += 2, candidate_bias += 2) {
    const int16_t c = candidate(k, *p + read_bias(candidate_bias, bias_shift));
    const int32_t z = gated ? gate(k, *p + read_bias(bias, bias_shift)) : params->beta;
    const int32_t kept = multiply(z, *state);
    const int16_t m = round_high(most - multiply_unsigned(z, zeta));
    const int32_t v = add_rounded(kept, multiply16(m, c), mix_shift);
    *state = round_saturate(v, 15u - k.gate_shift);
  }
}

/* The usual cell has code of its own, in which its kind is constant. */
static void update(const fastgrnn_params* params, const int32_t* p, unsigned i, unsigned n,
                   int16_t* state) {
#if !defined(fast_update) && !defined(ONE_UPDATE)
  if (is_usual(params)) {
    const kind usual = {FASTGRNN_CELL_FASTGRNN, FASTGRNN_TANH, FASTGRNN_SIGMOID, 12, 0};
    update_kind(usual, params, p, i, n, state);
    return;
  }
#endif
  {
    const kind any = {params->cell, params->activation, params->recurrent_activation,
                      params->fraction_bits, params->gate_shift};
    update_kind(any, params, p, i, n, state);
  }
}

/* Whether a matrix reads the state in a copy, since the state lies anywhere. */
enum { COPIES_STATE = ALIGNMENT > 1 };

/* Values from one vector in scratch memory to the next. */
#define ALIGNED(size) (((size) + ALIGNMENT - 1u) / ALIGNMENT * ALIGNMENT)

size_t fastgrnn_scratch_size(const fastgrnn_params* params) {
  const size_t inputs = ALIGNED(params->features) + ALIGNED(params->kernel_rank);
  if (COPIES_STATE) {
    return ALIGNMENT - 1u + inputs + ALIGNED(params->recurrent_rank) + params->units;
  }
  return inputs + (params->recurrent_rank != 0 ? params->recurrent_rank : params->units);
}

/* x, without its zero point, in the format of the kernel's sums and the order of its first matrix.
 */
static void scale_inputs(const fastgrnn_params* params, const void* x, int16_t* input) {
  const fastgrnn_matrix* const m = &params->kernel[params->kernel_rank == 0];
  if ((params->types & FASTGRNN_INT16_INPUT) != 0) {
    scale_int16(m, (const int16_t*)x, params->input_multiplier, input);
  } else {
    scale_int8(m, (const int8_t*)x, params->input_zero_point, params->input_multiplier, input);
  }
}

void fastgrnn_step(const fastgrnn_params* params, const void* x, int16_t* state, int16_t* scratch) {
  int16_t* const input = scratch + (0u - (uintptr_t)scratch / sizeof(int16_t)) % ALIGNMENT;
  int16_t* const projected = input + ALIGNED(params->features);
  int16_t* const recurrent_in = projected + ALIGNED(params->kernel_rank);
  int16_t* const kernel_in = params->kernel_rank != 0 ? projected : input;
  cursor kernel_rows = first_row(&params->kernel[1]);
  cursor recurrent_rows = first_row(&params->recurrent_kernel[1]);
  unsigned i, n;

  scale_inputs(params, x, input);
  if (params->kernel_rank != 0) {
    project(&params->kernel[0], input, projected);
    arrange(&params->kernel[1], projected, projected);
  }
  if (params->recurrent_rank != 0) {
    int16_t* const in = COPIES_STATE ? recurrent_in + ALIGNED(params->recurrent_rank) : state;
    arrange(&params->recurrent_kernel[0], state, in);
    project(&params->recurrent_kernel[0], in, recurrent_in);
    arrange(&params->recurrent_kernel[1], recurrent_in, recurrent_in);
  } else { /* each unit reads the whole old state, of which the new one takes the place */
    arrange(&params->recurrent_kernel[1], state, recurrent_in);
  }

  for (i = 0; i < params->units; i += n) {
    int32_t p[BLOCK];
    n = params->units - i < BLOCK ? params->units - i : BLOCK;
    set_rows(&params->kernel[1], &kernel_rows, kernel_in, n, p);
    add_rows(&params->recurrent_kernel[1], &recurrent_rows, recurrent_in, n, p);
#ifdef fast_update
    if (is_usual(params)) {
      fast_update(params, p, i, n, state);
      continue;
    }
#endif
    update(params, p, i, n, state);
  }
}

void fastgrnn_output(const fastgrnn_params* params, const int16_t* state, void* y) {
  const int16_t multiplier = (int16_t)params->output_multiplier;
  const unsigned shift = params->output_shift;
  const int32_t zero_point = params->output_zero_point;
  const int16_t* const end = state + params->units;
  if ((params->types & FASTGRNN_INT16_OUTPUT) != 0) {
    int16_t* to = (int16_t*)y;
    while (state != end) *to++ = round_saturate(multiply16(*state++, multiplier), shift);
  } else {
    int8_t* to = (int8_t*)y;
    while (state != end) {
      const int32_t v = round_shift(multiply16(*state++, multiplier), shift) + zero_point;
      *to++ = (int8_t)clip(v, -128, 127);
    }
  }
}

void fastgrnn_run(const fastgrnn_params* params, const void* x, size_t timesteps, int16_t* state,
                  int16_t* scratch, void* y) {
  const size_t units = params->units;
  const size_t x_bytes = params->features * (params->types & FASTGRNN_INT16_INPUT ? 2u : 1u);
  const size_t y_bytes = units * (params->types & FASTGRNN_INT16_OUTPUT ? 2u : 1u);
  const unsigned flags = params->flags;
  size_t i;
  if ((flags & FASTGRNN_STATEFUL) == 0) {
    for (i = 0; i < units; ++i) state[i] = 0;
  }
  for (i = 0; i < timesteps; ++i) {
    const size_t from = (flags & FASTGRNN_GO_BACKWARDS) ? timesteps - 1 - i : i;
    fastgrnn_step(params, (const uint8_t*)x + from * x_bytes, state, scratch);
    if ((flags & FASTGRNN_RETURN_SEQUENCES) != 0) {
      const size_t to = (flags & FASTGRNN_REVERSE_OUTPUT) ? timesteps - 1 - i : i;
      fastgrnn_output(params, state, (uint8_t*)y + to * y_bytes);
    }
  }
  if ((flags & FASTGRNN_RETURN_SEQUENCES) == 0) fastgrnn_output(params, state, y);
}
