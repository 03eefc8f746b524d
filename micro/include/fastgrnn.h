/* Integer FastRNN and FastGRNN cells (Kusupati et al., NeurIPS 2018, arXiv 1901.02358).
 *
 * No malloc, no float, no library calls, no global state that is written. docs/numerics.md
 * defines every rounding, docs/format.md every byte of the two blocks that describe a cell.
 * The NumPy model in keras_fastgrnn.export.cell.reference gives the same bytes.
 */
#ifndef FASTGRNN_H_
#define FASTGRNN_H_

#include <stddef.h>
#include <stdint.h>

/* Qualifies pointers into the two blocks. On AVR these are in program memory, which C reads through
 * a type of its own; C++, which lacks the type, takes PROGMEM and plain pointers. */
#if defined(__AVR__) && !defined(__cplusplus)
#define FASTGRNN_FLASH __flash
#else
#define FASTGRNN_FLASH
#endif

/* The linkage of the functions that run a cell: `static inline` where the one file that calls them
 * includes fastgrnn.c, so that a compiler can fit them to a cell. */
#ifndef FASTGRNN_API
#define FASTGRNN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The versions of the options block that this kernel reads; any other is refused. Version 3 has
 * int16 inputs or outputs, or both. */
#define FASTGRNN_VERSION_INT8 2
#define FASTGRNN_VERSION 3
#define FASTGRNN_OPTIONS_SIZE_INT8 36
#define FASTGRNN_OPTIONS_SIZE 38

/* The largest units, features or rank: keeps every int32 accumulator from overflowing
 * (docs/numerics.md, "No overflow"). */
#define FASTGRNN_MAX_DIM 511

typedef enum {
  FASTGRNN_OK = 0,
  FASTGRNN_ERROR_OPTIONS_SIZE, /* the options block does not have its version's size */
  FASTGRNN_ERROR_VERSION,      /* written for a version that this kernel does not read */
  FASTGRNN_ERROR_OPTIONS,      /* a field is out of its range */
  FASTGRNN_ERROR_WEIGHTS_SIZE, /* the weights block does not have the size that the options give */
  FASTGRNN_ERROR_WEIGHTS,      /* a bitmap or an index goes beyond its matrix */
  FASTGRNN_ERROR_NULL          /* a pointer is NULL */
} fastgrnn_status;

typedef enum { FASTGRNN_CELL_FASTRNN = 0, FASTGRNN_CELL_FASTGRNN = 1 } fastgrnn_cell;

typedef enum {
  FASTGRNN_TANH = 0,
  FASTGRNN_SIGMOID = 1,
  FASTGRNN_RELU = 2,
  FASTGRNN_QUANT_TANH = 3,
  FASTGRNN_QUANT_SIGMOID = 4
} fastgrnn_activation;

/* Bits of fastgrnn_params.flags. */
#define FASTGRNN_RETURN_SEQUENCES 1u /* an output for each step, not only for the last */
#define FASTGRNN_GO_BACKWARDS 2u     /* read the input from the last step to the first */
#define FASTGRNN_REVERSE_OUTPUT 4u   /* write the outputs from last to first */
#define FASTGRNN_STATEFUL 8u         /* keep the state from one sequence to the next */

/* Bits of fastgrnn_params.types: the inputs, or the outputs, are int16 instead of int8, with a zero
 * point of 0. */
#define FASTGRNN_INT16_INPUT 1u
#define FASTGRNN_INT16_OUTPUT 2u

/* How a matrix is stored. */
typedef enum {
  FASTGRNN_DENSE = 0,
  FASTGRNN_BITMAP = 1, /* the smallest, unless most weights or very few are nonzero */
  FASTGRNN_PAIRS = 2,  /* the fastest if few are nonzero */
  FASTGRNN_BLOCKS = 3  /* the fastest if the nonzero weights lie in blocks */
} fastgrnn_encoding;

/* The most columns of a matrix in pairs. */
#define FASTGRNN_MAX_PAIRS 255

