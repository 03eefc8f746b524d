/* Prints the tables that TFLite Micro's front end computes at its start, in the configuration of
 * pymicro-features: a name and its integers in each line. */
#include <stdio.h>
#include <stdlib.h>

#include "tensorflow/lite/experimental/microfrontend/lib/filterbank_util.h"
#include "tensorflow/lite/experimental/microfrontend/lib/pcan_gain_control_util.h"
#include "tensorflow/lite/experimental/microfrontend/lib/window_util.h"

#define FIXED_POINT 16
#include "kissfft/kiss_fft.inc"
#include "kissfft/kiss_fftr.inc"

enum { SAMPLE_RATE = 16000, BANDS = 40, FFT = 512 };

static void print(const char* name, const int16_t* values, int n) {
  int i;
  printf("%s", name);
  for (i = 0; i < n; ++i) printf(" %d", values[i]);
  printf("\n");
}

int main(void) {
  const struct WindowConfig window_config = {.size_ms = 30, .step_size_ms = 10};
  const struct FilterbankConfig filterbank_config = {
      .num_channels = BANDS, .lower_band_limit = 125.0f, .upper_band_limit = 7500.0f};
  const struct PcanGainControlConfig gain_config = {
      .enable_pcan = 1, .strength = 0.95f, .offset = 80.0f, .gain_bits = 21};
  struct WindowState window;
  struct FilterbankState bands;
  struct PcanGainControlState gains;
  static uint32_t noise[BANDS];
  kiss_fftr_cfg fft;
  size_t size = 0;
  int last = BANDS, n;
  int16_t edges[2];

  if (!WindowPopulateState(&window_config, &window, SAMPLE_RATE)) return 1;
  print("window", window.coefficients, (int)window.size);

  if (!FilterbankPopulateState(&filterbank_config, &bands, SAMPLE_RATE, FFT / 2 + 1)) return 1;
  n = bands.channel_weight_starts[last] + bands.channel_widths[last];
  edges[0] = (int16_t)bands.start_index;
  edges[1] = (int16_t)bands.end_index;
  print("start_index", edges, 1);
  print("end_index", edges + 1, 1);
  print("starts", bands.channel_frequency_starts, BANDS + 1);
  print("weight_starts", bands.channel_weight_starts, BANDS + 1);
  print("widths", bands.channel_widths, BANDS + 1);
  print("weights", bands.weights, n);
  print("unweights", bands.unweights, n);

  /* 10 bits of the noise reduction, less the 3 of FrontendPopulateState(). */
  if (!PcanGainControlPopulateState(&gain_config, &gains, noise, BANDS, 10, 3)) return 1;
  print("gains", gains.gain_lut, 4 * 32 - 3);

  kiss_fftr_alloc(FFT, 0, NULL, &size);
  fft = kiss_fftr_alloc(FFT, 0, malloc(size), &size);
  print("twiddles", &fft->substate->twiddles->r, FFT);
  print("super_twiddles", &fft->super_twiddles->r, FFT / 2);
  return 0;
}
