"""The streams of speech for training and testing models of keywords."""

from typing import NamedTuple

import numpy as np

from examples.common.classifier import Split
from examples.common.front_end import FRAMES_PER_SECOND
from examples.common.speech_commands import SILENCE
from examples.common.speech_streams import Spoken, in_noise, stream, streams

# The streams for training; and single clips, to show how much worse they train a detector.
STREAMS = {"count": 3, "frames": 160}
ALONE = {"count": 1, "frames": FRAMES_PER_SECOND}


def sides(clips, side, fold):
    """`Split` of `Clips`: one side of `speech_commands.folds()` for testing, the next one for
    validation."""
    validation = (fold + 1) % (side.max() + 1)
    return Split(
        clips.take((side != fold) & (side != validation)),
        clips.take(side == validation),
        clips.take(side == fold),
    )


class TrainingSet(NamedTuple):
    """`features (n, frames, 40)` int8, and the places of the words in them."""

    features: np.ndarray
    spoken: Spoken


def training_set(clips, *, seed, passes, often=(), count, frames):
    """Makes streams in which every clip comes `passes` times.

    Args:
        clips: `Clips`.
        seed: integer.
        passes: integer; each pass varies the clips anew.
        often: words that come four times as often.
        count, frames: of `streams()`.
    """
    rng = np.random.default_rng(seed)
    noise = clips.audio[clips.word == SILENCE]
    (more,) = np.nonzero(np.isin(clips.word, often))
    clips = clips.take(np.concatenate([np.arange(len(clips.word)), *[more] * 3]))
    made = [streams(clips, noise, rng, count=count, frames=frames) for _ in range(passes)]
    features, spoken = zip(*made, strict=True)
    return TrainingSet(
        np.concatenate(features), Spoken(*map(np.concatenate, zip(*spoken, strict=True)))
    )


class TestSet(NamedTuple):
    """Speakers who are not in training: `clips`, each in noise, and `stream`, all in a row."""

    word: np.ndarray
    speaker: np.ndarray
    clips: np.ndarray
    stream: np.ndarray
    spoken: Spoken


def test_set(clips, seed=0):
    """`TestSet` of `Clips`."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(clips.word))
    features, spoken = stream(clips.take(order), clips.audio[clips.word == SILENCE], rng)
    return TestSet(clips.word, clips.speaker, in_noise(clips, rng), features[np.newaxis], spoken)
