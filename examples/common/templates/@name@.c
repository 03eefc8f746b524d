#include "@name@.h"

#include <string.h>

void @name@_init(@name@* word) {
  memset(word, 0, sizeof *word);
  front_end_init(&word->front_end);
  @name@_model_init(&word->model);
  @name@_detector_init(&word->detector);
}

int @name@_hear(@name@* word, const int16_t* samples, size_t n) {
  int8_t features[FRONT_END_BANDS];
  int detected = 0;
  while (front_end_hear(&word->front_end, &samples, &n, features)) {
    @name@_model_step(&word->model, features);
    @name@_model_predict(&word->model, &word->logit);
    detected += @name@_detect(&word->detector, word->logit);
  }
  return detected;
}
