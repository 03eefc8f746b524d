"""Streams of speech: words one after another, with pauses and noise, as a microphone hears them."""

from typing import NamedTuple

import numpy as np

from examples.common.front_end import FRAME, SAMPLE_RATE, FrontEnd
from examples.common.speech_commands import SILENCE

# Frames around a single clip: a model starts from a state of 0, and words may begin or end with
# the clip.
BEFORE, AFTER = 25, 15


class Spoken(NamedTuple):
    """Where the clips are in a stream of features: arrays `(n,)`, in frames of 20 ms.

    A clip takes `first` to `last`, and its word is heard from `start` to `end`.
    """

    word: np.ndarray
    first: np.ndarray
    start: np.ndarray
    end: np.ndarray
    last: np.ndarray


def stream(clips, noise, rng, *, frames=None, augment=False):
    """Clips one after another over noise, through the front end.

    Args:
        clips: `Clips`, in the order of the stream. Pauses between them take up to 0.4 s, and
            neighbours may overlap by up to 0.1 s.
        noise: int16 `(n, samples)`, recordings without speech. The noise and its loudness change
            with time: RMS 5 to 800.
        rng: `numpy.random.Generator`.
        frames: the length of the stream, that of its clips by default.
        augment: boolean. Whether each clip is played faster or slower (0.88 to 1.14 times) and at
            another loudness (0.25 to 2 times), and the first may be cut.

    Returns:
        `(features, spoken)`: int8 `(frames, 40)`, and `Spoken`.
    """
    at = int(rng.integers(-0.25 * SAMPLE_RATE, 0.25 * SAMPLE_RATE)) if augment else 0
    sounds, spoken = [], []
    for audio, word in zip(clips.audio, clips.word, strict=True):
        start, end = word_limits(audio)
        rate = rng.uniform(0.88, 1.14) if augment else 1.0
        sound = np.interp(np.arange(0, len(audio), rate), np.arange(len(audio)), audio)
        sounds.append((at, sound * (10 ** rng.uniform(-0.6, 0.3) if augment else 1)))
        first, length = at / FRAME, len(sound) / FRAME
        spoken.append((word, *(int(first + f) for f in (0, start / rate, end / rate, length))))
        at += len(sound) + int(rng.integers(-0.1 * SAMPLE_RATE, 0.4 * SAMPLE_RATE))
    frames = frames or spoken[-1][-1]
    mixed = noise_of(noise, (frames + 1) * FRAME, rng)  # one more, to start the front end
    for at, sound in sounds:
        place = mixed[max(at, 0) : max(at + len(sound), 0)]
        place += sound[max(-at, 0) :][: len(place)]
    limits = np.iinfo(np.int16)
    audio = np.clip(mixed, limits.min, limits.max).astype(np.int16)
    return FrontEnd()(audio), Spoken(*map(np.array, zip(*spoken, strict=True)))


def streams(clips, noise, rng, *, count, frames):
    """Short streams for training, with `count` random clips in each.

    Args:
        clips, noise, rng: as in `stream()`. Clips that fill no stream are left out.
        count: clips in a stream.
        frames: length of a stream.

    Returns:
        `(features, spoken)`: int8 `(n, frames, 40)`; `Spoken` of arrays `(n, count)`.
    """
    order = rng.permutation(len(clips.word))
    order = order[: len(order) // count * count].reshape(-1, count)
    made = [stream(clips.take(i), noise, rng, frames=frames, augment=True) for i in order]
    features, spoken = zip(*made, strict=True)
    return np.array(features), Spoken(*map(np.array, zip(*spoken, strict=True)))


def noise_of(noise, samples, rng):
    """Noise, float `(samples,)`: pieces of the recordings, or in one case of five white noise."""
    if rng.random() < 0.2 or not len(noise):
        return rng.normal(0, rng.uniform(1, 20), samples)
    pieces, left = [], samples
    while left > 0:
        piece = noise[rng.integers(len(noise))].astype(float)
        piece = piece[rng.integers(len(piece) // 2) :][:left]
        rms = np.sqrt(np.mean(piece**2))
        pieces.append(piece * (10 ** rng.uniform(0.7, 2.9) / (rms + 1)))
        left -= len(piece)
    return np.concatenate(pieces)


def word_limits(audio):
    """The first frame of 20 ms in which a clip is loud, and the one after the last.

    A frame is loud if it is within 25 dB of the loudest frame; in a clip with less than 30 dB
    between quiet and loud, if it is in the louder half of that range.
    """
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME).astype(float)
    level = np.log10(np.mean(frames**2, axis=1) + 1)
    level = np.convolve(level, np.ones(3) / 3, "same")
    quiet, loud = np.percentile(level, 10), level.max()
    threshold = loud - 2.5 if loud - quiet >= 3 else (quiet + loud) / 2
    (frame,) = np.nonzero(level >= threshold)
    return frame[0], frame[-1] + 1


def in_noise(clips, rng):
    """Each clip by itself in noise, as a device hears it.

    Args:
        clips: `Clips`, with clips of silence among them.
        rng: `numpy.random.Generator`.

    Returns:
        int8 `(n, BEFORE + 50 + AFTER, 40)`. The front end heard half a second before these.
    """
    (noise,) = np.nonzero(clips.word == SILENCE)
    features = []
    for audio in clips.audio:
        hear = FrontEnd()
        before, after = (clips.audio[i] for i in rng.choice(noise, 2))
        heard = [hear(sound) for sound in (before, audio, after[: AFTER * FRAME])]
        features.append(np.concatenate([heard[0][-BEFORE:], *heard[1:]]))
    return np.array(features)
