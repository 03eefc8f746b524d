/* See @name@.h. Written by keras_fastgrnn.export.c_source. */
#include "@name@.h"

#include "fastgrnn_kernel.h" /* the whole kernel, local to this file */

/* Inlines the kernel into the function that calls it: the compiler fits it to the cell's constants
 * and drops the rest. */
#ifdef __GNUC__
#define WHOLE __attribute__((flatten))
#else
#define WHOLE
#endif

#ifdef __ARM_FEATURE_DSP
typedef char @name@_state_size[sizeof(@name@_state) == @dsp_ram@ ? 1 : -1];
#else
typedef char @name@_state_size[sizeof(@name@_state) == @ram@ ? 1 : -1];
#endif

@definitions@
int @name@_init(@name@_state* state) {
  if (state == NULL) return 1;
  @name@_reset(state);
  return 0;
}

void @name@_reset(@name@_state* state) {
  uint16_t i;
@reset@
}

WHOLE void @name@_step(@name@_state* state, const @input@_t* x) {
@step@
}

WHOLE int @name@_predict(@name@_state* state, @output@_t* y) {
  @best_variables@
@predict@
@best@
}
@quantize@

#ifdef @NAME@_SELFTEST
@selftest_definitions@
int @name@_selftest(void) {
  const FASTGRNN_FLASH @output@_t* expected = selftest_outputs;
  uint32_t random = 0;
  int sequence, step, i;
  @name@_state state;
  for (sequence = 0; sequence < 2; ++sequence) {
    @name@_reset(&state);
    for (step = 1; step <= @selftest_steps@; ++step) {
      @input_arrays@
      @output@_t y[@NAME@_OUTPUTS];
      for (i = 0; i < @NAME@_FEATURES; ++i) {
        random = random * UINT32_C(@lcg_factor@) + UINT32_C(@lcg_increment@);
        if (sequence == 1) {
          x[i] = random >> 31 ? @SENSOR@_MIN : @SENSOR@_MAX;
        } else {
          x[i] = (@sensor@_t)(@selftest_input@);
        }
      }
      @quantize_call@
      @name@_step(&state, @q@);
      if ((step & (step - 1)) != 0 && step != @selftest_steps@) continue;
      @name@_predict(&state, y);
      for (i = 0; i < @NAME@_OUTPUTS; ++i) {
        if (y[i] != *expected++) return sequence * @selftest_steps@ + step;
      }
    }
  }
  return 0;
}
#endif
