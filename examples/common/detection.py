"""The score of a detector on a stream: keywords missed, against false alarms an hour."""

from typing import NamedTuple

import numpy as np

from examples.common.detector import detections
from examples.common.front_end import FRAMES_PER_SECOND

# A detection from the keyword's start to half a second after its end has found it.
LATE = FRAMES_PER_SECOND // 2


class Counts(NamedTuple):
    """Counts in a stream."""

    keywords: int
    found: int
    false_accepts: int
    negative_frames: int

    @property
    def false_reject_rate(self):
        return 1 - self.found / self.keywords

    @property
    def false_accepts_per_hour(self):
        return self.false_accepts / self.negative_hours

    @property
    def negative_hours(self):
        return self.negative_frames / (3600 * FRAMES_PER_SECOND)

    @property
    def f1(self):
        return 2 * self.found / (self.keywords + self.found + self.false_accepts)


def total(counts):
    """`Counts` of several streams, from those of each."""
    return Counts(*map(sum, zip(*counts, strict=True)))


def count(logits, spoken, keyword, **detector):
    """Counts the keywords that a detector finds in a stream, and its false alarms.

    Args:
        logits: array `(frames,)`, of the model at each frame.
        spoken: `speech_streams.Spoken` of the stream.
        keyword: the word to find.
        **detector: arguments of `Detector`.

    Returns:
        `Counts`.
    """
    said = spoken.word == keyword
    start, end = spoken.start[said], np.minimum(spoken.end[said] + LATE, len(logits))
    at = detections(logits, **detector)[:, np.newaxis]
    within = (at >= start) & (at < end)
    frames = np.arange(len(logits))[:, np.newaxis]
    return Counts(
        keywords=len(start),
        found=int(within.any(axis=0).sum()),
        false_accepts=int((~within.any(axis=1)).sum()),
        negative_frames=int((~((frames >= start) & (frames < end)).any(axis=1)).sum()),
    )


def curve(logits, spoken, keyword, thresholds, **detector):
    """List of the `Counts` at each threshold."""
    return [
        count(logits, spoken, keyword, threshold=threshold, **detector) for threshold in thresholds
    ]
