/* Hears a word in sound, 20 ms at a time: audio front end, model and detector. Written by
 * examples/common/firmware.py.
 *
 *   static @name@ word;
 *   int16_t pcm[FRONT_END_FRAME]; (16 kHz, one channel)
 *   @name@_init(&word);
 *   while (read_microphone(pcm)) {
 *     if (@name@_hear(&word, pcm, FRONT_END_FRAME)) ...
 *   }
 *
 * A firmware compiles all .c files of this folder but host/, with C99 and -Imicrofrontend, and links
 * with --gc-sections. On a PC, `raw` is sound of 16 kHz, one channel, 16 bit:
 *
 *   gcc -std=c99 -O2 -I. -Imicrofrontend -o hear $(find . -name '*.c') -lm
 *   ./hear < raw
 *
 * No malloc(), no float, no other library. RAM: sizeof(@name@) for each stream, and the stack. */
#ifndef @NAME@_H_
#define @NAME@_H_

#include "@name@_detector.h"
#include "@name@_model.h"
#include "front_end.h"

#ifdef __cplusplus
extern "C" {
#endif

/* It holds pointers to itself: do not move or copy it after @name@_init(). */
typedef struct {
  front_end_state front_end;
  @name@_model_state model;
  @name@_detector detector;
  int8_t logit; /* the model's last: to look at, or to choose @NAME@_THRESHOLD by */
} @name@;

/* Begins a stream. word: not NULL, any bytes. Call it once, and again only if samples were lost for
 * seconds: the first word is heard when the front end has got used to the noise. */
void @name@_init(@name@* word);

/* Hears more of the stream.
 *
 * samples: `n` of them, 16 kHz, one channel, full scale +-32767. The end of a frame of 20 ms,
 *     FRONT_END_FRAME samples, takes most of the time: hear that many at a time, or fewer.
 *
 * Returns how many times the word was detected, at the ends of frames: 0 or 1 in up to
 * FRONT_END_FRAME samples. */
int @name@_hear(@name@* word, const int16_t* samples, size_t n);

#ifdef __cplusplus
}
#endif

#endif /* @NAME@_H_ */
