/* As much of TFLite Micro's binary interface as fastgrnn_op.cc touches, in C: the package
 * tflite_micro ships its interpreter without headers. True of the version runtime.py pins. */
#ifndef FASTGRNN_TFLM_ABI_H_
#define FASTGRNN_TFLM_ABI_H_

#include <stddef.h>
#include <stdint.h>

#include "export.h"

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteInt16 = 7, kTfLiteInt8 = 9 } TfLiteType;

typedef struct TfLiteContext TfLiteContext;

typedef struct {
  int size;
  int data[];
} TfLiteIntArray;

typedef struct {
  union {
    void* data;
    int8_t* int8;
    uint8_t* uint8;
  } data;
  TfLiteIntArray* dims;
  TfLiteType type;
} TfLiteEvalTensor;

typedef struct {
  TfLiteIntArray *inputs, *outputs, *intermediates;
  void *user_data, *builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
} TfLiteNode;

typedef struct {
  void* (*init)(TfLiteContext*, const char*, size_t);
  void (*free)(TfLiteContext*, void*);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  void (*reset)(TfLiteContext*, void*);
  int32_t builtin_code;
  const char* custom_name;
} TFLMRegistration;

/* Functions of the loaded interpreter; runtime.py sets them. They are not linked to, because the
 * library that holds them would then be in the process's global scope, and TensorFlow, loaded
 * later, would call some of them instead of its own. */
extern FASTGRNN_EXPORT void* (*MicroContextAllocatePersistentBuffer)(TfLiteContext*, size_t);
extern FASTGRNN_EXPORT TfLiteStatus (*MicroContextRequestScratchBufferInArena)(TfLiteContext*,
                                                                               size_t, int*);
extern FASTGRNN_EXPORT void* (*MicroContextGetScratchBuffer)(TfLiteContext*, int);
extern FASTGRNN_EXPORT TfLiteEvalTensor* (*MicroContextGetEvalTensor)(const TfLiteContext*, int);
extern FASTGRNN_EXPORT void (*MicroPrintf)(const char*, ...);

#endif /* FASTGRNN_TFLM_ABI_H_ */
