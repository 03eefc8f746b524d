"""The scores of a denoiser: the SI-SDR that it gains, and STOI."""

import warnings
from typing import NamedTuple

import numpy as np
import pystoi

from examples.common import bands
from examples.common.front_end import SAMPLE_RATE
from examples.common.noisy_speech import UNSEEN, evaluation_mixes

SNRS = 0, 5, 10  # dB


class Score(NamedTuple):
    """Means over the mixes of one noise at one SNR: dB of SI-SDR gained; STOI, 0 to 1."""

    gain: float
    stoi: float


def si_sdr(sound, speech):
    """The scale-invariant ratio of speech to distortion, in dB: arrays `(..., samples)`.

    J. Le Roux et al., SDR - half-baked or well done?, arXiv 1811.02508.
    """
    scale = np.sum(sound * speech, axis=-1) / np.sum(speech**2, axis=-1)
    target = scale[..., np.newaxis] * speech
    return 10 * np.log10(np.sum(target**2, axis=-1) / np.sum((sound - target) ** 2, axis=-1))


def ideal(mixed):
    """The ideal gains of a `Mix`, from its speech and noise apart."""
    return bands.ideal_gains(*map(bands.spectra, mixed))


def by_features(gains):
    """Makes a function of a `Mix` from a function of its features."""
    return lambda mixed: gains(bands.features(bands.spectra(sum(mixed))))


def denoise(mixed, gains):
    """The sound `(..., samples)` of a `Mix` after the gains that a function computes from it."""
    return bands.sound_of(bands.amplify(bands.spectra(sum(mixed)), gains(mixed)))


def evaluate(gains, sounds, *, count, seconds=5.0):
    """Scores in each noise at each of `SNRS`.

    Args:
        gains: function from a `Mix` to gains, or `None` to leave the sound as it is.
        sounds: `Sounds`.
        count: mixes in each noise; every call makes the same ones.
        seconds: float, the length of a mix.

    Returns:
        dict from the noise's name to a dict from the SNR, a string as in JSON, to `Score`.
    """
    return {
        name: {
            str(snr): score(
                evaluation_mixes(sounds, name, snr, count=count, seconds=seconds), gains
            )
            for snr in SNRS
        }
        for name in sounds.noise
    }


def score(mixed, gains):
    """`Score` of a `Mix` of arrays `(n, samples)`."""
    heard = sum(mixed)
    sound = denoise(mixed, gains) if gains else heard
    gain = si_sdr(sound, mixed.speech) - si_sdr(heard, mixed.speech)
    return Score(float(np.mean(gain)), float(np.mean(list(map(stoi, mixed.speech, sound)))))


def stoi(speech, sound):
    """Short-time objective intelligibility, of the frames in which somebody speaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # on too few frames pystoi warns, and gives 1e-5
        return pystoi.stoi(speech, sound, SAMPLE_RATE)


def mean(scores, snr, unseen=False, field="gain"):
    """The mean of a field of the scores at one SNR.

    Args:
        scores: dict that `evaluate()` returned; the scores may be lists, as JSON has them.
        snr: one of `SNRS`.
        unseen: boolean. Whether to take the noise that is in no training, `UNSEEN`, in place of
            all others, which are tested in stretches that are in no training.
        field: string, "gain" or "stoi".
    """
    noises = [UNSEEN] if unseen else [noise for noise in scores if noise != UNSEEN]
    return float(np.mean([getattr(Score(*scores[n][str(snr)]), field) for n in noises]))
