/* Reads a cell from its two blocks, and checks all of it. See fastgrnn.h. */
#include "bytes.h"
#include "fastgrnn.h"

enum { MIN_SUM_SHIFT = 2, MAX_SHIFT = 22 };

#define MIX_MAX UINT32_C(0x7fff7fff) /* what rounds to 32767 in the upper half of an int32 */

static uint32_t read_u32(const FASTGRNN_FLASH uint8_t* p) {
  return read_u16(p) | ((uint32_t)read_u16(p + 2) << 16);
}

typedef struct {
  const FASTGRNN_FLASH uint8_t* position;
  size_t left;
} block;

/* Takes size bytes off the block; NULL if it has fewer. Sizes are uint32_t: a small chip's size_t
 * cannot count 511 x 511 weights. */
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

static fastgrnn_status init_blocks(fastgrnn_matrix* m, block* weights) {
  const unsigned blocks = (m->cols + 3u) / 4, rows = (m->rows + 3u) / 4; /* of blocks */
  const unsigned row_bytes = (blocks + 7) / 8;
  uint32_t i, count = 0;
  m->index = take(weights, (uint32_t)rows * row_bytes);
  if (m->index == NULL) return FASTGRNN_ERROR_WEIGHTS_SIZE;
  for (i = 0; i < (uint32_t)rows * row_bytes; ++i) {
    uint8_t bits = m->index[i];
    if (blocks % 8 != 0 && i % row_bytes == row_bytes - 1 && bits >> blocks % 8 != 0) {
      return FASTGRNN_ERROR_WEIGHTS;
    }
    for (; bits != 0; bits &= (uint8_t)(bits - 1)) ++count;
  }
  m->values = (const FASTGRNN_FLASH int8_t*)take(weights, 16 * count);
  return m->values == NULL ? FASTGRNN_ERROR_WEIGHTS_SIZE : FASTGRNN_OK;
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
  if (encoding == FASTGRNN_BLOCKS) return init_blocks(m, weights);
  m->values = (const FASTGRNN_FLASH int8_t*)take(weights, size);
  return m->values == NULL ? FASTGRNN_ERROR_WEIGHTS_SIZE : FASTGRNN_OK;
}

/* Both matrices of a kernel, or the one if rank is 0. */
static fastgrnn_status init_kernel(fastgrnn_matrix m[2], block* weights, unsigned encodings,
                                   unsigned inputs, unsigned rank, unsigned units,
                                   const FASTGRNN_FLASH uint8_t shift[2]) {
  fastgrnn_status status = FASTGRNN_OK;
  if (rank != 0) {
    status = init_matrix(&m[0], weights, encodings & 15u, rank, inputs, shift[0]);
  }
  if (status != FASTGRNN_OK) return status;
  return init_matrix(&m[1], weights, encodings >> 4 & 15u, units, rank != 0 ? rank : inputs,
                     shift[1]);
}

/* 2 bits a matrix -> 4 bits a matrix. */
static unsigned spread(unsigned encodings) {
  return (encodings & 3u) | (encodings & 12u) << 2 | (encodings & 48u) << 4 |
         (encodings & 192u) << 6;
}

static int is_dim(unsigned value) { return value >= 1 && value <= FASTGRNN_MAX_DIM; }

/* Whether the shifts and encodings of a kernel are in range, and unused fields 0. */
static int kernel_is_valid(unsigned inputs, unsigned rank, unsigned encodings,
                           const FASTGRNN_FLASH uint8_t shift[2]) {
  const unsigned first = encodings & 15u, last = encodings >> 4 & 15u;
  if (first > FASTGRNN_BLOCKS || last > FASTGRNN_BLOCKS) return 0;
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
      p->recurrent_activation > FASTGRNN_QUANT_SIGMOID || p->flags > 15 ||
      p->types > (FASTGRNN_INT16_INPUT | FASTGRNN_INT16_OUTPUT)) {
    return 0;
  }
  if ((p->types & FASTGRNN_INT16_INPUT && p->input_zero_point != 0) ||
      (p->types & FASTGRNN_INT16_OUTPUT && p->output_zero_point != 0)) {
    return 0;
  }
  if (!is_dim(p->units) || !is_dim(p->features) ||
      !kernel_is_valid(p->features, p->kernel_rank, encodings, shift) ||
      !kernel_is_valid(p->units, p->recurrent_rank, encodings >> 8, shift + 2)) {
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
  unsigned encodings; /* 4 bits a matrix */
  int is_int8;
  if (p == NULL || (options == NULL && options_size != 0) ||
      (weights == NULL && weights_size != 0)) {
    return FASTGRNN_ERROR_NULL;
  }
  if (options_size == 0) return FASTGRNN_ERROR_OPTIONS_SIZE;
  is_int8 = options[0] == FASTGRNN_VERSION_INT8;
  if (!is_int8 && options[0] != FASTGRNN_VERSION) return FASTGRNN_ERROR_VERSION;
  if (options_size != (is_int8 ? FASTGRNN_OPTIONS_SIZE_INT8 : FASTGRNN_OPTIONS_SIZE)) {
    return FASTGRNN_ERROR_OPTIONS_SIZE;
  }
  shift = options + 16;
  p->cell = options[1];
  p->activation = options[2];
  p->recurrent_activation = options[3];
  p->flags = options[4];
  p->types = is_int8 ? 0 : options[5];
  if (is_int8 && (options[5] & options[5] >> 1 & 0x55u) != 0) { /* FASTGRNN_BLOCKS */
    return FASTGRNN_ERROR_OPTIONS;
  }
  encodings = is_int8 ? spread(options[5]) : read_u16(options + 36);
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
  status = init_kernel(p->recurrent_kernel, &rest, encodings >> 8, p->units, p->recurrent_rank,
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
