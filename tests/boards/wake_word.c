/* A wake word on a chip: hears the sound of sound.h, which tests/boards/wake_word.py writes, and
 * compares each logit and each decision.
 *
 * Prints the counts of instructions, the bytes of stack, and "passed". */
#include "wake_word.h"

#include "board.h"

enum { UNTOUCHED = 0xa5 };

/* const int16_t sound[FRAMES][FRONT_END_FRAME], int8_t logits[FRAMES], uint8_t detected[FRAMES].
 * The first frame makes no logit: the front end fills up. */
#include "sound.h"

static wake_word word;

/* Counts one call for each frame: wake_word_hear(), or its front end alone. */
static uint32_t hear(int frame, int alone) {
  int8_t features[FRONT_END_BANDS];
  const int16_t* samples = sound[frame];
  size_t n = FRONT_END_FRAME;
  int times = 0;
  uint32_t count;
  board_start();
  if (alone) {
    front_end_hear(&word.front_end, &samples, &n, features);
  } else {
    times = wake_word_hear(&word, samples, n);
  }
  count = board_stop();
  if (!alone && (word.logit != logits[frame] || times != detected[frame])) {
    board_write_line("wrong at frame ", (uint32_t)frame);
    board_exit(1);
  }
  return count;
}

int main(void) {
  extern uint8_t board_stack_top[];
  volatile uint8_t* p;
  uint8_t* const stack = board_stack_pointer();
  const uint8_t* lowest = board_free_memory;
  uint32_t count, most = 0;
  uint64_t steps = 0, alone = 0;
  int frame;
  for (p = board_free_memory; p < stack; ++p) *p = UNTOUCHED;
  board_start();
  wake_word_init(&word);
  board_write_line("start ", board_stop());
  for (frame = 0; frame < FRAMES; ++frame) {
    count = hear(frame, 0);
    if (frame == 0) continue;
    steps += count;
    if (count > most) most = count;
  }
  while (*lowest == UNTOUCHED) ++lowest;
  front_end_init(&word.front_end);
  for (frame = 0; frame < FRAMES; ++frame) {
    count = hear(frame, 1);
    if (frame != 0) alone += count;
  }
  board_write_line("step ", (uint32_t)(steps / (FRAMES - 1)));
  board_write_line("most ", most);
  board_write_line("alone ", (uint32_t)(alone / (FRAMES - 1)));
  board_write_line("stack ", (uint32_t)(board_stack_top - lowest));
  board_write("passed\n");
  board_exit(0);
}
