/* See fastgrnn.h. docs/numerics.md proves that no sum or product here leaves int32, for any
 * weights, state and input, once fastgrnn_init() has accepted the options. */
#include "fastgrnn.h"

#include "sigmoid_table.h"

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

static fastgrnn_status init_matrix(fastgrnn_matrix* m, block* weights, int is_sparse, unsigned rows,
                                   unsigned cols, uint8_t shift) {
  const uint32_t size = (uint32_t)rows * cols;
  uint32_t count = size;
  const FASTGRNN_FLASH uint8_t* values;
  m->bitmap = NULL;
  m->rows = (uint16_t)rows;
  m->cols = (uint16_t)cols;
  m->shift = shift;
  if (is_sparse) {
    uint32_t i;
    m->bitmap = take(weights, (size + 7) / 8);
    if (m->bitmap == NULL) return FASTGRNN_ERROR_WEIGHTS_SIZE;
    if (size % 8 != 0 && (m->bitmap[size / 8] >> (size % 8)) != 0) return FASTGRNN_ERROR_WEIGHTS;
    count = 0;
    for (i = 0; i < size; ++i) count += ((unsigned)m->bitmap[i / 8] >> (i % 8)) & 1u;
  }
  values = take(weights, count);
  if (values == NULL) return FASTGRNN_ERROR_WEIGHTS_SIZE;
  m->values = (const FASTGRNN_FLASH int8_t*)values;
  return FASTGRNN_OK;
}

/* Both matrices of a kernel, or the one if rank is 0. */
static fastgrnn_status init_kernel(fastgrnn_matrix m[2], block* weights, unsigned sparse,
                                   unsigned inputs, unsigned rank, unsigned units,
                                   const FASTGRNN_FLASH uint8_t shift[2]) {
  fastgrnn_status status = FASTGRNN_OK;
  if (rank != 0) {
    status = init_matrix(&m[0], weights, (sparse & 1u) != 0, rank, inputs, shift[0]);
  }
  if (status != FASTGRNN_OK) return status;
  return init_matrix(&m[1], weights, (sparse & 2u) != 0, units, rank != 0 ? rank : inputs,
                     shift[1]);
}

static int is_dim(unsigned value) { return value >= 1 && value <= FASTGRNN_MAX_DIM; }

/* Whether the shifts of a kernel are in range, and unused fields 0. */
static int kernel_is_valid(unsigned rank, unsigned sparse, const FASTGRNN_FLASH uint8_t shift[2]) {
  if (shift[1] < MIN_SUM_SHIFT || shift[1] > MAX_SHIFT) return 0;
  if (rank == 0) return shift[0] == 0 && (sparse & 1u) == 0;
  return rank <= FASTGRNN_MAX_DIM && shift[0] <= MAX_SHIFT;
}

