/* See fastgrnn.h. docs/numerics.md proves that no sum or product here leaves int32, for any
 * weights, state and input, once fastgrnn_init() has accepted the options. */
#include "fastgrnn.h"

#include "arithmetic.h"
#include "vectors.h"

#if defined(__AVR_HAVE_MUL__) && !defined(FASTGRNN_PORTABLE)
#include "matrix_avr.h"
#else
#include "matrix.h"
#endif

#ifdef __AVR__
#include <avr/pgmspace.h>
#endif

/* C99 leaves the shift of a negative number to the compiler; every one we know of, and this code,
 * takes it as a floor division. */
typedef char fastgrnn_requires_arithmetic_shift[(-1 >> 1) == -1 ? 1 : -1];

enum { MIN_SUM_SHIFT = 2, MAX_SHIFT = 22 };

#define MIX_MAX UINT32_C(0x7fff7fff) /* what rounds to 32767 in the upper half of an int32 */

/* ---- Reading the two blocks ---- */

static uint16_t read_u16(const FASTGRNN_FLASH uint8_t* p) {
#ifdef __AVR__
  return pgm_read_word(p); /* GCC joins two __flash bytes to one word, which it may read from RAM */
#else
  return (uint16_t)(p[0] | ((unsigned)p[1] << 8));
#endif
}

static int32_t read_i16(const FASTGRNN_FLASH uint8_t* p) { return (int32_t)(int16_t)read_u16(p); }

static uint32_t read_u32(const FASTGRNN_FLASH uint8_t* p) {
  return read_u16(p) | ((uint32_t)read_u16(p + 2) << 16);
}

typedef struct {
  const FASTGRNN_FLASH uint8_t* position;
  size_t left;
} block;

/* Takes size bytes off the block; NULL if it has fewer. Sizes are uint32_t, since 511 x 511 weights
 * are more than the size_t of a small chip can count. */
static const FASTGRNN_FLASH uint8_t* take(block* b, uint32_t size) {
  const FASTGRNN_FLASH uint8_t* start = b->position;
  if (size > b->left) return NULL;
  b->position += size;
  b->left -= (size_t)size;
  return start;
}

static fastgrnn_status init_bitmap(fastgrnn_matrix* m, block* weights, uint32_t size) {
  uint32_t i, count = 0;
  m->index = take(weights, (size + 7) / 8);
  if (m->index == NULL) return FASTGRNN_ERROR_WEIGHTS_SIZE;
  if (size % 8 != 0 && (m->index[size / 8] >> (size % 8)) != 0) return FASTGRNN_ERROR_WEIGHTS;
  for (i = 0; i < size; ++i) count += ((unsigned)m->index[i / 8] >> (i % 8)) & 1u;
  m->values = (const FASTGRNN_FLASH int8_t*)take(weights, count);
  return m->values == NULL ? FASTGRNN_ERROR_WEIGHTS_SIZE : FASTGRNN_OK;
}

static fastgrnn_status init_pairs(fastgrnn_matrix* m, block* weights) {
  unsigned row, i;
  m->index = take(weights, m->rows);
  m->values = (const FASTGRNN_FLASH int8_t*)weights->position;
  if (m->index == NULL) return FASTGRNN_ERROR_WEIGHTS_SIZE;
  for (row = 0; row < m->rows; ++row) {
    const FASTGRNN_FLASH uint8_t* const pairs = take(weights, 2u * m->index[row]);
    unsigned least = 0; /* of the next index: they ascend */
    if (pairs == NULL) return FASTGRNN_ERROR_WEIGHTS_SIZE;
    for (i = 0; i < m->index[row]; ++i) {
      if (pairs[2 * i] < least || pairs[2 * i] >= m->cols) return FASTGRNN_ERROR_WEIGHTS;
      least = pairs[2 * i] + 1u;
    }
  }
  return FASTGRNN_OK;
}

