/* Sets up TensorFlow Lite Micro's front end with tables in flash, in place of its files *_util.cc,
 * which compute them into memory from malloc(), in float. */
#include "front_end.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_POINT 16
#include "front_end_tables.h"
#include "kissfft/kiss_fft.inc"
#include "kissfft/kiss_fftr.inc"

/* Called by frontend.c. input: that of `fft` itself, and shorter. */
void FftCompute(struct FftState* fft, const int16_t* input, int shift) {
  struct kiss_fftr_state real = {(kiss_fft_cfg)&plan, fft->scratch, (kiss_fft_cpx*)super_twiddles};
  size_t i;
  for (i = 0; i < fft->input_size; ++i) fft->input[i] = (int16_t)((uint16_t)input[i] << shift);
  for (; i < fft->fft_size; ++i) fft->input[i] = 0;
  kiss_fftr(&real, fft->input, (kiss_fft_cpx*)fft->output);
}

/* For FrontendReset(), which nobody calls. The FFT keeps nothing from frame to frame. */
void FftReset(struct FftState* fft) { (void)fft; }

/* The pointers to tables lose their const: TFLite Micro's types have none, but its functions only
 * read them. */
void front_end_init(front_end_state* f) {
  memset(f, 0, sizeof *f);
  f->state.window = (struct WindowState){
      .size = FRONT_END_WINDOW,
      .step = FRONT_END_HOP,
      .coefficients = (int16_t*)window,
      .input = f->sound,
      .output = f->fft.samples,
  };
  f->state.fft = (struct FftState){
      .fft_size = FRONT_END_FFT,
      .input_size = FRONT_END_WINDOW,
      .input = f->fft.samples,
      .output = f->fft.bins, /* kissfft has read all samples when it writes the first bin */
      .scratch = f->scratch,
      .scratch_size = sizeof f->scratch,
  };
  f->state.filterbank = (struct FilterbankState){
      .num_channels = FRONT_END_BANDS,
      .start_index = START_INDEX,
      .end_index = END_INDEX,
      .channel_frequency_starts = (int16_t*)starts,
      .channel_weight_starts = (int16_t*)weight_starts,
      .channel_widths = (int16_t*)widths,
      .weights = (int16_t*)weights,
      .unweights = (int16_t*)unweights,
      .work = f->bands,
  };
  f->state.noise_reduction = (struct NoiseReductionState){
      .smoothing_bits = 10,
      .even_smoothing = (uint16_t)(0.025 * (1 << kNoiseReductionBits)),
      .odd_smoothing = (uint16_t)(0.06 * (1 << kNoiseReductionBits)),
      .min_signal_remaining = (uint16_t)(0.05 * (1 << kNoiseReductionBits)),
      .num_channels = FRONT_END_BANDS,
      .estimate = f->noise,
  };
  f->state.pcan_gain_control = (struct PcanGainControlState){
      .enable_pcan = 1,
      .noise_estimate = f->noise,
      .num_channels = FRONT_END_BANDS,
      .gain_lut = (int16_t*)gains,
      .snr_shift = 6,
  };
  f->state.log_scale = (struct LogScaleState){.enable_log = 1, .scale_shift = 6};
}

static int8_t feature(int32_t value) {
  const int32_t v = (value * 256 + 333) / 666 - 128;
  return (int8_t)(v > 127 ? 127 : v);
}

int front_end_hear(front_end_state* f, const int16_t** samples, size_t* n, int8_t* features) {
  int i;
  while (*n != 0) {
    size_t read;
    const struct FrontendOutput half = FrontendProcessSamples(&f->state, *samples, *n, &read);
    *samples += read;
    *n -= read;
    if (half.size == 0) continue;
    f->has_first = !f->has_first;
    if (f->has_first) {
      memcpy(f->first, half.values, sizeof f->first);
      continue;
    }
    for (i = 0; i < FRONT_END_BANDS; ++i) {
      features[i] = feature((f->first[i] + half.values[i] + 1) / 2);
    }
    return 1;
  }
  return 0;
}
