"""The tables of TensorFlow Lite Micro's audio front end, in the configuration of pymicro-features.

On a chip TFLite Micro computes them at the start, in float, into memory from malloc(). They depend
on the configuration alone: a firmware that has them in flash needs no heap, no float and a third of
the RAM.

Each value is rounded to float32 where the C rounds it, so that each integer is that of the C. The
last bit of log1pf() differs from one C library to another: the tables are made with this machine's,
which pymicro-features calls too.
"""

import ctypes
import ctypes.util

import numpy as np

from examples.common.front_end import BANDS, HOP, SAMPLE_RATE

WINDOW = 3 * HOP  # samples
FFT = 512  # samples, the rest of them 0

_LOWEST, _HIGHEST = 125.0, 7500.0  # Hz
_WEIGHT_BITS = 12  # of the window and of the bands
_FRACTION_BITS = 15  # of the FFT
_GAIN_BITS, _STRENGTH, _OFFSET = 21, 0.95, 80.0
_NOISE_BITS = 7  # after the point, in the estimate of the noise that the gain reads


def tables():
    """Dict from the name of each table to its integers, as an array."""
    angle = -2 * np.pi * np.arange(FFT // 2) / (FFT // 2)
    return {
        "window": _window(),
        **_bands(),
        "gains": _gains(),
        "twiddles": _rotations(angle),
        # These turn by a further quarter, and half as fast.
        "super_twiddles": _rotations(angle[1 : FFT // 4 + 1] / 2 - np.pi / 2),
    }


def _window():
    """Hann, at the middle of each sample."""
    step = np.float32(2 * np.pi) / np.float32(WINDOW)
    cosine = _libm("cosf", step * (np.arange(WINDOW, dtype=np.float32) + np.float32(0.5)))
    return _weights(np.float32(0.5) - np.float32(0.5) * cosine)


def _weights(value):
    """float32 -> integers."""
    return np.floor(value * np.float32(1 << _WEIGHT_BITS) + np.float32(0.5)).astype(int)


def _rotations(angle):
    """The real and imaginary parts by turns."""
    parts = np.stack([np.cos(angle), np.sin(angle)], axis=1).ravel()
    return np.floor(parts * ((1 << _FRACTION_BITS) - 1) + 0.5).astype(int)


def _mel(hertz):
    return np.float32(1127) * _libm("log1pf", np.float32(hertz) / np.float32(700))


def _libm(name, x):
    function = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name)
    function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    return np.vectorize(function, otypes=[np.float32])(x)


def _bands():
    """Triangles, evenly spaced in mel.

    Entry i is the falling side of the triangle of band i - 1, in `weights`, and the rising side of
    that of band i, in `unweights`. It reads `widths` bins from `starts` on, with the weights from
    `weight_starts` on. Starts are even and widths multiples of 4: further bins have weights of 0.
    """
    low, high = _mel(_LOWEST), _mel(_HIGHEST)
    spacing = (high - low) / np.float32(BANDS + 1)
    centers = low + spacing * np.arange(1, BANDS + 2, dtype=np.float32)
    before = np.concatenate([[low], centers[:-1]])
    bin_hertz = np.float32(0.5 * SAMPLE_RATE / (FFT // 2))
    mels = _mel(bin_hertz * np.arange(FFT // 2 + 1, dtype=np.float32))
    # The first is never that of 0 Hz.
    edges = np.concatenate(
        [[int(1.5 + _LOWEST / bin_hertz)], np.searchsorted(mels, centers, "right")]
    )
    found = {name: [] for name in ("starts", "weight_starts", "widths", "weights", "unweights")}
    for first, last, left, right in zip(edges[:-1], edges[1:], before, centers, strict=True):
        start = first // 2 * 2
        width = -(-(last - start) // 4) * 4
        found["starts"].append(start)
        found["weight_starts"].append(len(found["weights"]))
        found["widths"].append(width)
        weight = (right - mels[first:last]) / (right - left)
        pad = first - start, width - (last - start)
        for name, value in (("weights", weight), ("unweights", np.float32(1) - weight)):
            found[name] += np.pad(_weights(value), pad).tolist()
    bins = {"start_index": edges[0], "end_index": edges[-1]}
    return {name: np.array(values) for name, values in (bins | found).items()}


def _gains():
    """The gain against the noise, a parabola between each power of 2 and the next: value, slope and
    curvature, in rows of four. The first two stand for 0 and 1."""

    def gain(noise):
        value = np.float64(noise) / (1 << _NOISE_BITS) + _OFFSET
        return np.floor((1 << _GAIN_BITS) * value**-_STRENGTH + 0.5).astype(int)

    power = 2 ** np.arange(1, 32)
    after = np.append(power[1:], 2**32 - 1)
    at = gain(power)
    half, whole = gain(power + power // 2) - at, gain(after) - at
    slope = 4 * half - whole
    rows = np.stack([at, slope, whole - slope, np.zeros_like(at)], axis=1)
    return np.concatenate([gain(np.arange(2)), rows.ravel()[:-1]])
