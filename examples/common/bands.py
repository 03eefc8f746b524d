"""Sound as frames, spectra and bands, and back: 20 ms every 10 ms.

The work is divided as in J.-M. Valin, A Hybrid DSP/Deep Learning Approach to Real-Time
Full-Band Speech Enhancement, arXiv 1709.08243 (RNNoise). `docs/denoise.md` says how a chip does the
same, frame by frame.
"""

import numpy as np
import scipy.fft

from examples.common.front_end import SAMPLE_RATE

HOP = 160
FRAME = 2 * HOP
# Vorbis: the squares of two overlapping windows add up to 1.
WINDOW = np.sin(np.pi / 2 * np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME) ** 2)
# The peak of each band in Hz. Bands are as wide as the ear's, and at least 100 Hz, two bins.
CENTRES = np.array(
    [0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700]
    + [3150, 3700, 4400, 5300, 6400, 8000]
)
BANDS = len(CENTRES)
# Triangles, `(bands, bins)`. The weights of a bin add up to 1: gains of 1 change no bin.
_TRIANGLES = np.array(
    [np.interp(scipy.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE), CENTRES, one) for one in np.eye(BANDS)]
)
# Added to all energies: white noise of -90 dB of full scale, below that of any microphone.
_FLOOR = 1e-9 * np.sum(WINDOW**2) * _TRIANGLES.sum(axis=1)


def spectra(sound):
    """Spectra of frames; the first frame begins with 10 ms of silence.

    Args:
        sound: float `(..., 160 * n)`, in -1..1.

    Returns:
        complex `(..., n + 1, 161)`.
    """
    if sound.shape[-1] % HOP:
        raise ValueError(f"Needs a multiple of {HOP} samples; got {sound.shape[-1]}.")
    padded = np.pad(sound, [(0, 0)] * (sound.ndim - 1) + [(HOP, HOP)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME, axis=-1)[..., ::HOP, :]
    return scipy.fft.rfft(WINDOW * frames)


def sound_of(spectra):
    """The inverse of `spectra()`: frames, windowed again, overlap and add up."""
    first, second = np.split(WINDOW * scipy.fft.irfft(spectra, FRAME), 2, axis=-1)
    hops = first[..., 1:, :] + second[..., :-1, :]
    return hops.reshape(*hops.shape[:-2], -1)


def energies(spectra):
    """`(..., bands)` of spectra `(..., bins)`."""
    return np.square(np.abs(spectra)) @ _TRIANGLES.T


def features(spectra):
    """The input of a model: the logarithm of each band's energy, float32 `(..., bands)`."""
    return np.log10(energies(spectra) + _FLOOR).astype(np.float32)


def ideal_gains(speech, noise):
    """The gains that a model learns: Wiener's, from the spectra of speech and noise, in 0..1."""
    speech, noise = energies(speech), energies(noise)
    return (speech / (speech + noise + _FLOOR)).astype(np.float32)


def amplify(spectra, gains):
    """Spectra times a gain for each band, which changes smoothly from band to band."""
    return spectra * (gains @ _TRIANGLES)
