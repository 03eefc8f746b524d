void @name@_quantize(const @sensor@_t* x, int16_t* q) {
  uint16_t i;
  for (i = 0; i < @NAME@_FEATURES; ++i) {
    const uint8_t shift = quantize_shift[i];
    const int64_t sum = x[i] * (int64_t)quantize_multiplier[i] + quantize_offset[i];
    const int64_t v = (sum + (INT64_C(1) << shift >> 1)) >> shift;
    q[i] = (int16_t)(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
  }
}
