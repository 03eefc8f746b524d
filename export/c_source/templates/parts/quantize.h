/* The integers of the sensor -> what a step takes: normalised, and as @input@, by one multiplier
 * and one offset a feature. x, q: @NAME@_FEATURES values. */
void @name@_quantize(const @sensor@_t* x, @input@_t* q);
