/* The steps without a reset after which the state saturates, on the samples of the conversion.
 * Reset before then: from there on the outputs are wrong. */
#define @NAME@_STEPS_TO_SATURATION @steps_to_saturation@