static fastgrnn_status init_matrix(fastgrnn_matrix* m, block* weights, unsigned encoding,
                                   unsigned rows, unsigned cols, uint8_t shift) {
  const uint32_t size = (uint32_t)rows * cols;
  m->index = NULL;
  m->rows = (uint16_t)rows;
  m->cols = (uint16_t)cols;
  m->shift = shift;
  m->encoding = (uint8_t)encoding;
  if (encoding == FASTGRNN_BITMAP) return init_bitmap(m, weights, size);
  if (encoding == FASTGRNN_PAIRS) return init_pairs(m, weights);
  m->values = (const FASTGRNN_FLASH int8_t*)take(weights, size);
  return m->values == NULL ? FASTGRNN_ERROR_WEIGHTS_SIZE : FASTGRNN_OK;
}

/* Both matrices of a kernel, or the one if rank is 0. */
static fastgrnn_status init_kernel(fastgrnn_matrix m[2], block* weights, unsigned encodings,
                                   unsigned inputs, unsigned rank, unsigned units,
                                   const FASTGRNN_FLASH uint8_t shift[2]) {
  fastgrnn_status status = FASTGRNN_OK;
  if (rank != 0) {
    status = init_matrix(&m[0], weights, encodings & 3u, rank, inputs, shift[0]);
  }
  if (status != FASTGRNN_OK) return status;
  return init_matrix(&m[1], weights, encodings >> 2 & 3u, units, rank != 0 ? rank : inputs,
                     shift[1]);
}

static int is_dim(unsigned value) { return value >= 1 && value <= FASTGRNN_MAX_DIM; }

/* Whether the shifts and encodings of a kernel are in range, and unused fields 0. */
static int kernel_is_valid(unsigned inputs, unsigned rank, unsigned encodings,
                           const FASTGRNN_FLASH uint8_t shift[2]) {
  const unsigned first = encodings & 3u, last = encodings >> 2 & 3u;
  if (first > FASTGRNN_PAIRS || last > FASTGRNN_PAIRS) return 0;
  if (first == FASTGRNN_PAIRS && inputs > FASTGRNN_MAX_PAIRS) return 0;
  if (last == FASTGRNN_PAIRS && (rank != 0 ? rank : inputs) > FASTGRNN_MAX_PAIRS) return 0;
  if (shift[1] < MIN_SUM_SHIFT || shift[1] > MAX_SHIFT) return 0;
  if (rank == 0) return shift[0] == 0 && first == 0;
  return rank <= FASTGRNN_MAX_DIM && shift[0] <= MAX_SHIFT;
}

static int options_are_valid(const fastgrnn_params* p, const FASTGRNN_FLASH uint8_t* shift,
                             unsigned encodings) {
  const int gated = p->cell == FASTGRNN_CELL_FASTGRNN;
  const int relu_gate = gated && p->recurrent_activation == FASTGRNN_RELU;
  const int tanh_gate = gated && (p->recurrent_activation == FASTGRNN_TANH ||
                                  p->recurrent_activation == FASTGRNN_QUANT_TANH);
  uint32_t mix;
  if (p->cell > FASTGRNN_CELL_FASTGRNN || p->activation > FASTGRNN_QUANT_SIGMOID ||
      p->recurrent_activation > FASTGRNN_QUANT_SIGMOID || p->flags > 15) {
    return 0;
  }
  if (!is_dim(p->units) || !is_dim(p->features) ||
      !kernel_is_valid(p->features, p->kernel_rank, encodings, shift) ||
      !kernel_is_valid(p->units, p->recurrent_rank, encodings >> 4, shift + 2)) {
    return 0;
  }
  if (p->input_multiplier < 1 || p->input_multiplier > 127 || p->fraction_bits > 12 ||
      p->bias_shift > 15 || p->mix_shift > 15 || p->output_multiplier < 1 ||
      p->output_multiplier > 32767 || p->output_shift > 30) {
    return 0;
  }
  if (p->gate_shift > (relu_gate ? 15 - p->fraction_bits : 0)) return 0;
  if (gated ? p->beta != 0 : (p->beta > 32768u || p->zeta != 0 || p->recurrent_activation != 0)) {
    return 0;
  }
  /* The largest zeta * (1 - z) + nu. */
  mix = p->zeta * (tanh_gate ? UINT32_C(65536) : UINT32_C(32768) >> p->gate_shift);
  return mix <= MIX_MAX && p->nu <= MIX_MAX - mix;
}

