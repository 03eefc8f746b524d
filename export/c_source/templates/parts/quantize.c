void @name@_quantize(const @sensor@_t* x, int8_t* q) {
  uint16_t i;
  for (i = 0; i < @NAME@_FEATURES; ++i) {
    const int16_t v = @narrowed@;
    const int32_t sum = multiply16(v, quantize_multiplier[i]) + quantize_offset[i];
    q[i] = (int8_t)clip(round_shift(sum, quantize_shift[i]), -128, 127);
  }
}
