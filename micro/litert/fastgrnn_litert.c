/* See fastgrnn_litert.h. */
#include "fastgrnn_litert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const fastgrnn_litert* layer, unsigned is_int16, size_t values) {
  return values * ((layer->params.types & is_int16) != 0 ? 2 : 1);
}

static size_t outputs(const fastgrnn_litert* layer) {
  const int is_sequence = (layer->params.flags & FASTGRNN_RETURN_SEQUENCES) != 0;
  return layer->params.units * (is_sequence ? layer->timesteps : 1);
}

static LiteRtStatus fail(fastgrnn_litert* layer, const char* error) {
  if (layer->error == NULL) layer->error = error;
  return kLiteRtStatusErrorInvalidArgument;
}

/* The options block. Its weights follow with the first run. */
static LiteRtStatus init(void* user_data, const void* options, size_t size) {
  fastgrnn_litert* const layer = (fastgrnn_litert*)user_data;
  fastgrnn_status status;
  layer->options_size = 0;
  if (size > sizeof(layer->options))
    return fail(layer, fastgrnn_status_string(FASTGRNN_ERROR_OPTIONS_SIZE));
  memcpy(layer->options, options, size);
  /* Without weights it stops when it misses them, and has read all options by then. */
  status = fastgrnn_init(layer->options, size, NULL, 0, &layer->params);
  if (status != FASTGRNN_ERROR_WEIGHTS_SIZE) return fail(layer, fastgrnn_status_string(status));
  layer->options_size = size;
  return kLiteRtStatusOk;
}

/* x (1, timesteps, features) and weights (n) -> y (1, timesteps, units), or (1, units). */
static LiteRtStatus get_output_layouts(void* user_data, size_t num_inputs,
                                       const LiteRtLayout* inputs, size_t num_outputs,
                                       LiteRtLayout* y) {
  fastgrnn_litert* const layer = (fastgrnn_litert*)user_data;
  const fastgrnn_params* const p = &layer->params;
  const int is_sequence = (p->flags & FASTGRNN_RETURN_SEQUENCES) != 0;
  size_t values;
  if (num_outputs != 1) return fail(layer, "FASTGRNN: other than one output");
  y->rank = 1; /* of an error */
  y->dimensions[0] = 1;
  if (layer->options_size == 0) return kLiteRtStatusErrorInvalidArgument; /* init() said why */
  if (num_inputs != 2 || inputs[0].rank != 3 || inputs[0].dimensions[0] != 1 ||
      inputs[0].dimensions[1] < 1 || inputs[0].dimensions[2] != p->features)
    return fail(layer, "FASTGRNN: the inputs are not x (1, timesteps, features) and weights");
  layer->timesteps = (size_t)inputs[0].dimensions[1];
  y->rank = is_sequence ? 3 : 2;
  y->dimensions[0] = 1;
  y->dimensions[1] = is_sequence ? inputs[0].dimensions[1] : p->units;
  y->dimensions[2] = p->units;
  if (layer->memory == NULL) {
    values = p->units + fastgrnn_scratch_size(p);
    layer->memory = (int16_t*)calloc(values, sizeof(*layer->memory));
    if (layer->memory == NULL) return fail(layer, "FASTGRNN: no memory for the state");
  }
  return kLiteRtStatusOk;
}

/* The address and the size in bytes of a buffer; NULL if LiteRT refuses. */
static void* lock(LiteRtTensorBuffer buffer, LiteRtTensorBufferLockMode mode, size_t* size) {
  void* address = NULL;
  if (LiteRtGetTensorBufferPackedSize(buffer, size) != kLiteRtStatusOk) return NULL;
  return LiteRtLockTensorBuffer(buffer, &address, mode) == kLiteRtStatusOk ? address : NULL;
}

static LiteRtStatus compute(fastgrnn_litert* layer, const void* x, size_t x_size,
                            const void* weights, size_t weights_size, void* y, size_t y_size) {
  fastgrnn_params* const p = &layer->params;
  fastgrnn_status status;
  memset(y, 0, y_size); /* of an error */
  if (layer->error != NULL) return kLiteRtStatusErrorInvalidArgument;
  if (x_size != bytes_of(layer, FASTGRNN_INT16_INPUT, layer->timesteps * p->features) ||
      y_size != bytes_of(layer, FASTGRNN_INT16_OUTPUT, outputs(layer)))
    return fail(layer, "FASTGRNN: x or y is not of the cell's type");
  if (layer->weights != weights) {
    status = fastgrnn_init(layer->options, layer->options_size, (const uint8_t*)weights,
                           weights_size, p);
    if (status != FASTGRNN_OK) return fail(layer, fastgrnn_status_string(status));
    layer->weights = weights;
  }
  fastgrnn_run(p, x, layer->timesteps, layer->memory, layer->memory + p->units, y);
  return kLiteRtStatusOk;
}

static LiteRtStatus run(void* user_data, size_t num_inputs, const LiteRtTensorBuffer* inputs,
                        size_t num_outputs, LiteRtTensorBuffer* output) {
  fastgrnn_litert* const layer = (fastgrnn_litert*)user_data;
  size_t x_size, weights_size, y_size;
  LiteRtStatus status = kLiteRtStatusErrorRuntimeFailure;
  void *x, *weights, *y;
  if (num_inputs != 2 || num_outputs != 1)
    return fail(layer, "FASTGRNN: other than two inputs and one output");
  x = lock(inputs[0], kLiteRtTensorBufferLockModeRead, &x_size);
  weights = lock(inputs[1], kLiteRtTensorBufferLockModeRead, &weights_size);
  y = lock(output[0], kLiteRtTensorBufferLockModeWrite, &y_size);
  if (x != NULL && weights != NULL && y != NULL)
    status = compute(layer, x, x_size, weights, weights_size, y, y_size);
  else
    fail(layer, "FASTGRNN: LiteRT gives no address of a tensor: is a constant unaligned?");
  if (x != NULL) LiteRtUnlockTensorBuffer(inputs[0]);
  if (weights != NULL) LiteRtUnlockTensorBuffer(inputs[1]);
  if (y != NULL) LiteRtUnlockTensorBuffer(output[0]);
  return status;
}

static LiteRtStatus destroy(void* user_data) {
  fastgrnn_litert* const layer = (fastgrnn_litert*)user_data;
  free(layer->memory);
  layer->memory = NULL;
  layer->weights = NULL;
  return kLiteRtStatusOk;
}

LiteRtStatus fastgrnn_litert_add(LiteRtOptions options, int count, fastgrnn_litert* layers) {
  static const LiteRtCustomOpKernel kernel = {init, get_output_layouts, run, destroy};
  char name[24] = "FASTGRNN";
  int i;
  LiteRtStatus status = kLiteRtStatusOk;
  memset(layers, 0, (size_t)count * sizeof(*layers));
  for (i = 0; i < count && status == kLiteRtStatusOk; ++i) {
    if (i > 0) snprintf(name, sizeof(name), "FASTGRNN_%d", i + 1);
    status = LiteRtAddCustomOpKernelOption(options, name, 1, &kernel, &layers[i]);
  }
  return status;
}

void fastgrnn_litert_reset(int count, fastgrnn_litert* layers) {
  int i;
  for (i = 0; i < count; ++i)
    if (layers[i].memory != NULL)
      memset(layers[i].memory, 0, layers[i].params.units * sizeof(*layers[i].memory));
}

const char* fastgrnn_litert_error(int count, const fastgrnn_litert* layers) {
  int i;
  for (i = 0; i < count; ++i)
    if (layers[i].error != NULL) return layers[i].error;
  return NULL;
}
