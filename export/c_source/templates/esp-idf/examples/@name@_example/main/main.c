#include <stdio.h>

#include "@name@.h"

static @name@_state state;

/* Put your sensor here: the values of a time step, as integers of the input's scale. */
static void read_sensor(@input@_t x[@NAME@_FEATURES]) {
  int i;
  for (i = 0; i < @NAME@_FEATURES; ++i) x[i] = @NAME@_INPUT_ZERO_POINT;
}

void app_main(void) {
  @input@_t x[@NAME@_FEATURES];
  @output@_t y[@NAME@_OUTPUTS];
  int i;
  @name@_init(&state);
#ifdef @NAME@_SELFTEST
  printf("self-test: %d\n", @name@_selftest()); /* 0: all outputs are right */
#endif
  for (i = 0; i < @NAME@_TIMESTEPS; ++i) {
    read_sensor(x);
    @name@_step(&state, x);
  }
  printf("class: %d\n", @name@_predict(&state, y));
}
