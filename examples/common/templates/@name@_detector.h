/* A keyword in the logits of a model: the decisions of examples/common/detector.py, on the same
 * integers. */
#ifndef @NAME@_DETECTOR_H_
#define @NAME@_DETECTOR_H_

#include <stdint.h>

enum {
  @NAME@_THRESHOLD = @threshold@, /* least mean of the logits, int8 */
  @NAME@_SMOOTHING = @smoothing@, /* steps in the mean, 1..255 */
  @NAME@_REFRACTORY = @refractory@ /* steps after a detection without another, 0..65535 */
};

typedef struct {
  int8_t logits[@NAME@_SMOOTHING]; /* the last ones, in a ring */
  uint8_t oldest;
  int16_t sum;   /* of the logits */
  uint16_t wait; /* steps until a detection may follow */
} @name@_detector;

/* detector: one whose bytes are 0. */
static inline void @name@_detector_init(@name@_detector* detector) {
  detector->wait = @NAME@_SMOOTHING - 1;
}

/* Whether the mean of the last logits reaches the threshold, and the last steps had no detection. */
static inline int @name@_detect(@name@_detector* detector, int8_t logit) {
  detector->sum = (int16_t)(detector->sum + logit - detector->logits[detector->oldest]);
  detector->logits[detector->oldest] = logit;
  if (++detector->oldest == @NAME@_SMOOTHING) detector->oldest = 0;
  if (detector->wait != 0) {
    --detector->wait;
    return 0;
  }
  if (detector->sum < @NAME@_THRESHOLD * @NAME@_SMOOTHING) return 0;
  detector->wait = @NAME@_REFRACTORY;
  return 1;
}

#endif /* @NAME@_DETECTOR_H_ */
