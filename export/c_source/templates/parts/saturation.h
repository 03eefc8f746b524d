/* Without a reset the state saturates in about so many steps, on the data of the conversion; from
 * there on the outputs are wrong. Reset before. */
#define @NAME@_STEPS_TO_SATURATION @steps_to_saturation@