fastgrnn_status fastgrnn_init(const FASTGRNN_FLASH uint8_t* options, size_t options_size,
                              const FASTGRNN_FLASH uint8_t* weights, size_t weights_size,
                              fastgrnn_params* p) {
  const FASTGRNN_FLASH uint8_t* shift;
  block rest;
  fastgrnn_status status;
  unsigned encodings;
  if (p == NULL || (options == NULL && options_size != 0) ||
      (weights == NULL && weights_size != 0)) {
    return FASTGRNN_ERROR_NULL;
  }
  if (options_size >= 1 && options[0] != FASTGRNN_VERSION) return FASTGRNN_ERROR_VERSION;
  if (options_size != FASTGRNN_OPTIONS_SIZE) return FASTGRNN_ERROR_OPTIONS_SIZE;
  shift = options + 16;
  p->cell = options[1];
  p->activation = options[2];
  p->recurrent_activation = options[3];
  p->flags = options[4];
  encodings = options[5];
  p->units = read_u16(options + 6);
  p->features = read_u16(options + 8);
  p->kernel_rank = read_u16(options + 10);
  p->recurrent_rank = read_u16(options + 12);
  p->input_zero_point = (int8_t)options[14];
  p->input_multiplier = options[15];
  p->fraction_bits = options[20];
  p->gate_shift = options[21];
  p->bias_shift = options[22];
  p->mix_shift = options[23];
  p->zeta = read_u16(options + 24);
  p->beta = read_u16(options + 26);
  p->nu = read_u32(options + 28);
  p->output_multiplier = read_u16(options + 32);
  p->output_shift = options[34];
  p->output_zero_point = (int8_t)options[35];
  if (!options_are_valid(p, shift, encodings)) return FASTGRNN_ERROR_OPTIONS;

  rest.position = weights;
  rest.left = weights_size;
  status = init_kernel(p->kernel, &rest, encodings, p->features, p->kernel_rank, p->units, shift);
  if (status != FASTGRNN_OK) return status;
  status = init_kernel(p->recurrent_kernel, &rest, encodings >> 4, p->units, p->recurrent_rank,
                       p->units, shift + 2);
  if (status != FASTGRNN_OK) return status;
  p->bias = take(&rest, 2u * p->units * (p->cell == FASTGRNN_CELL_FASTGRNN ? 2u : 1u));
  return p->bias == NULL || rest.left != 0 ? FASTGRNN_ERROR_WEIGHTS_SIZE : FASTGRNN_OK;
}

const char* fastgrnn_status_string(fastgrnn_status status) {
  switch (status) {
    case FASTGRNN_OK:
      return "ok";
    case FASTGRNN_ERROR_OPTIONS_SIZE:
      return "FASTGRNN: the options block has a wrong size; the model is damaged";
    case FASTGRNN_ERROR_VERSION:
      return "FASTGRNN: the options block is of another version; export the model again or "
             "update this kernel";
    case FASTGRNN_ERROR_OPTIONS:
      return "FASTGRNN: a field of the options block is out of its range; the model is damaged";
    case FASTGRNN_ERROR_WEIGHTS_SIZE:
      return "FASTGRNN: the weights block has a wrong size; the model is damaged";
    case FASTGRNN_ERROR_WEIGHTS:
      return "FASTGRNN: the weights block holds an impossible index; the model is damaged";
    case FASTGRNN_ERROR_NULL:
      return "FASTGRNN: a pointer to the options, the weights or the parameters is NULL";
  }
  return "FASTGRNN: unknown status";
}

/* ---- Arithmetic ---- */

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

static int32_t gate(const fastgrnn_params* params, int32_t p) {
  if (params->recurrent_activation == FASTGRNN_RELU) {
    const unsigned bits = (unsigned)params->fraction_bits + params->gate_shift;
    return clip(p, 0, INT32_C(1) << bits) << (15 - bits);
  }
  return activate(params->recurrent_activation, p, params->fraction_bits);
}

