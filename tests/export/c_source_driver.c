/* Runs a model of INPUT and OUTPUT, int8_t or int16_t, on time steps from stdin, and writes the
 * class and the outputs after each. The optional argument is the number of steps between two
 * resets. */
#include <stdio.h>
#include <stdlib.h>

#include "model.c" /* not model.h: its static functions are needed too */

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

int main(int argc, char** argv) {
  static model_state state;
  static INPUT x[MODEL_FEATURES];
  static OUTPUT y[MODEL_OUTPUTS];
  const int length = argc > 1 ? atoi(argv[1]) : MODEL_STATEFUL ? 0 : MODEL_TIMESTEPS;
  const fastgrnn_params* const cells[] = {CELLS};
  size_t i, scratch = 0;
  int steps = 0, best;
  for (i = 0; i < LENGTH(cells); ++i) {
    if (fastgrnn_scratch_size(cells[i]) > scratch) scratch = fastgrnn_scratch_size(cells[i]);
  }
  if (scratch != LENGTH(state.scratch)) {
    fprintf(stderr, "scratch is %d, not %d\n", (int)LENGTH(state.scratch), (int)scratch);
    return 1;
  }
  /* init() must not depend on the content of the state. */
  for (i = 0; i < sizeof state; ++i) ((unsigned char*)&state)[i] = 0x55;
  if (model_init(NULL) == 0 || model_init(&state) != 0) return 1;
  while (fread(x, sizeof x, 1, stdin) == 1) {
    model_step(&state, x);
    best = model_predict(&state, y);
    if (best != model_predict(&state, y)) return 1;
    fwrite(&best, sizeof best, 1, stdout);
    fwrite(y, sizeof y, 1, stdout);
    if (++steps == length) {
      model_reset(&state);
      steps = 0;
    }
  }
  return 0;
}
