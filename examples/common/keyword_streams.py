"""The streams of speech for training and testing models of keywords."""

from typing import NamedTuple

import numpy as np

from examples.common.clips import joined
from examples.common.front_end import FRAME, FRAMES_PER_SECOND
from examples.common.speech_streams import (
    BEFORE,
    BEYOND,
    SLOWEST,
    Spoken,
    frames_of,
    in_noise,
    silence,
    stacked,
    stream,
    streams,
)

# The streams for training; and single clips, to show how much worse they train a detector.
STREAMS = {"frames": 160}
ALONE = {"frames": FRAMES_PER_SECOND}
SILENT = 1 / 12  # the share of the training's clips in which nobody speaks


class TrainingSet(NamedTuple):
    """`features (n, frames, 40)` int8, and the places of the words in them."""

    features: np.ndarray
    spoken: Spoken


def training_set(side, *, seed, passes, often=(), frames):
    """Makes streams in which every clip comes `passes` times.

    Args:
        side: `Side`.
        seed: integer.
        passes: integer; each pass varies the clips anew.
        often: words that come four times as often.
        frames: of `streams()`, at least; more if a clip is longer.
    """
    rng = np.random.default_rng(seed)
    (more,) = np.nonzero(np.isin(side.clips.word, often))
    silent = silence(side.noise, round(SILENT * len(side.clips.word)), rng)
    clips = joined([side.clips, *[side.clips.take(more)] * 3, silent])
    longest = frames_of(clips.audio).max() / SLOWEST + BEYOND / FRAME
    frames = max(frames, int(longest))
    made = [streams(clips, side.noise, rng, frames=frames) for _ in range(passes)]
    features, spoken = zip(*made, strict=True)
    rows = [Spoken(*row) for one in spoken for row in zip(*one, strict=True)]
    return TrainingSet(np.concatenate(features), stacked(rows))


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