static int options_are_valid(const fastgrnn_params* p, const FASTGRNN_FLASH uint8_t* shift,
                             unsigned sparse) {
  const int gated = p->cell == FASTGRNN_CELL_FASTGRNN;
  const int relu_gate = gated && p->recurrent_activation == FASTGRNN_RELU;
  const int tanh_gate = gated && (p->recurrent_activation == FASTGRNN_TANH ||
                                  p->recurrent_activation == FASTGRNN_QUANT_TANH);
  uint32_t mix;
  if (p->cell > FASTGRNN_CELL_FASTGRNN || p->activation > FASTGRNN_QUANT_SIGMOID ||
      p->recurrent_activation > FASTGRNN_QUANT_SIGMOID || p->flags > 15 || sparse > 15) {
    return 0;
  }
  if (!is_dim(p->units) || !is_dim(p->features) ||
      !kernel_is_valid(p->kernel_rank, sparse, shift) ||
      !kernel_is_valid(p->recurrent_rank, sparse >> 2, shift + 2)) {
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
  unsigned sparse;
  if (options_size >= 1 && options[0] != FASTGRNN_VERSION) return FASTGRNN_ERROR_VERSION;
  if (options_size != FASTGRNN_OPTIONS_SIZE) return FASTGRNN_ERROR_OPTIONS_SIZE;
  shift = options + 16;
  p->cell = options[1];
  p->activation = options[2];
  p->recurrent_activation = options[3];
  p->flags = options[4];
  sparse = options[5];
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
  if (!options_are_valid(p, shift, sparse)) return FASTGRNN_ERROR_OPTIONS;

  rest.position = weights;
  rest.left = weights_size;
  status = init_kernel(p->kernel, &rest, sparse, p->features, p->kernel_rank, p->units, shift);
  if (status != FASTGRNN_OK) return status;
  status = init_kernel(p->recurrent_kernel, &rest, sparse >> 2, p->units, p->recurrent_rank,
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
      return "FASTGRNN: a bitmap of the weights block is wrong; the model is damaged";
  }
  return "FASTGRNN: unknown status";
}

/* ---- Arithmetic ---- */

/* v / 2^n, rounded half up: the only rounding there is. */
static int32_t round_shift(int32_t v, unsigned n) { return (v + ((INT32_C(1) << n) >> 1)) >> n; }

static int32_t clip(int32_t v, int32_t low, int32_t high) {
  return v < low ? low : v > high ? high : v;
}

static int16_t saturate16(int32_t v) { return (int16_t)clip(v, -32768, 32767); }

/* Q3.12 in -32768..32768 -> Q0.15 in 0..32768. */
static int32_t sigmoid(int32_t x) {
  const int32_t a = x < 0 ? -x : x;
  const FASTGRNN_FLASH uint16_t* t = fastgrnn_sigmoid_table + (a >> 9);
  const int32_t y = t[0] + round_shift(((int32_t)t[1] - t[0]) * (a & 511), 9);
  return x < 0 ? 32768 - y : y;
}

/* A bounded nonlinearity of a pre-activation, in Q0.15 with 1.0 = 32768. */
static int32_t activate(unsigned activation, int32_t p, unsigned fraction_bits) {
  const int32_t limit = INT32_C(8) << fraction_bits;
  const int32_t x = clip(p, -limit, limit) * (INT32_C(1) << (12 - fraction_bits)); /* Q3.12 */
  switch (activation) {
    case FASTGRNN_SIGMOID:
      return sigmoid(x);
    case FASTGRNN_TANH: /* 2 sigmoid(2 x) - 1 */
      return 2 * sigmoid(clip(2 * x, -32768, 32768)) - 32768;
    case FASTGRNN_QUANT_SIGMOID: /* (x + 1) / 2 */
      return clip((x + 4096) * 4, 0, 32768);
    default: /* FASTGRNN_QUANT_TANH */
      return clip(x * 8, -32768, 32768);
  }
}

static int32_t gate(const fastgrnn_params* params, int32_t p) {
  if (params->recurrent_activation == FASTGRNN_RELU) {
    const unsigned bits = (unsigned)params->fraction_bits + params->gate_shift;
    return clip(p, 0, INT32_C(1) << bits) << (15 - bits);
  }
  return activate(params->recurrent_activation, p, params->fraction_bits);
}

static int32_t candidate(const fastgrnn_params* params, int32_t p) {
  if (params->activation == FASTGRNN_RELU) return clip(p, 0, 32767);
  p = activate(params->activation, p, params->fraction_bits);
  return p > 32767 ? 32767 : p;
}

/* Walks the rows of a matrix in order. */
typedef struct {
  const FASTGRNN_FLASH uint8_t* bitmap;
  const FASTGRNN_FLASH int8_t* values;
  uint8_t mask; /* of the next weight's bit */
} cursor;

static cursor first_row(const fastgrnn_matrix* m) {
  cursor c;
  c.bitmap = m->bitmap;
  c.values = m->values;
  c.mask = 1;
  return c;
}

/* The next row times in, shifted. */
static int32_t next_row(const fastgrnn_matrix* m, cursor* c, const int16_t* in) {
  const int16_t* const end = in + m->cols;
  int32_t sum = 0;
  if (c->bitmap == NULL) {
    while (in != end) sum += *c->values++ * (int32_t)*in++;
  } else {
    for (; in != end; ++in) {
      if (*c->bitmap & c->mask) sum += *c->values++ * (int32_t)*in;
      c->mask = (uint8_t)(c->mask << 1);
      if (c->mask == 0) {
        c->mask = 1;
        ++c->bitmap;
      }
    }
  }
  return round_shift(sum, m->shift);
}

/* The first factor of a low-rank kernel. */
static void project(const fastgrnn_matrix* m, const int16_t* in, int16_t* out) {
  cursor rows = first_row(m);
  unsigned i;
  for (i = 0; i < m->rows; ++i) out[i] = saturate16(next_row(m, &rows, in));
}

size_t fastgrnn_scratch_size(const fastgrnn_params* params) {
  /* A full-rank U reads the whole old state for each unit of the new one, which waits here. */
  return (size_t)params->features + params->kernel_rank +
         (params->recurrent_rank != 0 ? params->recurrent_rank : params->units);
}

void fastgrnn_step(const fastgrnn_params* params, const int8_t* x, int16_t* state,
                   int16_t* scratch) {
  const fastgrnn_matrix* const kernel = &params->kernel[1];
  const fastgrnn_matrix* const recurrent_kernel = &params->recurrent_kernel[1];
  const int gated = params->cell == FASTGRNN_CELL_FASTGRNN;
  const int32_t bias_unit = INT32_C(1) << params->bias_shift;
  const int32_t one = INT32_C(32768) >> params->gate_shift;
  const FASTGRNN_FLASH uint8_t* bias = params->bias;
  int16_t* const input = scratch;
  int16_t* const kernel_in = params->kernel_rank != 0 ? input + params->features : input;
  int16_t* const rest = input + params->features + params->kernel_rank;
  int16_t* const recurrent_in = params->recurrent_rank != 0 ? rest : state;
  int16_t* const next_state = params->recurrent_rank != 0 ? state : rest;
  cursor kernel_rows, recurrent_rows;
  unsigned i;

  for (i = 0; i < params->features; ++i) {
    input[i] = (int16_t)((x[i] - params->input_zero_point) * params->input_multiplier);
  }
  if (params->kernel_rank != 0) project(&params->kernel[0], input, kernel_in);
  if (params->recurrent_rank != 0) project(&params->recurrent_kernel[0], state, recurrent_in);

  kernel_rows = first_row(kernel);
  recurrent_rows = first_row(recurrent_kernel);
  for (i = 0; i < params->units; ++i, bias += 2) {
    const int32_t p = next_row(kernel, &kernel_rows, kernel_in) +
                      next_row(recurrent_kernel, &recurrent_rows, recurrent_in);
    const FASTGRNN_FLASH uint8_t* const candidate_bias = gated ? bias + 2 * params->units : bias;
    const int32_t c = candidate(params, p + read_i16(candidate_bias) * bias_unit);
    const int32_t z = gated ? gate(params, p + read_i16(bias) * bias_unit) : params->beta;
    const int32_t m = round_shift(params->zeta * (one - z) + (int32_t)params->nu, 16);
    const int32_t v = round_shift(m * c, params->mix_shift) + z * state[i];
    next_state[i] = saturate16(round_shift(v, 15u - params->gate_shift));
  }
  if (next_state != state) {
    for (i = 0; i < params->units; ++i) state[i] = next_state[i];
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
