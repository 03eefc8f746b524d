/* vectors.h for the DSP extension: a vector begins at a whole word, and a dense matrix reads each
 * whole group of four columns in the order 0, 2, 1, 3. */
#ifndef FASTGRNN_VECTORS_DSP_H_
#define FASTGRNN_VECTORS_DSP_H_

#include "portable.h"

enum { READS_SCRATCH_ONLY = 1 };

static inline int16_t* first_vector(int16_t* scratch) {
  return scratch + ((uintptr_t)scratch / sizeof(int16_t)) % 2;
}

static inline int16_t* next_vector(int16_t* vector, unsigned size) {
  return vector + (size + 1) / 2 * 2;
}

static inline size_t vectors_size(const fastgrnn_params* params) {
  return 1u + (params->features + 1u) / 2 * 2 + (params->kernel_rank + 1u) / 2 * 2 +
         (params->recurrent_rank + 1u) / 2 * 2 + params->units;
}

/* A group of columns, which LDRD can read. */
typedef struct {
  uint32_t even, odd; /* columns 0 and 2, 1 and 3 */
} __attribute__((aligned(4), may_alias)) group;

static void arrange(const fastgrnn_matrix* m, const int16_t* from, int16_t* to) {
  const unsigned groups = m->encoding == FASTGRNN_DENSE ? m->cols / 4 : 0;
  const int16_t *const groups_end = from + 4 * groups, *const end = from + m->cols;
  for (; from != groups_end; from += 4, to += 4) {
    const uint32_t x01 = *(const unaligned_word*)from, x23 = *(const unaligned_word*)(from + 2);
    group x;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(x.even) : "r"(x01), "r"(x23));
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(x.odd) : "r"(x01), "r"(x23));
    *(group*)to = x;
  }
  while (from != end) *to++ = *from++;
}

#endif /* FASTGRNN_VECTORS_DSP_H_ */
