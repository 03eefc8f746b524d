"""Streams of speech: words one after another, with pauses and noise, as a microphone hears them."""

from typing import NamedTuple

import numpy as np
import scipy.signal

from examples.common.clips import Clips, ragged
from examples.common.front_end import FRAME, SAMPLE_RATE, FrontEnd
from examples.common.speech_commands import SILENCE

# Frames around a single clip: a model starts from a state of 0, and words may begin or end with
# the clip.
BEFORE, AFTER = 25, 15
# The mean pause of a stream in samples, and how far its last clip may reach beyond its end.
PAUSE, BEYOND = int(0.15 * SAMPLE_RATE), int(0.3 * SAMPLE_RATE)
SLOWEST, FASTEST = 0.88, 1.14  # clips are played this many times faster
# Of the streams for training, the share in a room, and the share of a microphone that clips.
IN_ROOM, CLIPPED = 0.2, 0.05


class Spoken(NamedTuple):
    """Where the clips are in a stream of features: arrays `(n,)`, in frames of 20 ms.

    A clip takes `first` to `last`, and its word is heard from `start` to `end`. Of short streams
    `(n, count)`: where a stream has fewer clips than another, the word is "" and takes no frame.
    """

    word: np.ndarray
    first: np.ndarray
    start: np.ndarray
    end: np.ndarray
    last: np.ndarray


def stream(clips, noise, rng, *, frames=None, augment=False, rooms=()):
    """Clips one after another over noise, through the front end.

    Args:
        clips: `Clips`, in the order of the stream. Pauses between them take up to 0.4 s, and
            neighbours may overlap by up to 0.1 s.
        noise: int16 arrays of any lengths, recordings without speech. The noise and its loudness
            change with time: RMS 5 to 800.
        rng: `numpy.random.Generator`.
        frames: the length of the stream, that of its clips by default.
        augment: boolean. Whether each clip is played faster or slower (0.88 to 1.14 times) and at
            another loudness (0.25 to 2 times), and the first may be cut; and whether some streams
            are clipped.
        rooms: list of impulse responses. Some streams are heard in one of them.

    Returns:
        `(features, spoken)`: int8 `(frames, 40)`, and `Spoken`.
    """
    room = rooms[rng.integers(len(rooms))] if rooms and rng.random() < IN_ROOM else None
    at = int(rng.integers(-0.25 * SAMPLE_RATE, 0.25 * SAMPLE_RATE)) if augment else 0
    sounds, spoken = [], []
    for audio, word in zip(clips.audio, clips.word, strict=True):
        start, end = word_limits(audio)
        rate = rng.uniform(SLOWEST, FASTEST) if augment else 1.0
        sound = np.interp(np.arange(0, len(audio), rate), np.arange(len(audio)), audio)
        loudness = 10 ** rng.uniform(-0.6, 0.3) if augment else 1
        sounds.append((at, loudness * (sound if room is None else _in_room(sound, room))))
        first, length = at / FRAME, len(sound) / FRAME
        spoken.append((word, *(int(first + f) for f in (0, start / rate, end / rate, length))))
        at += len(sound) + int(rng.integers(-0.1 * SAMPLE_RATE, 0.4 * SAMPLE_RATE))
    frames = frames or spoken[-1][-1]
    mixed = noise_of(noise, (frames + 1) * FRAME, rng)  # one more, to start the front end
    for at, sound in sounds:
        place = mixed[max(at, 0) : max(at + len(sound), 0)]
        place += sound[max(-at, 0) :][: len(place)]
    if augment and rng.random() < CLIPPED:
        mixed = overdriven(mixed, rng)
    limits = np.iinfo(np.int16)
    audio = np.clip(mixed, limits.min, limits.max).astype(np.int16)
    return FrontEnd()(audio), Spoken(*map(np.array, zip(*spoken, strict=True)))


