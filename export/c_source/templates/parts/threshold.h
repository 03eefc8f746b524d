/* The output at which the sigmoid, which is left out, is 0.5. For a threshold of p use
 * ln(p / (1 - p)) / @NAME@_OUTPUT_SCALE + @NAME@_OUTPUT_ZERO_POINT. */
#define @NAME@_THRESHOLD @NAME@_OUTPUT_ZERO_POINT
