/* From sound to the features of a model: TensorFlow Lite Micro's audio front end, in the
 * configuration of pymicro-features, without malloc() or float.
 *
 * The compiler needs -Imicrofrontend. */
#ifndef FRONT_END_H_
#define FRONT_END_H_

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FRONT_END_SAMPLE_RATE = 16000,
  FRONT_END_FRAME = 320,               /* samples from one frame of features to the next: 20 ms */
  FRONT_END_BANDS = 40,                /* features of a frame */
  FRONT_END_HOP = FRONT_END_FRAME / 2, /* a frame is the mean of two of TFLite Micro's */
  FRONT_END_WINDOW = 3 * FRONT_END_HOP,
  FRONT_END_FFT = 512
};

/* It holds pointers to itself: do not move or copy it after front_end_init(). */
typedef struct {
  struct FrontendState state;
  int16_t sound[FRONT_END_WINDOW];
  union { /* one after the other */
    int16_t samples[FRONT_END_FFT];
    struct complex_int16_t bins[FRONT_END_FFT / 2 + 1];
  } fft;
  struct complex_int16_t scratch[FRONT_END_FFT / 2];
  uint64_t bands[FRONT_END_BANDS + 1];
  uint32_t noise[FRONT_END_BANDS];
  uint16_t first[FRONT_END_BANDS]; /* of the two frames whose mean is next */
  uint8_t has_first;
} front_end_state;

/* Begins a stream. Call it once, not between words: the front end estimates the noise from all that
 * it has heard. */
void front_end_init(front_end_state* f);

/* Hears up to the end of the next frame.
 *
 * samples: points to the next sample, 16 kHz, one channel; moved past those that are heard.
 * n: how many are left; counted down, to 0 if no frame is complete.
 * features: FRONT_END_BANDS values, written if a frame is complete.
 *
 * Returns 1 if a frame is complete, else 0. The first is complete after 640 samples, each other
 * after 320 more, in calls of any length. */
int front_end_hear(front_end_state* f, const int16_t** samples, size_t* n, int8_t* features);

#ifdef __cplusplus
}
#endif

#endif /* FRONT_END_H_ */
