static void dense(const int16_t* x, int16_t* y) {
  const FASTGRNN_FLASH int8_t* w = dense_weights;
  uint16_t i, j;
  for (i = 0; i < @units@; ++i) {
    const uint8_t shift = dense_shift[i];
    int32_t sum = dense_bias[i];
    for (j = 0; j < @features@; ++j) sum += *w++ * (int32_t)x[j];
    /* The bytes of TFLite's MultiplyByQuantizedMultiplier of a 64-bit sum. */
    sum = (int32_t)((sum * (int64_t)dense_multiplier[i] + (INT64_C(1) << (shift - 1))) >> shift);
    y[i] = (int16_t)(sum < @low@ ? @low@ : sum > @high@ ? @high@ : sum);
  }
}
