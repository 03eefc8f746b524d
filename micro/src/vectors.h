/* The vectors that matrices read: where in scratch memory, and in which order. */
#ifndef FASTGRNN_VECTORS_H_
#define FASTGRNN_VECTORS_H_

#include "portable.h"

#ifdef FASTGRNN_DSP
#include "vectors_dsp.h"
#else

/* Whether a matrix can only read a vector in scratch memory, and not the state. */
enum { READS_SCRATCH_ONLY = 0 };

static inline int16_t* first_vector(int16_t* scratch) { return scratch; }
static inline int16_t* next_vector(int16_t* vector, unsigned size) { return vector + size; }

static inline size_t vectors_size(const fastgrnn_params* params) {
  return (size_t)params->features + params->kernel_rank +
         (params->recurrent_rank != 0 ? params->recurrent_rank : params->units);
}

/* Copies a vector, or leaves it where it is, and puts it into the order in which m reads it. */
static inline void arrange(const fastgrnn_matrix* m, const int16_t* from, int16_t* to) {
  const int16_t* const end = from + m->cols;
  if (from == to) return;
#ifdef FASTGRNN_MVE
  __asm__ volatile(
      "dlstp.16 lr, %[n]\n"
      "1: vldrh.16 q0, [%[from]], #16\n"
      "vstrh.16 q0, [%[to]], #16\n"
      "letp lr, 1b"
      : [from] "+r"(from), [to] "+r"(to)
      : [n] "r"(end - from)
      : "lr", "q0", "memory");
#else
  while (from != end) *to++ = *from++;
#endif
}

#endif

#endif /* FASTGRNN_VECTORS_H_ */
