/* What litert.py calls in fastgrnn_litert.c, and the functions of LiteRT that it calls. */
#include "fastgrnn_litert.h"

LiteRtStatus (*LiteRtAddCustomOpKernelOption)(LiteRtOptions, const char*, int,
                                              const LiteRtCustomOpKernel*, void*);
LiteRtStatus (*LiteRtGetTensorBufferPackedSize)(LiteRtTensorBuffer, size_t*);
LiteRtStatus (*LiteRtLockTensorBuffer)(LiteRtTensorBuffer, void**, LiteRtTensorBufferLockMode);
LiteRtStatus (*LiteRtUnlockTensorBuffer)(LiteRtTensorBuffer);

FASTGRNN_EXPORT size_t keras_fastgrnn_layer_size(void);
FASTGRNN_EXPORT LiteRtStatus keras_fastgrnn_add(LiteRtOptions options, int count, void* layers);
FASTGRNN_EXPORT void keras_fastgrnn_reset(int count, void* layers);
FASTGRNN_EXPORT const char* keras_fastgrnn_error(int count, const void* layers);

size_t keras_fastgrnn_layer_size(void) { return sizeof(fastgrnn_litert); }

LiteRtStatus keras_fastgrnn_add(LiteRtOptions options, int count, void* layers) {
  return fastgrnn_litert_add(options, count, (fastgrnn_litert*)layers);
}

void keras_fastgrnn_reset(int count, void* layers) {
  fastgrnn_litert_reset(count, (fastgrnn_litert*)layers);
}

const char* keras_fastgrnn_error(int count, const void* layers) {
  return fastgrnn_litert_error(count, (const fastgrnn_litert*)layers);
}
