"""The C files of a model, and what stands around them for a build system to take the folder.

c_source() puts a value in the place of each name between @.
"""

HEADER = """\
/* @summary@. Written by keras_fastgrnn.export.c_source.
 *
 *   static @name@_state state;
 *   @sensor@_t x[@NAME@_FEATURES];
 *   int8_t@q_array@ y[@NAME@_OUTPUTS];
 *   @name@_init(&state);
 *   @usage@ for each time step
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
/* Of a sequence that the model was converted for. Others may be shorter or longer. */
#define @NAME@_TIMESTEPS @timesteps@
/* Whether a sequence goes on where the one before it has ended. */
#define @NAME@_STATEFUL @stateful@
@saturation@
/* An integer q stands for SCALE * (q - ZERO_POINT)@normalized@. */
#define @NAME@_INPUT_SCALE @input_scale@f
#define @NAME@_INPUT_ZERO_POINT (@input_zero_point@)
#define @NAME@_OUTPUT_SCALE @output_scale@f
#define @NAME@_OUTPUT_ZERO_POINT (@output_zero_point@)
@threshold@
@class_macro@

/* What the model remembers, and room to work in: one for each stream of inputs. */
typedef struct {
@members@
} @name@_state;

/* Before anything else. Returns 0, or 1 if the state is NULL. */
int @name@_init(@name@_state* state);

/* Before each sequence, but not within a stream if @NAME@_STATEFUL. */
void @name@_reset(@name@_state* state);

@quantize_declaration@
/* A time step. x: @NAME@_FEATURES values. */
void @name@_step(@name@_state* state, const int8_t* x);

/* What the model makes of the steps up to here; more of them may follow.
 *
 * y: @NAME@_OUTPUTS values, written.@left_out@
 * Returns @returns@. */
int @name@_predict(@name@_state* state, int8_t* y);

/* Compiled where this is defined, here or for the whole program: */
/* #define @NAME@_SELFTEST */
#ifdef @NAME@_SELFTEST
/* Whether this chip gives the bytes of the integer model, on two pseudo-random sequences of
 * @selftest_steps@ steps, each after a reset@quantized@. Takes a state on the stack.
 *
 * Returns 0, or the first step, counted from 1 through both sequences, at which an output was
 * compared and is another. */
int @name@_selftest(void);
#endif

/* Real values -> what a step takes: not in the program unless it is called, as it needs floating
 * point. x, q: @NAME@_FEATURES values. */
static inline void @name@_quantize_float(const float* x, int8_t* q) {
@float_constants@
  int i, v;
  for (i = 0; i < @NAME@_FEATURES; ++i) {
    float rest, r = @float_value@ / @NAME@_INPUT_SCALE;
    if (!(r > -300)) r = -300; /* also if it is NaN */
    if (r > 300) r = 300;
    v = (int)r;
    rest = r - (float)v;
    v += (rest >= 0.5f) - (rest <= -0.5f) + @NAME@_INPUT_ZERO_POINT;
    q[i] = (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
  }
}

#ifdef __cplusplus
}
#endif

#endif /* @NAME@_H_ */
"""

SOURCE = """\
/* See @name@.h. Written by keras_fastgrnn.export.c_source. */
#include "@name@.h"

#include "fastgrnn_kernel.h" /* all of it, and all of it local */

/* The kernel within the function that calls it: the compiler fits it to the constants of the cell
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

WHOLE void @name@_step(@name@_state* state, const int8_t* x) {
@step@
}

WHOLE int @name@_predict(@name@_state* state, int8_t* y) {
  @best_variables@
@predict@
@best@
}
@quantize@

#ifdef @NAME@_SELFTEST
@selftest_definitions@
int @name@_selftest(void) {
  const FASTGRNN_FLASH int8_t* expected = selftest_outputs;
  uint32_t random = 0;
  int sequence, step, i;
  @name@_state state;
  for (sequence = 0; sequence < 2; ++sequence) {
    @name@_reset(&state);
    for (step = 1; step <= @selftest_steps@; ++step) {
      @sensor@_t x[@NAME@_FEATURES];
      int8_t@q_array@ y[@NAME@_OUTPUTS];
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
"""

# What a step reads: the int8 of the model,
INT8_INPUT = {
    "sensor": "int8",
    "SENSOR": "INT8",
    "q": "x",
    "q_array": "",
    "quantize": "",
    "quantize_call": "",
    "quantize_declaration": "",
    "usage": "@name@_step(&state, x);",
    "quantized": "",
    "read": "quantised inputs",
    "analog_read": "(int8_t)((analogRead(A0) >> 2) - 128)",
    "sensor_comment": """ A real value r is r / @NAME@_INPUT_SCALE + @NAME@_INPUT_ZERO_POINT,
// rounded and kept within -128..127: with integers alone if c_source() gets the sensor's unit.""",
}

