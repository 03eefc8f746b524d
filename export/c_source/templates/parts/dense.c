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
