/* Reads sequences of @read@, @sensor@, from stdin. Prints the class of each, then its outputs. */
#include <stdio.h>

#include "@name@.h"

int main(void) {
  static @name@_state state;
  @input_arrays@
  @output@_t y[@NAME@_OUTPUTS];
  @names@
  int step = 0, i, best;
#ifdef @NAME@_SELFTEST
  const int wrong = @name@_selftest();
  if (wrong != 0) {
    fprintf(stderr, "@name@_selftest: wrong output at step %d\n", wrong);
    return 1;
  }
#endif
  if (@name@_init(&state) != 0) return 1;
  while (fread(x, sizeof x, 1, stdin) == 1) {
    @quantize_call@
    @name@_step(&state, @q@);
    if (++step < @NAME@_TIMESTEPS) continue;
    best = @name@_predict(&state, y);
    printf("@class_format@:", @class@);
    for (i = 0; i < @NAME@_OUTPUTS; ++i) printf(" %d", y[i]);
    printf("\n");
    if (!@NAME@_STATEFUL) @name@_reset(&state);
    step = 0;
  }
  return 0;
}
