/* A whole program around a model. On an AVR without REPLAY it is the one whose bytes of flash and
 * RAM are stated: it reads a port and writes the class to another. With REPLAY replay.c does. */
#include "model.h"

#ifdef REPLAY
void read_input(int8_t* x);
void write_output(int best, const int8_t* y);
#else
#include <avr/io.h>

static void read_input(int8_t* x) {
  uint8_t i;
  for (i = 0; i < MODEL_FEATURES; ++i) x[i] = (int8_t)PINB;
}

static void write_output(int best, const int8_t* y) {
  PORTC = (uint8_t)best;
  PORTD = (uint8_t)y[best];
}
#endif

int main(void) {
  static model_state state;
  int8_t x[MODEL_FEATURES], y[MODEL_OUTPUTS];
  int best;
  uint16_t step;
  model_init(&state);
  for (;;) {
    for (step = 0; step < MODEL_TIMESTEPS; ++step) {
      read_input(x);
      model_step(&state, x);
    }
    best = model_predict(&state, y);
    write_output(best, y);
    if (!MODEL_STATEFUL) model_reset(&state);
  }
}
