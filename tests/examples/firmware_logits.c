/* Hears the raw sound of standard input, as many samples at a time as the argument says. Prints the
 * logit and the detections after each call. */
#include <stdio.h>
#include <stdlib.h>

#include "wake_word.h"

int main(int argc, char** argv) {
  static wake_word word;
  static int16_t samples[4096];
  const size_t n = argc < 2 ? 0 : (size_t)atoi(argv[1]);
  if (n == 0 || n > sizeof samples / sizeof *samples) return 1;
  wake_word_init(&word);
  while (fread(samples, sizeof *samples, n, stdin) == n) {
    const int detections = wake_word_hear(&word, samples, n);
    printf("%d %d\n", word.logit, detections);
  }
  return 0;
}
