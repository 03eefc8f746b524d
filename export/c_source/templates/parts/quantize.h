/* The sensor's integers -> the @input@ of a step, normalised: one multiplier and one offset per
 * feature. x, q: @NAME@_FEATURES values. */
void @name@_quantize(const @sensor@_t* x, @input@_t* q);