# or the integers of a sensor, as export/c_source/sensor.py specifies it.
_QUANTIZE = """
void @name@_quantize(const @sensor@_t* x, int8_t* q) {
  uint16_t i;
  for (i = 0; i < @NAME@_FEATURES; ++i) {
    const int16_t v = @narrowed@;
    const int32_t sum = multiply16(v, quantize_multiplier[i]) + quantize_offset[i];
    q[i] = (int8_t)clip(round_shift(sum, quantize_shift[i]), -128, 127);
  }
}"""
_NARROW = """
/* What is over low, without its lowest bits, less 32768, and saturated. */
static int16_t narrow(int32_t x, int32_t low, uint8_t bits) {
  const uint32_t v = x < low ? 0 : ((uint32_t)x - (uint32_t)low) >> bits;
  return (int16_t)((v > 65535 ? INT32_C(65535) : (int32_t)v) - 32768);
}
"""
_SENSOR_INPUT = {
    "q": "q",
    "q_array": " q[@NAME@_FEATURES],",
    "quantize": _QUANTIZE,
    "quantize_call": "@name@_quantize(x, q);",
    "quantize_declaration": """\
/* The integers of the sensor -> what a step takes: normalised, and as int8, by one multiplier and
 * one offset a feature. x, q: @NAME@_FEATURES values. */
void @name@_quantize(const @sensor@_t* x, int8_t* q);
""",
    "usage": "@name@_quantize(x, q), @name@_step(&state, q);",
    "quantized": ", by way of @name@_quantize()",
    "read": "the sensor's integers",
    "analog_read": "analogRead(A0)",
    "sensor_comment": " It gives integers, which @name@_quantize() normalises.",
}
SENSOR_INPUT = {
    "int16": _SENSOR_INPUT | {"narrowed": "x[i]"},
    "int32": _SENSOR_INPUT
    | {
        "narrowed": "narrow(x[i], quantize_low[i], quantize_narrow[i])",
        "quantize": _NARROW + _QUANTIZE,
    },
}

# What a prediction is: the largest output,
BEST = {
    "returns": "the index of the largest, of the first if some are equal",
    "best_variables": "int best = 0, i;",
    "best": """\
  for (i = 1; i < @NAME@_OUTPUTS; ++i) {
    if (y[i] > y[best]) best = i;
  }
  return best;""",
}
# or whether the only one of a sigmoid is over 0.5.
DETECTED = {
    "returns": "1 if it is over @NAME@_THRESHOLD, else 0",
    "best_variables": "int logit;",
    "best": "  logit = y[0];\n  return logit > @NAME@_THRESHOLD;",
}
SATURATION = """\
/* Without a reset the state saturates in about so many steps, on the data of the conversion; from
 * there on the outputs are wrong. Reset before. */
#define @NAME@_STEPS_TO_SATURATION @steps_to_saturation@
"""
THRESHOLD = """\
/* The output at which the sigmoid, which is left out, is 0.5. That of another p is
 * ln(p / (1 - p)) / @NAME@_OUTPUT_SCALE + @NAME@_OUTPUT_ZERO_POINT. */
#define @NAME@_THRESHOLD @NAME@_OUTPUT_ZERO_POINT"""

NUMBERED_CLASSES = {"names": "", "class": "best", "class_format": "%d"}
NAMED_CLASSES = {
    "names": "static const char* const names[] = @NAME@_CLASSES;",
    "class": "names[best]",
    "class_format": "%s",
}

DENSE = """\
/* v * multiplier / 2^31, rounded half up, then * 2^shift, rounded half away from 0: the bytes of
 * TFLite's MultiplyByQuantizedMultiplier. */
static int32_t rescale(int32_t v, int32_t multiplier, int8_t shift) {
  int32_t rest, half;
  if (shift > 0) v *= INT32_C(1) << shift;
  v = (int32_t)((v * (int64_t)multiplier + (INT64_C(1) << 30)) >> 31);
  if (shift >= 0) return v;
  rest = v & (int32_t)((UINT32_C(1) << -shift) - 1);
  half = (int32_t)((UINT32_C(1) << -shift) >> 1);
  return (v >> -shift) + (rest + (v >= 0) > half);
}

static void dense(const int8_t* x, int8_t* y) {
  const FASTGRNN_FLASH int8_t* w = dense_weights;
  uint16_t i, j;
  for (i = 0; i < @units@; ++i) {
    int32_t sum = dense_bias[i];
    for (j = 0; j < @features@; ++j) sum += *w++ * x[j];
    sum = rescale(sum, dense_multiplier[i], dense_shift[i]) + @zero_point@;
    y[i] = (int8_t)(sum < @low@ ? @low@ : sum > @high@ ? @high@ : sum);
  }
}
"""

