/* Puts FASTGRNN into the op resolver of the package tflite_micro.
 *
 * The resolver's own AddCustom() is an inline template that the package does not export, so the
 * slot is written here, after a check that it is where we think. */
#include <stdbool.h>

#include "fastgrnn_op.h"

enum { MAX_OPS = 200, BUILTIN_CUSTOM = 32 };

typedef struct resolver resolver;

struct resolver {
  const struct {
    const TFLMRegistration* (*find_builtin)(const resolver*, int32_t code);
    const TFLMRegistration* (*find_custom)(const resolver*, const char* name);
    /* More follows. */
  }* functions;
  TFLMRegistration registrations[MAX_OPS];
  unsigned size;
  /* More follows. */
};

void* (*MicroContextAllocatePersistentBuffer)(TfLiteContext*, size_t);
TfLiteStatus (*MicroContextRequestScratchBufferInArena)(TfLiteContext*, size_t, int*);
void* (*MicroContextGetScratchBuffer)(TfLiteContext*, int);
TfLiteEvalTensor* (*MicroContextGetEvalTensor)(const TfLiteContext*, int);
void (*MicroPrintf)(const char*, ...);

/* The interpreter finds this by its name; false makes it raise RuntimeError. */
FASTGRNN_EXPORT bool keras_fastgrnn_register(resolver* ops) {
  const unsigned size = ops->size;
  TFLMRegistration* const slot = &ops->registrations[size];
  if (size == 0 || size >= MAX_OPS ||
      ops->functions->find_builtin(ops, slot[-1].builtin_code) != slot - 1) {
    MicroPrintf("keras-fastgrnn: this build of tflite_micro has another layout than expected");
    return false;
  }
  *slot = *Register_FASTGRNN();
  slot->builtin_code = BUILTIN_CUSTOM;
  slot->custom_name = "FASTGRNN";
  ops->size = size + 1;
  return ops->functions->find_custom(ops, "FASTGRNN") == slot;
}
