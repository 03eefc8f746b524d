/* A model in TFLite Micro: FASTGRNN, then FULLY_CONNECTED. Runs the windows of windows.h, which
 * boards.tflm writes, and compares each value.
 *
 * Prints a line for whatever is wrong, and at the end the figures. */
#include <cstdint>
#include <cstring>

#include "board.h"
#include "fastgrnn_op.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

/* kModel, kArenaSize and
 *   struct Window { int8_t x[...]; int8_t recurrent[...]; int8_t y[...]; };
 *   const Window kWindows[...];
 * with the input, what FASTGRNN has to make of it, and what the model has to; int16_t where the
 * tensors are. */
#include "windows.h"

alignas(16) uint8_t arena[kArenaSize];

int32_t current; /* the window */
int32_t equal;   /* windows without a wrong value */
uint64_t recurrent_instructions, other_instructions;
uint32_t counter_overhead;

void Write(int32_t v) {
  char text[12];
  char* p = text + sizeof text;
  uint32_t rest = v < 0 ? 0u - static_cast<uint32_t>(v) : static_cast<uint32_t>(v);
  *--p = 0;
  do {
    *--p = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (v < 0) *--p = '-';
  board_write(p);
}

void Write(const char* text) { board_write(text); }

template <typename... Parts>
void Print(Parts... parts) {
  (Write(parts), ...);
}

void Fail(const char* why) {
  Print(why, "\n");
  board_exit(2);
}

template <typename T, size_t n>
bool Compare(const char* name, const void* tensor, const T (&expected)[n]) {
  const T* const got = static_cast<const T*>(tensor);
  for (size_t i = 0; i < n; ++i) {
    if (got[i] == expected[i]) continue;
    Print("window ", current, ": value ", int32_t(i), " of ", name, " is ", int32_t{got[i]},
          ", expected ", int32_t{expected[i]}, "\n");
    return false;
  }
  return true;
}

void StopCounter(uint64_t* instructions) {
  const uint32_t count = board_stop();
  if (count == UINT32_MAX) Fail("The counter ran over.");
  *instructions += count - counter_overhead;
}

bool recurrent_equal;

/* Counts FASTGRNN apart, and looks at its output while that is in the arena. */
TfLiteStatus InvokeRecurrent(TfLiteContext* context, TfLiteNode* node) {
  StopCounter(&other_instructions);
  board_start();
  const TfLiteStatus status = Register_FASTGRNN()->invoke(context, node);
  StopCounter(&recurrent_instructions);
  const int y = node->outputs->data[0];
  recurrent_equal = Compare("FASTGRNN", tflite::MicroContextGetEvalTensor(context, y)->data.data,
                            kWindows[current].recurrent);
  board_start();
  return status;
}

}  // namespace

int main() {
  TFLMRegistration recurrent = *Register_FASTGRNN();
  recurrent.invoke = InvokeRecurrent;
  tflite::MicroMutableOpResolver<2> resolver;
  resolver.AddCustom("FASTGRNN", &recurrent);
  resolver.AddFullyConnected();
  tflite::MicroInterpreter interpreter(tflite::GetModel(kModel), resolver, arena, kArenaSize);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    Fail(
        "TFLite Micro refused the model: it has operators other than FASTGRNN and "
        "FULLY_CONNECTED, or needs a larger arena.");
  }
  board_start();
  counter_overhead = board_stop();
  constexpr int32_t kCount = sizeof kWindows / sizeof *kWindows;
  for (current = 0; current < kCount; ++current) {
    const Window& window = kWindows[current];
    std::memcpy(interpreter.input(0)->data.data, window.x, sizeof window.x);
    board_start();
    const TfLiteStatus status = interpreter.Invoke();
    StopCounter(&other_instructions);
    if (status != kTfLiteOk) Fail("Invoke() failed.");
    const bool y_equal = Compare("the output", interpreter.output(0)->data.data, window.y);
    equal += recurrent_equal && y_equal;
  }
  Print("windows_equal ", equal, "\n");
  Print("arena ", int32_t(interpreter.arena_used_bytes()), "\n");
  Print("instructions ", int32_t((recurrent_instructions + other_instructions) / kCount), "\n");
  Print("recurrent_instructions ", int32_t(recurrent_instructions / kCount), "\n");
  board_exit(equal == kCount ? 0 : 1);
}
