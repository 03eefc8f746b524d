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
  Serial.println(@name@_selftest());  // 0: all outputs are right
#endif
}

void loop() {
  static int step = 0;
  @input_arrays@
  @output@_t y[@NAME@_OUTPUTS];
  read_sensor(x);
  @quantize_call@
  @name@_step(&state, @q@);
  if (++step < @NAME@_TIMESTEPS) return;
  const int best = @name@_predict(&state, y);
  Serial.println(@class@);
  if (!@NAME@_STATEFUL) @name@_reset(&state);
  step = 0;
}