_CMAKE = """\
cmake_minimum_required(VERSION 3.10)
project(@name@ C)

add_library(@name@ STATIC src/@name@.c)
target_include_directories(@name@ PUBLIC src)
target_compile_features(@name@ PRIVATE c_std_99)
option(@NAME@_SELFTEST "Compile @name@_selftest(), which the example runs before all else" OFF)
if(@NAME@_SELFTEST)
  target_compile_definitions(@name@ PUBLIC @NAME@_SELFTEST)
endif()

if(CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release)
  endif()
  add_executable(@name@_example example/main.c)
  target_link_libraries(@name@_example @name@)
endif()
"""

_MAIN = """\
/* Reads sequences of @read@, @sensor@, from stdin. Of each it prints the class and then the
 * outputs. */
#include <stdio.h>

#include "@name@.h"

int main(void) {
  static @name@_state state;
  @sensor@_t x[@NAME@_FEATURES];
  int8_t@q_array@ y[@NAME@_OUTPUTS];
  @names@
  int step = 0, i, best;
#ifdef @NAME@_SELFTEST
  const int wrong = @name@_selftest();
  if (wrong != 0) {
    fprintf(stderr, "@name@_selftest: another output at step %d\\n", wrong);
    return 1;
  }
#endif
  if (@name@_init(&state) != 0) return 1;
  while (fread(x, sizeof x, 1, stdin) == 1) {
    @quantize_call@
    @name@_step(&state, @q@);
    if (++step < @NAME@_TIMESTEPS) continue;
    best = @name@_predict(&state, y);
    printf("@class_format@:", @class@);
    for (i = 0; i < @NAME@_OUTPUTS; ++i) printf(" %d", y[i]);
    printf("\\n");
    if (!@NAME@_STATEFUL) @name@_reset(&state);
    step = 0;
  }
  return 0;
}
"""

_LIBRARY = """\
name=@name@
version=1.0.0
author=keras-fastgrnn
maintainer=keras-fastgrnn
sentence=A FastRNN or FastGRNN model as plain C, without malloc and float.
paragraph=Written by keras_fastgrnn.export.c_source.
category=Data Processing
url=https://arxiv.org/abs/1901.02358
architectures=*
includes=@name@.h
"""

_SKETCH = """\
#include <@name@.h>

static @name@_state state;
@names@

// Put your sensor here.@sensor_comment@
static void read_sensor(@sensor@_t x[@NAME@_FEATURES]) {
  for (int i = 0; i < @NAME@_FEATURES; ++i) x[i] = @analog_read@;
}

void setup() {
  Serial.begin(115200);
  @name@_init(&state);
#ifdef @NAME@_SELFTEST
  Serial.println(@name@_selftest());  // 0: all bytes are as they should be
#endif
}

void loop() {
  static int step = 0;
  @sensor@_t x[@NAME@_FEATURES];
  int8_t@q_array@ y[@NAME@_OUTPUTS];
  read_sensor(x);
  @quantize_call@
  @name@_step(&state, @q@);
  if (++step < @NAME@_TIMESTEPS) return;
  const int best = @name@_predict(&state, y);
  Serial.println(@class@);
  if (!@NAME@_STATEFUL) @name@_reset(&state);
  step = 0;
}
"""

_ESP_IDF = """\
idf_component_register(SRCS "src/@name@.c" INCLUDE_DIRS "src")
"""

_COMPONENT = """\
version: "1.0.0"
description: A FastRNN or FastGRNN model as plain C, written by keras_fastgrnn.export.c_source.
"""

_ZEPHYR = """\
if(CONFIG_@NAME@)
  zephyr_library()
  zephyr_library_sources(src/@name@.c)
  zephyr_include_directories(src)
endif()
"""

_KCONFIG = """\
config @NAME@
	bool "The model @name@, written by keras_fastgrnn.export.c_source"
"""

_MODULE = """\
name: @name@
build:
  cmake: .
  kconfig: Kconfig
"""

# The folder of the C files, and the other files.
LAYOUTS = {
    "c": ("", {}),
    "cmake": ("src/", {"CMakeLists.txt": _CMAKE, "example/main.c": _MAIN}),
    "arduino": (
        "src/",
        {"library.properties": _LIBRARY, "examples/@name@_example/@name@_example.ino": _SKETCH},
    ),
    "esp-idf": ("src/", {"CMakeLists.txt": _ESP_IDF, "idf_component.yml": _COMPONENT}),
    "zephyr": (
        "src/",
        {"CMakeLists.txt": _ZEPHYR, "Kconfig": _KCONFIG, "zephyr/module.yml": _MODULE},
    ),
}
