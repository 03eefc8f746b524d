"""Speech in noise: the clips and the recordings of noise of Speech Commands, mixed.

P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209.
"""

from typing import NamedTuple

import numpy as np
import scipy.signal

from examples.common import data
from examples.common.bands import HOP
from examples.common.classifier import Split
from examples.common.front_end import SAMPLE_RATE
from examples.common.recordings import FULL_SCALE, files, read_all
from examples.common.speech_commands import NOISE, REMEDY, official_sides

# The recording for testing alone, the one of the six with neither words nor a tone.
UNSEEN = "exercise_bike"
# The places where the other recordings are cut into three sides.
TRAIN, VALIDATION = 0.6, 0.8
# Clips with more noise of their own would teach that noise is speech.
CLEAN_DB = 35
PAUSE = 0.5  # seconds at most between two clips


class Sounds(NamedTuple):
    """One side: `speech`, a list of clips, and `noise`, a dict of recordings; float, in -1..1."""

    speech: list
    noise: dict


def load(data_dir=None):
    """Reads speech and noise to train on, to choose by, and to state.

    Args:
        data_dir: the folder of the official archive, unpacked, or one that has it as
            `speech_commands`. `testing_list.txt` may be missing where
            `gsc12.npz` has the clips for testing. By default as in `data.folder()`.

    Returns:
        `Split` of `Sounds`. No person speaks on two sides, and no stretch of a recording is on two.

    Raises:
        ValueError: if the data is missing.
    """
    folder = data.folder(data_dir)
    archive, more = folder, folder / "gsc12.npz"
    if (folder / "speech_commands").is_dir():
        archive = folder / "speech_commands"
    lists = [archive / "validation_list.txt", archive / "testing_list.txt"]
    recordings = files(archive / NOISE)
    named = UNSEEN in {path.stem for path in recordings}
    if not (named and lists[0].is_file() and (lists[1].is_file() or more.is_file())):
        raise ValueError(f"No speech and noise in {str(folder)!r}: {REMEDY}")
    speech = Split([], [], [])
    paths = [path for path in files(archive) if not path.parent.name.startswith("_")]
    for side, sound in zip(official_sides(archive, paths), _read(paths), strict=True):
        speech[side].append(sound)
    if not lists[1].is_file():
        with np.load(more) as arrays:
            speech.test.extend(arrays["audio"][arrays["speaker"] != ""] / FULL_SCALE)
    noise = Split({}, {}, {})
    for path, sound in zip(recordings, _read(recordings), strict=True):
        if path.stem == UNSEEN:
            noise.test[path.stem] = sound
            continue
        cuts = [int(at * len(sound)) for at in (TRAIN, VALIDATION)]
        for side, part in zip(noise, np.split(sound, cuts), strict=True):
            side[path.stem] = part
    return Split(
        *(Sounds(list(filter(is_clean, s)), n) for s, n in zip(speech, noise, strict=True))
    )


def _read(paths):
    return [sound / FULL_SCALE for sound in read_all(paths)]


def is_clean(clip):
    """Whether the loud frames of a clip are `CLEAN_DB` above its quiet frames."""
    frames = clip[: len(clip) // HOP * HOP].reshape(-1, HOP)
    quiet, loud = np.percentile(np.mean(frames**2, axis=1) + 1e-10, [10, 95])
    return 10 * np.log10(loud / quiet) >= CLEAN_DB


class Mix(NamedTuple):
    """Arrays `(..., samples)` of speech and noise; their sum is heard."""

    speech: np.ndarray
    noise: np.ndarray


def mix(speech, noise, rng, *, seconds, snr, level, augment=False):
    """Plays clips one after another, with pauses, in noise.

    Args:
        speech: list of clips, to draw from.
        noise: array, a recording, to draw a stretch of.
        rng: `numpy.random.Generator`.
        seconds: float, the length, a multiple of 10 ms.
        snr: dB, over the whole length with its pauses.
        level: dB of full scale, the RMS of the speech, again with its pauses.
        augment: boolean. Whether both go through random filters, as through other microphones and
            rooms.

    Returns:
        `Mix` of float32 arrays `(samples,)`.
    """
    samples = round(seconds * SAMPLE_RATE)
    if len(noise) < samples:
        raise ValueError(
            f"A side has {len(noise) / SAMPLE_RATE:.1f} s of one noise, and a mix takes "
            f"{seconds} s."
        )
    at = rng.integers(len(noise) - samples + 1)
    sounds = _talk(speech, samples, rng), noise[at : at + samples]
    if augment:
        sounds = [_filtered(sound, rng) for sound in sounds]
    speech, noise = (sound / (np.sqrt(np.mean(sound**2)) + 1e-9) for sound in sounds)
    loud = 10 ** (level / 20)
    return Mix(*(np.float32(x) for x in (loud * speech, loud * 10 ** (-snr / 20) * noise)))


def _talk(clips, samples, rng):
    """Random clips with pauses; their peaks differ by at most 6 dB."""
    parts, length = [], 0
    while length < samples:
        clip = clips[rng.integers(len(clips))]
        clip = clip * (10 ** rng.uniform(-0.15, 0.15) / np.abs(clip).max())
        parts += [np.zeros(rng.integers(PAUSE * SAMPLE_RATE)), clip]
        length += len(parts[-2]) + len(clip)
    return np.concatenate(parts)[:samples]


def _filtered(sound, rng):
    """Applies a random filter of two poles and two zeros, as in RNNoise."""
    numerator, denominator = rng.uniform(-3 / 8, 3 / 8, (2, 2))
    return scipy.signal.lfilter([1, *numerator], [1, *denominator], sound)


def training_mixes(sounds, rng, *, count, seconds):
    """`Mix` of arrays `(count, samples)`, at SNRs of -5 to 15 dB and at any loudness."""
    names = list(sounds.noise)
    mixes = [
        mix(
            sounds.speech,
            sounds.noise[names[i % len(names)]],
            rng,
            seconds=seconds,
            snr=rng.uniform(-5, 15),
            level=rng.uniform(-45, -15),
            augment=True,
        )
        for i in range(count)
    ]
    return Mix(*map(np.array, zip(*mixes, strict=True)))


def evaluation_mixes(sounds, name, snr, *, count, seconds=5.0, seed=0):
    """`Mix` of arrays `(count, samples)` in one noise; the speech is the same at each SNR."""
    rng = np.random.default_rng(seed)
    mixes = [
        mix(sounds.speech, sounds.noise[name], rng, seconds=seconds, snr=snr, level=-26)
        for _ in range(count)
    ]
    return Mix(*map(np.array, zip(*mixes, strict=True)))
