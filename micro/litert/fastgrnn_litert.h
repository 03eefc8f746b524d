/* FASTGRNN, a custom operator of LiteRT's C interface: whole sequences through one FastRNN or
 * FastGRNN cell.
 *
 *   fastgrnn_litert layers[2];                        one for each recurrent layer of the model
 *   fastgrnn_litert_add(options, 2, layers);          before LiteRtCreateCompiledModel()
 *   if (fastgrnn_litert_error(2, layers) != NULL) ... after it, and after LiteRtRunCompiledModel()
 *
 * The model is a file that keras_fastgrnn.litert.prepare() returned: LiteRT reads a constant only
 * at a multiple of 64 bytes, and has one memory for all operators of a name. There the layers are
 * FASTGRNN, FASTGRNN_2, FASTGRNN_3 and so on, in the order of the array.
 *
 * LiteRT ignores what a custom operator returns: after an error the outputs are zeros, and
 * fastgrnn_litert_error() has the reason. */
#ifndef FASTGRNN_LITERT_H_
#define FASTGRNN_LITERT_H_

#include "fastgrnn.h"

#ifdef KERAS_FASTGRNN_LITERT_ABI
#include "litert_abi.h" /* Python's build, which has a C compiler and no headers of LiteRT */
#else
#include "litert/c/litert_common.h"
#include "litert/c/litert_custom_op_kernel.h"
#include "litert/c/litert_options.h"
#include "litert/c/litert_tensor_buffer.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A recurrent layer. The caller owns it; its fields are the operator's. */
typedef struct {
  fastgrnn_params params;
  uint8_t options[38]; /* the longest options block of docs/format.md */
  size_t options_size;
  const void* weights; /* the block that params points into; LiteRT owns it */
  size_t timesteps;
  int16_t* memory; /* from malloc: the state, and scratch memory behind it */
  const char* error;
} fastgrnn_litert;

/* Registers FASTGRNN for the models that are compiled with these options.
 *
 * layers: count structs, written. They must outlive the compiled model, each serves one compiled
 * model at a time, and there may be more than the model has layers.
 * Returns the status of LiteRtAddCustomOpKernelOption(). */
LiteRtStatus fastgrnn_litert_add(LiteRtOptions options, int count, fastgrnn_litert* layers);

/* Sets the states of all layers to zero. Not during a run. */
void fastgrnn_litert_reset(int count, fastgrnn_litert* layers);

/* Why a layer computes nothing, in static storage; NULL if all do. An error stays: compile the
 * model anew. */
const char* fastgrnn_litert_error(int count, const fastgrnn_litert* layers);

#ifdef __cplusplus
}
#endif

#endif /* FASTGRNN_LITERT_H_ */
