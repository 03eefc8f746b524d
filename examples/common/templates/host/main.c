/* Prints the seconds at which the word is heard in the raw sound of standard input: 16 kHz, one
 * channel, 16 bit. Not for a firmware. */
#include <stdio.h>

#include "@name@.h"

int main(void) {
  static @name@ word;
  int16_t pcm[FRONT_END_FRAME];
  unsigned long frames = 0;
  @name@_init(&word);
  while (fread(pcm, sizeof pcm, 1, stdin) == 1) {
    ++frames;
    if (@name@_hear(&word, pcm, FRONT_END_FRAME) != 0) {
      printf("%lu.%02lu s\n", frames / 50, frames % 50 * 2);
      fflush(stdout);
    }
  }
  return 0;
}
