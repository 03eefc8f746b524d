/* Reads the little-endian integers of the two blocks, which need no alignment. */
#ifndef FASTGRNN_BYTES_H_
#define FASTGRNN_BYTES_H_

#include "fastgrnn.h"

#ifdef __AVR__
#include <avr/pgmspace.h>
#endif

static inline uint16_t read_u16(const FASTGRNN_FLASH uint8_t* p) {
#ifdef __AVR__
  return pgm_read_word(p); /* GCC joins two __flash bytes to one word, which it may read from RAM */
#else
  return (uint16_t)(p[0] | ((unsigned)p[1] << 8));
#endif
}

#endif /* FASTGRNN_BYTES_H_ */