def _in_room(sound, room):
    return scipy.signal.oaconvolve(sound, room)[: len(sound) + len(room) // 4]


def overdriven(sound, rng):
    """A sound as of a microphone that clips at a half to a twentieth of its peak."""
    peak, drive = np.abs(sound).max(), 10 ** rng.uniform(0.3, 1.3)
    limit = peak / drive
    return np.clip(sound, -limit, limit) * min(drive**0.5, np.iinfo(np.int16).max / limit)


def babble(clips, seconds, rng):
    """A recording of three to six people who speak at once, int16."""
    samples = seconds * SAMPLE_RATE
    mixed = np.zeros(samples)
    for _ in range(rng.integers(3, 7)):
        at = 0
        while at < samples:
            sound = clips.audio[rng.integers(len(clips.word))][: samples - at].astype(float)
            loudness = 10 ** rng.uniform(-0.3, 0.3)
            mixed[at : at + len(sound)] += loudness * sound / (np.sqrt(np.mean(sound**2)) + 1)
            at += max(len(sound) - int(rng.integers(0.3 * SAMPLE_RATE)), 1)
    return (mixed * (30_000 / np.abs(mixed).max())).astype(np.int16)


def streams(clips, noise, rng, *, frames, rooms=()):
    """Short streams for training, each of as many random clips as it takes.

    Args:
        clips, noise, rng, rooms: as in `stream()`.
        frames: length of a stream, at least that of the longest clip at its slowest.

    Returns:
        `(features, spoken)`: int8 `(n, frames, 40)`; `Spoken` of arrays `(n, count)`, with `count`
        that of the stream with the most clips.
    """
    groups, room = [], 0
    for i in rng.permutation(len(clips.word)):
        takes = len(clips.audio[i]) + PAUSE
        if not groups or takes > room:
            groups.append([])
            room = frames * FRAME + BEYOND
        groups[-1].append(i)
        room -= takes
    made = [
        stream(clips.take(i), noise, rng, frames=frames, augment=True, rooms=rooms) for i in groups
    ]
    features, spoken = zip(*made, strict=True)
    return np.array(features), stacked(spoken)


def stacked(spoken):
    """`Spoken` of arrays `(n, count)`, from those of `n` streams."""
    return Spoken(*map(_filled, zip(*spoken, strict=True)))


def _filled(arrays):
    """Arrays as the rows of one, filled up with "" or 0."""
    made = np.zeros((len(arrays), max(map(len, arrays))), np.result_type(*arrays))
    for row, array in zip(made, arrays, strict=True):
        row[: len(array)] = array
    return made


def silence(noise, count, rng):
    """`count` seconds of noise, as `Clips` in which nobody speaks."""
    audio = ragged([stretch(noise, SAMPLE_RATE, rng) for _ in range(count)])
    return Clips(audio, np.full(count, SILENCE), np.full(count, ""))


def stretch(noise, samples, rng):
    """A stretch of one of the recordings, int16 `(samples,)`, repeated if that is shorter."""
    recording = noise[rng.integers(len(noise))]
    at = rng.integers(max(len(recording) - samples, 0) + 1)
    return np.resize(recording[at : at + samples], samples)


def noise_of(noise, samples, rng):
    """Noise, float `(samples,)`: stretches of 1 to 10 s, each of a recording or, in one case of
    five, white."""
    pieces, left = [], samples
    while left > 0:
        length = min(int(rng.integers(SAMPLE_RATE, 10 * SAMPLE_RATE)), left)
        if rng.random() < 0.2 or not len(noise):
            pieces.append(rng.normal(0, rng.uniform(1, 20), length))
        else:
            piece = stretch(noise, length, rng).astype(float)
            rms = np.sqrt(np.mean(piece**2))
            pieces.append(piece * (10 ** rng.uniform(0.7, 2.9) / (rms + 1)))
        left -= length
    return np.concatenate(pieces)


def word_limits(audio):
    """The first frame of 20 ms in which a clip is loud, and the one after the last.

    A frame is loud if it is within 25 dB of the loudest frame; in a clip with less than 30 dB
    between quiet and loud, if it is in the louder half of that range. The differences of the
    samples count, in which an "s" is as loud as a vowel and hum is not heard.
    """
    audio = np.diff(audio.astype(float), prepend=0)
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.log10(np.mean(frames**2, axis=1) + 1)
    level = np.convolve(level, np.ones(3) / 3, "same")
    quiet, loud = np.percentile(level, 10), level.max()
    threshold = loud - 2.5 if loud - quiet >= 3 else (quiet + loud) / 2
    (frame,) = np.nonzero(level >= threshold)
    return frame[0], frame[-1] + 1


def in_noise(clips, noise, rng):
    """Each clip by itself in noise, as a device hears it.

    Args:
        clips: `Clips`.
        noise: as in `stream()`, with at least one recording.
        rng: `numpy.random.Generator`.

    Returns:
        int8 `(n, BEFORE + longest + AFTER, 40)`, with the frames of the longest clip. The front end
        heard half a second before these.
    """
    frames = BEFORE + frames_of(clips.audio).max() + AFTER
    features = []
    for audio in clips.audio:
        before = stretch(noise, SAMPLE_RATE, rng)
        after = stretch(noise, (frames - BEFORE) * FRAME - len(audio), rng)
        features.append(FrontEnd()(np.concatenate([before, audio, after]))[-frames:])
    return np.array(features)


def frames_of(audio):
    """The frames that each of the clips takes, int64 `(n,)`."""
    return np.array([-(-len(samples) // FRAME) for samples in audio])
