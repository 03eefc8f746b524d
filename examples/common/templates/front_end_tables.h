/* Written by examples/common/front_end_tables.py; for front_end.c only. */
#ifndef FRONT_END_TABLES_H_
#define FRONT_END_TABLES_H_

#include "kissfft/_kiss_fft_guts.h"

/* Bins of the FFT that any band reads: from the first up to, and without, the last. */
enum { START_INDEX = @start_index@, END_INDEX = @end_index@ };

static const int16_t window[] = {
@window@};

static const int16_t starts[] = {
@starts@};
static const int16_t weight_starts[] = {
@weight_starts@};
static const int16_t widths[] = {
@widths@};
static const int16_t weights[] = {
@weights@};
static const int16_t unweights[] = {
@unweights@};

static const int16_t gains[] = {
@gains@};

/* What kiss_fft_alloc() would compute: the plan of a complex FFT of half the size. Its own type ends
 * in an array whose length that function chooses. */
static const struct {
  int nfft, inverse, factors[2 * MAXFACTORS];
  int16_t twiddles[FRONT_END_FFT];
} plan = {FRONT_END_FFT / 2,
          0,
          {4, 64, 4, 16, 4, 4, 4, 1},
          {
@twiddles@}};

static const int16_t super_twiddles[] = {
@super_twiddles@};

#endif /* FRONT_END_TABLES_H_ */