/* One int8 matrix, applied as out[rows] = matrix[rows][cols] * in[cols]. */
typedef struct {
  /* FASTGRNN_DENSE: NULL. FASTGRNN_BITMAP: one bit per weight, row by row, lowest bit first.
   * FASTGRNN_PAIRS: the number of nonzero weights in each row. FASTGRNN_BLOCKS: for every four rows
   * one bit per block of 4 x 4 weights, lowest bit first, in whole bytes. */
  const FASTGRNN_FLASH uint8_t* index;
  /* Row by row: the weights, the nonzero weights, or pairs of a uint8 column, ascending in each
   * row, and its weight. FASTGRNN_BLOCKS: the nonzero blocks, each row by row; those at the edges
   * have all 16 weights too. */
  const FASTGRNN_FLASH int8_t* values;
  uint16_t rows, cols;
  uint8_t shift; /* right shift of the int32 sum */
  uint8_t encoding;
} fastgrnn_matrix;

/* A cell, read-only after fastgrnn_init(). It points into the weights block, which must outlive it:
 * the block is not copied, and may stay in flash. */
typedef struct {
  /* kernel[0] and recurrent_kernel[0] are used only at low rank: W = kernel[1] kernel[0]. */
  fastgrnn_matrix kernel[2], recurrent_kernel[2];
  /* int16, little-endian: the gate's units (FastGRNN only), then the candidate's. */
  const FASTGRNN_FLASH uint8_t* bias;
  uint16_t units, features, kernel_rank, recurrent_rank; /* a rank of 0 is full rank */
  uint32_t nu;
  uint16_t zeta, beta, output_multiplier;
  int8_t input_zero_point, output_zero_point;
  uint8_t input_multiplier, fraction_bits, gate_shift, bias_shift, mix_shift, output_shift;
  uint8_t cell, activation, recurrent_activation, flags, types;
} fastgrnn_params;

/* Reads a cell from its two blocks and checks every byte that matters: any two blocks are refused,
 * or safe to run. Neither block needs an alignment.
 *
 * options: options_size bytes, read only during the call; on AVR in program memory.
 * weights: weights_size bytes, kept by reference; on AVR in program memory.
 * params: written; meaningful only if FASTGRNN_OK is returned. */
fastgrnn_status fastgrnn_init(const FASTGRNN_FLASH uint8_t* options, size_t options_size,
                              const FASTGRNN_FLASH uint8_t* weights, size_t weights_size,
                              fastgrnn_params* params);

/* A sentence for a status, in static storage. */
const char* fastgrnn_status_string(fastgrnn_status status);

/* The number of int16 values of scratch memory that fastgrnn_step() and fastgrnn_run() need. */
FASTGRNN_API size_t fastgrnn_scratch_size(const fastgrnn_params* params);

/* One time step. No two of the buffers may overlap.
 *
 * x: features values, int8_t or int16_t as params->types says, with the scale and zero point that
 * the cell was exported for.
 * state: units int16 values, updated in place; all zero at the start of a sequence.
 * scratch: fastgrnn_scratch_size() int16 values, meaningless before and after. */
FASTGRNN_API void fastgrnn_step(const fastgrnn_params* params, const void* x, int16_t* state,
                                int16_t* scratch);

/* The state as the output of a layer.
 *
 * y: units values, int8_t or int16_t as params->types says, with the output's scale and zero
 * point. Written; must not overlap the state. */
FASTGRNN_API void fastgrnn_output(const fastgrnn_params* params, const int16_t* state, void* y);

/* A whole sequence, as the flags of the cell say. No two of the buffers may overlap.
 *
 * x: timesteps * features values, as in fastgrnn_step(). timesteps may be 0.
 * state: as in fastgrnn_step(); cleared first unless the cell is FASTGRNN_STATEFUL.
 * y: timesteps * units values with FASTGRNN_RETURN_SEQUENCES, else the units of the last state; as
 * in fastgrnn_output(). */
FASTGRNN_API void fastgrnn_run(const fastgrnn_params* params, const void* x, size_t timesteps,
                               int16_t* state, int16_t* scratch, void* y);

#ifdef __cplusplus
}
#endif

#endif /* FASTGRNN_H_ */
