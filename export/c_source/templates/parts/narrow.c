/* The excess of x over low, without its lowest bits, minus 32768, saturated. */
static int16_t narrow(int32_t x, int32_t low, uint8_t bits) {
  const uint32_t v = x < low ? 0 : ((uint32_t)x - (uint32_t)low) >> bits;
  return (int16_t)((v > 65535 ? INT32_C(65535) : (int32_t)v) - 32768);
}
