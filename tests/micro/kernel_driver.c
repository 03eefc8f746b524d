/* Runs the C kernel for the tests, on buffers of the exact size, so that a sanitizer sees every
 * access past one. Reads records from stdin and answers each on stdout:
 *   record: five uint32 (options_size, weights_size, n, timesteps, state_given), then the options,
 *           the weights, x[n][timesteps][features], int16 state[n][units] if given.
 *           features and units are read from the options. n = 0: only fastgrnn_init().
 *   answer: uint32 status; if it is 0, y (n outputs, as the flags say), int16 state[n][units].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastgrnn.h"

static void* read_exact(size_t size) {
  void* data = malloc(size);
  if (data == NULL || fread(data, 1, size, stdin) != size) exit(2);
  return data;
}

int main(void) {
  uint32_t head[5];
  while (fread(head, sizeof(uint32_t), 5, stdin) == 5) {
    uint8_t* options = read_exact(head[0]);
    uint8_t* weights = read_exact(head[1]);
    fastgrnn_params p;
    const fastgrnn_status status = fastgrnn_init(options, head[0], weights, head[1], &p);
    const uint32_t answer = (uint32_t)status;
    uint32_t i;
    fwrite(&answer, sizeof answer, 1, stdout);
    fflush(stdout); /* the test writes the rest of a record after reading this */
    if (status == FASTGRNN_OK) {
      fastgrnn_params q;
      if (fastgrnn_init(NULL, head[0], weights, head[1], &q) != FASTGRNN_ERROR_NULL ||
          fastgrnn_init(options, head[0], NULL, head[1], &q) != FASTGRNN_ERROR_NULL ||
          fastgrnn_init(options, head[0], weights, head[1], NULL) != FASTGRNN_ERROR_NULL) {
        exit(3);
      }
    }
    if (status == FASTGRNN_OK && head[2] > 0) {
      const size_t outputs = (p.flags & FASTGRNN_RETURN_SEQUENCES) ? head[3] : 1;
      const size_t x_size =
          head[3] * (p.types & FASTGRNN_INT16_INPUT ? sizeof(int16_t) : 1) * p.features;
      const size_t y_size =
          outputs * (p.types & FASTGRNN_INT16_OUTPUT ? sizeof(int16_t) : 1) * p.units;
      uint8_t* x = read_exact(head[2] * x_size);
      uint8_t* y = malloc(head[2] * y_size);
      int16_t* state = head[4] ? read_exact(head[2] * sizeof(int16_t) * p.units)
                               : calloc(head[2] * (size_t)p.units, sizeof(int16_t));
      int16_t* scratch = malloc(fastgrnn_scratch_size(&p) * sizeof(int16_t));
      if (y == NULL || state == NULL || scratch == NULL) exit(2);
      for (i = 0; i < head[2]; ++i) {
        memset(scratch, 0x55, fastgrnn_scratch_size(&p) * sizeof(int16_t));
        fastgrnn_run(&p, x + i * x_size, head[3], state + i * (size_t)p.units, scratch,
                     y + i * y_size);
      }
      fwrite(y, 1, head[2] * y_size, stdout);
      fwrite(state, sizeof(int16_t), head[2] * (size_t)p.units, stdout);
      free(x);
      free(y);
      free(state);
      free(scratch);
    }
    free(options);
    free(weights);
    fflush(stdout);
  }
  return 0;
}
