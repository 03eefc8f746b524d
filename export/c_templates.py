"""The C files of a model, and what stands around them for a build system to take the folder.

c_source() puts a value in the place of each name between @.
"""

HEADER = """\
/* @summary@. Written by keras_fastgrnn.export.c_source.
 *
 *   static @name@_state state;
 *   int8_t x[@NAME@_FEATURES], y[@NAME@_OUTPUTS];
 *   @name@_init(&state);
 *   @name@_step(&state, x); for each time step
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

/* An integer q stands for SCALE * (q - ZERO_POINT). The C code itself has no use for these. */
#define @NAME@_INPUT_SCALE @input_scale@f
#define @NAME@_INPUT_ZERO_POINT (@input_zero_point@)
#define @NAME@_OUTPUT_SCALE @output_scale@f
#define @NAME@_OUTPUT_ZERO_POINT (@output_zero_point@)

/* What the model remembers, and room to work in: one for each stream of inputs. */
typedef struct {
@members@
} @name@_state;

/* Before anything else. Returns 0, or 1 if the state is NULL. */
int @name@_init(@name@_state* state);

/* Before each sequence, but not within a stream if @NAME@_STATEFUL. */
void @name@_reset(@name@_state* state);

/* A time step. x: @NAME@_FEATURES values. */
void @name@_step(@name@_state* state, const int8_t* x);

/* What the model makes of the steps up to here; more of them may follow.
 *
 * y: @NAME@_OUTPUTS values, written.@softmax@
 * Returns the index of the largest, of the first if some are equal. */
int @name@_predict(@name@_state* state, int8_t* y);

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
  int best = 0, i;
@predict@
  for (i = 1; i < @NAME@_OUTPUTS; ++i) {
    if (y[i] > y[best]) best = i;
  }
  return best;
}
"""

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

if(CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
  add_executable(@name@_example example/main.c)
  target_link_libraries(@name@_example @name@)
endif()
"""

_MAIN = """\
/* Reads sequences of quantised inputs, int8, from stdin. Of each it prints the class and then the
 * outputs. */
#include <stdio.h>

#include "@name@.h"

int main(void) {
  static @name@_state state;
  int8_t x[@NAME@_FEATURES], y[@NAME@_OUTPUTS];
  int step = 0, i;
  if (@name@_init(&state) != 0) return 1;
  while (fread(x, sizeof x, 1, stdin) == 1) {
    @name@_step(&state, x);
    if (++step < @NAME@_TIMESTEPS) continue;
    printf("%d:", @name@_predict(&state, y));
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

// Put your sensor here. A real value r is r / @NAME@_INPUT_SCALE + @NAME@_INPUT_ZERO_POINT,
// rounded and kept within -128..127; with integers alone if you can.
static void read_sensor(int8_t x[@NAME@_FEATURES]) {
  for (int i = 0; i < @NAME@_FEATURES; ++i) x[i] = (int8_t)((analogRead(A0) >> 2) - 128);
}

void setup() {
  Serial.begin(115200);
  @name@_init(&state);
}

void loop() {
  static int step = 0;
  int8_t x[@NAME@_FEATURES], y[@NAME@_OUTPUTS];
  read_sensor(x);
  @name@_step(&state, x);
  if (++step < @NAME@_TIMESTEPS) return;
  Serial.println(@name@_predict(&state, y));
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
