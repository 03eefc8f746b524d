/* Gives program.c inputs from flash and compares its outputs. At the end it prints the counts of
 * all steps and all predictions, the bytes of stack, and "passed". */
#include "board.h"
#include "model.h"

#ifdef __AVR__
#include <avr/io.h>
#define FLASH __flash
#define STACK_END ((uint8_t*)RAMEND + 1)
#else
#define FLASH
#define STACK_END board_stack_top
extern uint8_t board_stack_top[];
#endif

/* const FLASH INPUT inputs[SEQUENCES][MODEL_TIMESTEPS][MODEL_FEATURES],
 * OUTPUT outputs[SEQUENCES][1 + MODEL_OUTPUTS]: the class and the values. */
#include "sequences.h"

enum { UNTOUCHED = 0xa5 };

void read_input(INPUT* x);
void write_output(int best, const OUTPUT* y);

static uint16_t sequence, step;
static uint32_t count, steps, predictions;

/* The count of a step begins here, and so includes the program's loop. */
void read_input(INPUT* x) {
  uint16_t i;
  if (step != 0) {
    count = board_stop();
    steps += count;
  } else if (sequence == 0) {
    volatile uint8_t* p = board_free_memory; /* a memset() would paint its own stack */
    uint8_t* const end = board_stack_pointer();
    while (p < end) *p++ = UNTOUCHED;
  }
  for (i = 0; i < MODEL_FEATURES; ++i) x[i] = inputs[sequence][step][i];
  ++step;
  board_start();
}

void write_output(int best, const OUTPUT* y) {
  const uint8_t* p = board_free_memory;
  uint16_t i;
  /* Includes the last step; all steps are alike. */
  predictions += board_stop() - count;
  steps += count;
  for (i = 0; i < 1 + MODEL_OUTPUTS; ++i) {
    if ((i == 0 ? best : y[i - 1]) != outputs[sequence][i]) {
      board_write_line("wrong in sequence ", sequence);
      board_exit(1);
    }
  }
  step = 0;
  if (++sequence < SEQUENCES) return;
  while (*p == UNTOUCHED) ++p;
  board_write_line("steps ", steps);
  board_write_line("predictions ", predictions);
  board_write_line("stack ", (uint32_t)(STACK_END - p));
  board_write("passed\n");
  board_exit(0);
}
