/* FASTGRNN, a custom operator of TFLite Micro: whole sequences through one FastRNN or FastGRNN
 * cell.
 *
 *   resolver.AddCustom("FASTGRNN", Register_FASTGRNN());
 *
 * Inputs: x, int8 or int16 (1, timesteps, features), and the constant weights block, int8 (n).
 * Output: y, int8 or int16 (1, timesteps, units) with FASTGRNN_RETURN_SEQUENCES, else (1, units).
 * Custom options: the options block. docs/format.md defines both blocks.
 *
 * The state of a FASTGRNN_STATEFUL cell lasts from one Invoke() to the next, until
 * MicroInterpreter::Reset(). The model must outlive the interpreter: weights are read in place. */
#ifndef FASTGRNN_OP_H_
#define FASTGRNN_OP_H_

#ifdef __cplusplus
#include "tensorflow/lite/micro/micro_common.h"
#else
#include "tflm_abi.h" /* Python's build, which has a C compiler and no headers of TFLite Micro */
#endif

const TFLMRegistration* Register_FASTGRNN(void);

#endif /* FASTGRNN_OP_H_ */
