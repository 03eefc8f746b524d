/* As much of LiteRT's binary interface as fastgrnn_litert.c touches: the package ai_edge_litert
 * ships its library without headers. LiteRT calls it stable; litert.py pins the version. */
#ifndef FASTGRNN_LITERT_ABI_H_
#define FASTGRNN_LITERT_ABI_H_

#include <stddef.h>
#include <stdint.h>

#include "export.h"

typedef enum {
  kLiteRtStatusOk = 0,
  kLiteRtStatusErrorInvalidArgument = 1,
  kLiteRtStatusErrorRuntimeFailure = 3
} LiteRtStatus;

typedef enum {
  kLiteRtTensorBufferLockModeRead = 0,
  kLiteRtTensorBufferLockModeWrite = 1
} LiteRtTensorBufferLockMode;

typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;

typedef struct {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
} LiteRtLayout;

typedef struct {
  LiteRtStatus (*Init)(void*, const void*, size_t);
  LiteRtStatus (*GetOutputLayouts)(void*, size_t, const LiteRtLayout*, size_t, LiteRtLayout*);
  LiteRtStatus (*Run)(void*, size_t, const LiteRtTensorBuffer*, size_t, LiteRtTensorBuffer*);
  LiteRtStatus (*Destroy)(void*);
} LiteRtCustomOpKernel;

/* Functions of the loaded library; litert.py sets them. */
extern FASTGRNN_EXPORT LiteRtStatus (*LiteRtAddCustomOpKernelOption)(LiteRtOptions, const char*,
                                                                     int,
                                                                     const LiteRtCustomOpKernel*,
                                                                     void*);
extern FASTGRNN_EXPORT LiteRtStatus (*LiteRtGetTensorBufferPackedSize)(LiteRtTensorBuffer, size_t*);
extern FASTGRNN_EXPORT LiteRtStatus (*LiteRtLockTensorBuffer)(LiteRtTensorBuffer, void**,
                                                              LiteRtTensorBufferLockMode);
extern FASTGRNN_EXPORT LiteRtStatus (*LiteRtUnlockTensorBuffer)(LiteRtTensorBuffer);

#endif /* FASTGRNN_LITERT_ABI_H_ */
