/* The integers of the sensor -> what a step takes: normalised, and as int8, by one multiplier and
 * one offset a feature. x, q: @NAME@_FEATURES values. */
void @name@_quantize(const @sensor@_t* x, int8_t* q);
