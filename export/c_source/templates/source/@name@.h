/* @summary@. Written by keras_fastgrnn.export.c_source.
 *
 *   static @name@_state state;
 *   @input_arrays@
 *   @output@_t y[@NAME@_OUTPUTS];
 *   @name@_init(&state);
 *   @usage@ (for each time step)
 *   best = @name@_predict(&state, y);
 *
 * RAM: @ram@ bytes for each state, @dsp_ram@ with Arm's DSP extension, and the stack.
 * Flash: @constants@ bytes of constants@table@, and the code. */
#ifndef @NAME@_H_
#define @NAME@_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_FEATURES @features@
#define @NAME@_OUTPUTS @outputs@
/* The length of the sequences that the model was converted for; others may be shorter or longer. */
#define @NAME@_TIMESTEPS @timesteps@
/* Whether a sequence continues from the state of the one before it. */
#define @NAME@_STATEFUL @stateful@
@saturation@
/* An integer q stands for SCALE * (q - ZERO_POINT)@normalized@. */
#define @NAME@_INPUT_SCALE @input_scale@f
#define @NAME@_INPUT_ZERO_POINT (@input_zero_point@)
#define @NAME@_OUTPUT_SCALE @output_scale@f
#define @NAME@_OUTPUT_ZERO_POINT (@output_zero_point@)
@threshold@
@class_macro@

/* The model's memory and its scratch: one for each stream of inputs. */
typedef struct {
@members@
} @name@_state;

/* Call first. Returns 0, or 1 if the state is NULL. */
int @name@_init(@name@_state* state);

/* Call before each sequence, but not within a stream if @NAME@_STATEFUL. */
void @name@_reset(@name@_state* state);

@quantize_declaration@
/* Runs one time step. x: @NAME@_FEATURES values. */
void @name@_step(@name@_state* state, const @input@_t* x);

/* The prediction after the steps so far; more steps may follow.
 *
 * y: @NAME@_OUTPUTS values, written.@left_out@
 * Returns @returns@. */
int @name@_predict(@name@_state* state, @output@_t* y);

/* Compiled where this is defined, here or for the whole program: */
/* #define @NAME@_SELFTEST */
#ifdef @NAME@_SELFTEST
/* Checks that this chip gives the bytes of the integer model, on two pseudo-random sequences of
 * @selftest_steps@ steps, each after a reset@quantized@. Takes a state on the stack.
 *
 * Returns 0, or the first compared step, counted from 1 through both sequences, with a wrong
 * output. */
int @name@_selftest(void);
#endif

/* Real values -> the integers of a step. Needs floating point; not in the program unless called.
 * x, q: @NAME@_FEATURES values. */
static inline void @name@_quantize_float(const float* x, @input@_t* q) {
@float_constants@
  int i;
  for (i = 0; i < @NAME@_FEATURES; ++i) {
    float rest, r = @float_value@ / @NAME@_INPUT_SCALE;
    int32_t v;
    if (!(r > -@float_limit@)) r = -@float_limit@; /* also if it is NaN */
    if (r > @float_limit@) r = @float_limit@;
    v = (int32_t)r;
    rest = r - (float)v;
    v += (rest >= 0.5f) - (rest <= -0.5f) + @NAME@_INPUT_ZERO_POINT;
    q[i] = (@input@_t)(v < @input_low@ ? @input_low@ : v > @input_high@ ? @input_high@ : v);
  }
}

#ifdef __cplusplus
}
#endif

#endif /* @NAME@_H_ */
