"""The streams of speech for training and testing models of keywords."""

import math
from typing import NamedTuple

import numpy as np

from examples.common.clips import joined
from examples.common.front_end import FRAME
from examples.common.rooms import impulse_responses
from examples.common.speech_streams import (
    BEFORE,
    BEYOND,
    SLOWEST,
    Spoken,
    babble,
    frames_of,
    in_noise,
    silence,
    stacked,
    stream,
    streams,
)

FRAMES = 160  # of a stream for training, unless a clip is longer
HEARD = 27_000  # clips in a training set, unless its clips are few
SILENT = 1 / 12  # the share of the training's clips in which nobody speaks
BABBLE = 1 / 3  # recordings of people who speak at once, for each recording of noise
ROOMS = 150


class TrainingSet(NamedTuple):
    """`features (n, frames, 40)` int8, and the places of the words in them."""

    features: np.ndarray
    spoken: Spoken


def training_set(side, *, seed, passes=None, often=()):
    """Makes streams in which every clip comes `passes` times: in noise or among people who speak,
    some in rooms, some clipped (docs/decisions.md says how much each helps).

    Args:
        side: `Side`.
        seed: integer.
        passes: integer, by default `passes_of()` the side; each pass varies the clips anew.
        often: words that come four times as often.
    """
    passes = passes or passes_of(side)
    rng = np.random.default_rng(seed)
    (more,) = np.nonzero(np.isin(side.clips.word, often))
    silent = silence(side.noise, round(SILENT * len(side.clips.word)), rng)
    clips = joined([side.clips, *[side.clips.take(more)] * 3, silent])
    longest = frames_of(clips.audio).max() / SLOWEST + BEYOND / FRAME
    frames = max(FRAMES, int(longest))
    others = side.clips.take(~np.isin(side.clips.word, often))
    count = math.ceil(BABBLE * len(side.noise)) if len(others.word) else 0
    talk = [babble(others, 60, rng) for _ in range(count)]
    noise, rooms = [*side.noise, *talk], impulse_responses(ROOMS, rng)
    made = [streams(clips, noise, rng, frames=frames, rooms=rooms) for _ in range(passes)]
    features, spoken = zip(*made, strict=True)
    rows = [Spoken(*row) for one in spoken for row in zip(*one, strict=True)]
    return TrainingSet(np.concatenate(features), stacked(rows))


def passes_of(side):
    """The times that a training hears each clip of a `Side`."""
    return min(max(HEARD // len(side.clips.word), 2), 100)


class TestSet(NamedTuple):
    """Speakers who are not in training: `clips`, each in noise, and `stream`, all in a row.

    `last (n,)` is the first frame of `clips` behind each clip; `order (n,)` are the clips of the
    stream.
    """

    word: np.ndarray
    speaker: np.ndarray
    clips: np.ndarray
    last: np.ndarray
    order: np.ndarray
    stream: np.ndarray
    spoken: Spoken


def test_set(side, seed=0):
    """`TestSet` of a `Side`."""
    clips, noise = side
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(clips.word))
    features, spoken = stream(clips.take(order), noise, rng)
    alone, last = in_noise(clips, noise, rng), BEFORE + frames_of(clips.audio)
    return TestSet(clips.word, clips.speaker, alone, last, order, features[np.newaxis], spoken)
