/* The audio front end of TFLite Micro on a chip: hears the audio of audio.h, which
 * tests/boards/front_end.py writes, and compares each integer and each int8 feature.
 *
 * Prints the counts of instructions, the bytes of its memory and of the stack, and "passed". */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"
#include "tensorflow/lite/experimental/microfrontend/lib/frontend_util.h"

enum { SAMPLE_RATE = 16000, FRAME = 160, BANDS = 40, SILENT = 2, UNTOUCHED = 0xa5 };

/* const int16_t audio[FRAMES][FRAME]; of the frames from SILENT on, uint16_t integers[][BANDS] and
 * int8_t features[][BANDS]. */
#include "audio.h"

/* That of pymicro-features. */
static const struct FrontendConfig config = {
    .window = {.size_ms = 30, .step_size_ms = 10},
    .filterbank = {.num_channels = BANDS, .lower_band_limit = 125.0f, .upper_band_limit = 7500.0f},
    .noise_reduction = {.smoothing_bits = 10,
                        .even_smoothing = 0.025f,
                        .odd_smoothing = 0.06f,
                        .min_signal_remaining = 0.05f},
    .pcan_gain_control = {.enable_pcan = 1, .strength = 0.95f, .offset = 80.0f, .gain_bits = 21},
    .log_scale = {.enable_log = 1, .scale_shift = 6},
};

static int8_t feature(uint16_t value) {
  const int32_t v = (value * INT32_C(256) + 333) / 666 - 128;
  return (int8_t)(v > 127 ? 127 : v);
}

/* ---- What the front end takes of a C library ---- */

static uint8_t* heap; /* from the static variables up; nothing is given back */

void* malloc(size_t size) {
  void* const p = heap;
  heap += (size + 7) & ~(size_t)7;
  return p;
}

void* calloc(size_t n, size_t size) { return memset(malloc(n * size), 0, n * size); }

void free(void* p) { (void)p; }

/* newlib's, which the startup code would have to initialise: stderr, which nobody reads, and that
 * libm sets no errno. */
struct _reent* _impure_ptr;
const signed char __fdlib_version = -1;

int fprintf(FILE* file, const char* text, ...) {
  (void)file;
  board_write(text);
  board_exit(2);
  return 0;
}

/* ---- The program ---- */

static void compare(int frame, const struct FrontendOutput* output) {
  int i;
  if (output->size != (frame < SILENT ? 0 : BANDS)) {
    board_write_line("wrong size at frame ", (uint32_t)frame);
    board_exit(1);
  }
  for (i = 0; i < (int)output->size; ++i) {
    if (output->values[i] != integers[frame - SILENT][i] ||
        feature(output->values[i]) != features[frame - SILENT][i]) {
      board_write_line("wrong integer at frame ", (uint32_t)frame);
      board_exit(1);
    }
  }
}

int main(void) {
  static struct FrontendState state;
  extern uint8_t board_stack_top[];
  volatile uint8_t* p;
  uint8_t* const stack = board_stack_pointer();
  const uint8_t* lowest;
  uint32_t start, most = 0;
  uint64_t all = 0;
  int frame;
  for (p = board_free_memory; p < stack; ++p) *p = UNTOUCHED;
  heap = (uint8_t*)(((uintptr_t)board_free_memory + 7) & ~(uintptr_t)7);
  board_start();
  if (!FrontendPopulateState(&config, &state, SAMPLE_RATE)) board_exit(2);
  start = board_stop();
  for (frame = 0; frame < FRAMES; ++frame) {
    size_t read;
    struct FrontendOutput output;
    uint32_t count;
    board_start();
    output = FrontendProcessSamples(&state, audio[frame], FRAME, &read);
    count = board_stop();
    compare(frame, &output);
    if (frame < SILENT) continue;
    all += count;
    if (count > most) most = count;
  }
  lowest = heap;
  while (*lowest == UNTOUCHED) ++lowest;
  board_write_line("start ", start);
  board_write_line("frame ", (uint32_t)(all / (FRAMES - SILENT)));
  board_write_line("most ", most);
  board_write_line("memory ", (uint32_t)(sizeof state + (size_t)(heap - board_free_memory)));
  board_write_line("stack ", (uint32_t)(board_stack_top - lowest));
  board_write("passed\n");
  board_exit(0);
}