static int16_t candidate(const fastgrnn_params* params, int32_t p) {
  if (params->activation == FASTGRNN_RELU) return (int16_t)clip(p, 0, 32767);
  if (params->activation == FASTGRNN_TANH) return tanh16(p, 12u - params->fraction_bits);
  return saturate16(activate(params->activation, p, params->fraction_bits));
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

static int32_t read_bias(const fastgrnn_params* params, const FASTGRNN_FLASH uint8_t* bias) {
  return (int32_t)((uint32_t)read_i16(bias) << params->bias_shift);
}

/* The new state of n units from the i-th, of which p is W x + U h. */
static void update(const fastgrnn_params* params, const int32_t* p, unsigned i, unsigned n,
                   int16_t* state) {
  const int gated = params->cell == FASTGRNN_CELL_FASTGRNN;
  /* zeta (1 - z) + nu where z is 0 */
  const int32_t most =
      (int32_t)params->zeta * (INT32_C(32768) >> params->gate_shift) + (int32_t)params->nu;
  const FASTGRNN_FLASH uint8_t* bias = params->bias + 2 * i;
  for (; n != 0; --n, ++p, ++i, bias += 2) {
    const FASTGRNN_FLASH uint8_t* const candidate_bias = gated ? bias + 2 * params->units : bias;
    const int16_t c = candidate(params, *p + read_bias(params, candidate_bias));
    const int32_t z = gated ? gate(params, *p + read_bias(params, bias)) : params->beta;
    const int32_t kept = multiply(z, state[i]);
    const int16_t m = round_high(most - multiply_unsigned(z, params->zeta));
    const int32_t v = add_rounded(kept, multiply16(m, c), params->mix_shift);
    state[i] = round_saturate(v, 15u - params->gate_shift);
  }
}

size_t fastgrnn_scratch_size(const fastgrnn_params* params) { return vectors_size(params); }

void fastgrnn_step(const fastgrnn_params* params, const int8_t* x, int16_t* state,
                   int16_t* scratch) {
  int16_t* const input = first_vector(scratch);
  int16_t* const projected = next_vector(input, params->features);
  int16_t* const recurrent_in = next_vector(projected, params->kernel_rank);
  int16_t* const kernel_in = params->kernel_rank != 0 ? projected : input;
  cursor kernel_rows = first_row(&params->kernel[1]);
  cursor recurrent_rows = first_row(&params->recurrent_kernel[1]);
  const unsigned features = params->features;
  const int zero_point = params->input_zero_point, multiplier = params->input_multiplier;
  unsigned i, n;

  for (i = 0; i < features; ++i) input[i] = (int16_t)((x[i] - zero_point) * multiplier);
  if (params->kernel_rank != 0) {
    arrange(&params->kernel[0], input, input);
    project(&params->kernel[0], input, projected);
  }
  arrange(&params->kernel[1], kernel_in, kernel_in);
  if (params->recurrent_rank != 0) {
    int16_t* const in =
        READS_SCRATCH_ONLY ? next_vector(recurrent_in, params->recurrent_rank) : state;
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
#if defined(FASTGRNN_DSP) || defined(FASTGRNN_MVE)
    if (has_fast_update(params)) {
      fast_update(params, p, i, n, state);
      continue;
    }
#endif
    update(params, p, i, n, state);
  }
}

void fastgrnn_output(const fastgrnn_params* params, const int16_t* state, int8_t* y) {
  unsigned i;
  for (i = 0; i < params->units; ++i) {
    const int32_t v =
        round_shift(state[i] * (int32_t)params->output_multiplier, params->output_shift);
    y[i] = (int8_t)clip(v + params->output_zero_point, -128, 127);
  }
}

void fastgrnn_run(const fastgrnn_params* params, const int8_t* x, size_t timesteps, int16_t* state,
                  int16_t* scratch, int8_t* y) {
  const size_t units = params->units, features = params->features;
  const int sequences = (params->flags & FASTGRNN_RETURN_SEQUENCES) != 0;
  size_t i;
  if ((params->flags & FASTGRNN_STATEFUL) == 0) {
    for (i = 0; i < units; ++i) state[i] = 0;
  }
  for (i = 0; i < timesteps; ++i) {
    const size_t from = (params->flags & FASTGRNN_GO_BACKWARDS) ? timesteps - 1 - i : i;
    const size_t to = (params->flags & FASTGRNN_REVERSE_OUTPUT) ? timesteps - 1 - i : i;
    fastgrnn_step(params, x + from * features, state, scratch);
    if (sequences) fastgrnn_output(params, state, y + to * units);
  }
  if (!sequences) fastgrnn_output(params, state, y);
}
