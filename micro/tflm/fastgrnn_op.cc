/* See fastgrnn_op.h. A firmware compiles this as C++, Python's build (../host) as C. */
#include "fastgrnn_op.h"

#include "fastgrnn.h"

#ifdef __cplusplus
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"
using namespace tflite; /* MicroContext... are in it or, in newer versions, in tflite::micro */
#endif

typedef struct {
  fastgrnn_params params;
  int16_t* state; /* of a stateful cell; any other keeps it behind its scratch memory */
  int scratch;    /* index of the scratch buffer */
} fastgrnn_op;

static TfLiteEvalTensor* get_tensor(const TfLiteContext* context, const TfLiteIntArray* indices,
                                    int i) {
  return indices->data[i] < 0 ? NULL : MicroContextGetEvalTensor(context, indices->data[i]);
}

/* Whether a tensor has the type and shape; prints the reason if not. */
static int is_like(const char* name, const TfLiteEvalTensor* tensor, TfLiteType type, int rank,
                   const int* shape) {
  int i;
  if (tensor == NULL) {
    MicroPrintf("FASTGRNN: %s is missing", name);
    return 0;
  }
  if (tensor->type != type) {
    MicroPrintf("FASTGRNN: %s has type %d, expected %d (%s)", name, (int)tensor->type, (int)type,
                type == kTfLiteInt8 ? "int8" : "int16");
    return 0;
  }
  if (tensor->dims->size != rank) {
    MicroPrintf("FASTGRNN: %s has %d dimensions, expected %d", name, tensor->dims->size, rank);
    return 0;
  }
  for (i = 0; i < rank; ++i) {
    if (tensor->dims->data[i] != shape[i]) {
      MicroPrintf("FASTGRNN: dimension %d of %s is %d, expected %d", i, name, tensor->dims->data[i],
                  shape[i]);
      return 0;
    }
  }
  return 1;
}

/* The size of a dimension that may have any size; at least 1. */
static int any_size(const TfLiteEvalTensor* tensor, int i) {
  return tensor != NULL && tensor->dims->size > i && tensor->dims->data[i] > 1
             ? tensor->dims->data[i]
             : 1;
}

static void reset(TfLiteContext* context, void* user_data) {
  fastgrnn_op* const op = (fastgrnn_op*)user_data;
  unsigned i;
  (void)context;
  if (op->state == NULL) return;
  for (i = 0; i < op->params.units; ++i) op->state[i] = 0;
}

static TfLiteType type_of(const fastgrnn_op* op, unsigned is_int16) {
  return (op->params.types & is_int16) != 0 ? kTfLiteInt16 : kTfLiteInt8;
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor *x, *weights, *y;
  fastgrnn_op* op;
  fastgrnn_status status;
  TfLiteType type;
  int weights_shape[1], shape[3];
  size_t scratch;
  if (node->inputs->size != 2 || node->outputs->size != 1) {
    MicroPrintf("FASTGRNN: %d inputs and %d outputs, expected 2 and 1", node->inputs->size,
                node->outputs->size);
    return kTfLiteError;
  }
  x = get_tensor(context, node->inputs, 0);
  weights = get_tensor(context, node->inputs, 1);
  y = get_tensor(context, node->outputs, 0);

  weights_shape[0] = any_size(weights, 0);
  if (!is_like("weights", weights, kTfLiteInt8, 1, weights_shape)) return kTfLiteError;
  if (weights->data.data == NULL) {
    MicroPrintf("FASTGRNN: weights is not a constant");
    return kTfLiteError;
  }
  op = (fastgrnn_op*)MicroContextAllocatePersistentBuffer(context, sizeof(*op));
  if (op == NULL) return kTfLiteError; /* the allocator has said why */
  node->user_data = op;
  status = fastgrnn_init((const uint8_t*)node->custom_initial_data,
                         (size_t)node->custom_initial_data_size, weights->data.uint8,
                         (size_t)weights_shape[0], &op->params);
  if (status != FASTGRNN_OK) {
    MicroPrintf("%s", fastgrnn_status_string(status));
    return kTfLiteError;
  }

  shape[0] = 1;
  shape[1] = any_size(x, 1);
  shape[2] = op->params.features;
  if (!is_like("x", x, type_of(op, FASTGRNN_INT16_INPUT), 3, shape)) return kTfLiteError;
  shape[2] = op->params.units;
  type = type_of(op, FASTGRNN_INT16_OUTPUT);
  if ((op->params.flags & FASTGRNN_RETURN_SEQUENCES) != 0) {
    if (!is_like("y", y, type, 3, shape)) return kTfLiteError;
  } else {
    shape[1] = op->params.units;
    if (!is_like("y", y, type, 2, shape)) return kTfLiteError;
  }

  scratch = fastgrnn_scratch_size(&op->params);
  op->state = NULL;
  if ((op->params.flags & FASTGRNN_STATEFUL) == 0) {
    scratch += op->params.units;
  } else {
    op->state = (int16_t*)MicroContextAllocatePersistentBuffer(
        context, op->params.units * sizeof(*op->state));
    if (op->state == NULL) return kTfLiteError;
    reset(context, op);
  }
  return MicroContextRequestScratchBufferInArena(context, scratch * sizeof(int16_t), &op->scratch);
}

static TfLiteStatus invoke(TfLiteContext* context, TfLiteNode* node) {
  const fastgrnn_op* const op = (const fastgrnn_op*)node->user_data;
  const TfLiteEvalTensor* const x = get_tensor(context, node->inputs, 0);
  TfLiteEvalTensor* const y = get_tensor(context, node->outputs, 0);
  int16_t* const scratch = (int16_t*)MicroContextGetScratchBuffer(context, op->scratch);
  int16_t* const state =
      op->state != NULL ? op->state : scratch + fastgrnn_scratch_size(&op->params);
  fastgrnn_run(&op->params, x->data.data, (size_t)x->dims->data[1], state, scratch, y->data.data);
  return kTfLiteOk;
}

const TFLMRegistration* Register_FASTGRNN(void) {
  static const TFLMRegistration registration = {NULL, NULL, prepare, invoke, reset, 0, NULL};
  return &registration;
}
