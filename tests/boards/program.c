/* A whole program around a model. Without REPLAY it reads one port and writes the class to another,
 * and docs state its bytes of flash and RAM; with REPLAY replay.c gives the inputs and takes the
 * outputs. With DETECTOR, a header, the class is whether the detector hears its keyword. INPUT and
 * OUTPUT are the types of the model. */
#include "model.h"

#ifdef DETECTOR
#include DETECTOR
static keyword_detector keyword;
#endif

#ifdef REPLAY
void read_input(INPUT* x);
void write_output(int best, const OUTPUT* y);
#else
#ifdef __AVR__
#include <avr/io.h>
#else
static volatile struct {
  uint8_t b, c, d;
}* const ports = (void*)0x40000000;
#define PINB ports->b
#define PORTC ports->c
#define PORTD ports->d
#endif

static void read_input(INPUT* x) {
  uint8_t i;
  for (i = 0; i < MODEL_FEATURES; ++i) x[i] = (INPUT)PINB;
}

static void write_output(int best, const OUTPUT* y) {
  PORTC = (uint8_t)best;
#ifdef DETECTOR
  PORTD = (uint8_t)y[0];
#else
  PORTD = (uint8_t)y[best];
#endif
}
#endif

int main(void) {
  static model_state state;
  INPUT x[MODEL_FEATURES];
  OUTPUT y[MODEL_OUTPUTS];
  int best;
  uint16_t step;
  model_init(&state);
#ifdef DETECTOR
  keyword_detector_init(&keyword);
#endif
  for (;;) {
    for (step = 0; step < MODEL_TIMESTEPS; ++step) {
      read_input(x);
      model_step(&state, x);
    }
    best = model_predict(&state, y);
#ifdef DETECTOR
    best = keyword_detect(&keyword, y[0]);
#endif
    write_output(best, y);
    if (!MODEL_STATEFUL) model_reset(&state);
  }
}
