/* A keyword in the logits of a model: the decisions of examples/common/detector.py, on the same
 * integers.
 *
 * Given by -D: THRESHOLD (int8), SMOOTHING (1..255) and REFRACTORY (0..65535). */
#ifndef DETECTOR_H_
#define DETECTOR_H_

#include <stdint.h>

typedef struct {
  int8_t logits[SMOOTHING]; /* the last ones, in a ring */
  uint8_t oldest;
  int16_t sum;   /* of the logits */
  uint16_t wait; /* steps until a detection may follow */
} detector;

/* d: a detector whose bytes are 0. */
static void detector_init(detector* d) { d->wait = SMOOTHING - 1; }

/* Whether the mean of the last SMOOTHING logits is at least THRESHOLD, and the last REFRACTORY
 * steps had no detection. */
static int detect(detector* d, int8_t logit) {
  d->sum = (int16_t)(d->sum + logit - d->logits[d->oldest]);
  d->logits[d->oldest] = logit;
  if (++d->oldest == SMOOTHING) d->oldest = 0;
  if (d->wait != 0) {
    --d->wait;
    return 0;
  }
  if (d->sum < THRESHOLD * SMOOTHING) return 0;
  d->wait = REFRACTORY;
  return 1;
}

#endif /* DETECTOR_H_ */
