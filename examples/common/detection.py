"""The score of a detector on a stream: keywords missed, against false alarms an hour."""

from typing import NamedTuple

import numpy as np

from examples.common.front_end import FRAMES_PER_SECOND

# A detection from the keyword's start to half a second after its end has found it.
LATE = FRAMES_PER_SECOND // 2


class Counts(NamedTuple):
    """Counts in a stream: integers, or arrays `(clips,)` with those of each clip."""

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


def running_mean(logits, smoothing):
    """The means of the last `smoothing` logits: `(..., frames)` -> `(..., frames - smoothing + 1)`.
    Those of integers are exact."""
    logits = np.asarray(logits)
    sums = np.cumsum(logits, axis=-1, dtype=np.result_type(logits, np.int64))
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    return (sums[..., smoothing:] - sums[..., :-smoothing]) / smoothing


def detections(means, threshold, refractory):
    """The steps at which `Detector` detects the keyword: all thresholds at the price of one.

    Args:
        means: `(steps,)`, of `running_mean()`; step 0 is the first that has a mean.
        threshold, refractory: as in `Detector`.

    Returns:
        int64 `(detections,)`.
    """
    (over,) = np.nonzero(means >= threshold)
    at, i = [], 0
    while i < len(over):
        at.append(over[i])
        i = np.searchsorted(over, over[i] + refractory, side="right")
    return np.array(at, np.int64)


def by_clip(logits, spoken, keyword, thresholds, *, smoothing, refractory):
    """Counts the keywords that a detector finds in a stream, and its false alarms.

    Args:
        logits: array `(frames,)`, of the model at each frame.
        spoken: `speech_streams.Spoken` of the stream.
        keyword: the word to find.
        thresholds: list of numbers.
        smoothing, refractory: as in `Detector`.

    Returns:
        List of `Counts`, one for each threshold, of int64 arrays `(clips,)`. A frame or a false
        alarm belongs to the clip that began last before it, or else to the first clip.
    """
    said = spoken.word == keyword
    start = np.where(said, spoken.start, 0)
    end = np.where(said, np.minimum(spoken.end + LATE, len(logits)), 0)
    within = np.zeros(len(logits) + 1, np.int64)
    np.add.at(within, start, 1)
    np.add.at(within, np.maximum(start, end), -1)
    within = np.cumsum(within)[:-1] > 0
    owner = np.maximum(np.searchsorted(spoken.first, np.arange(len(logits)), side="right") - 1, 0)

    def of_clips(frames):
        return np.bincount(owner[frames], minlength=len(said))

    means = running_mean(logits, smoothing) if len(logits) >= smoothing else np.empty(0)
    keywords, negative_frames = said.astype(np.int64), of_clips(~within)
    counts = []
    for threshold in thresholds:
        at = detections(means, threshold, refractory) + smoothing - 1
        found = np.searchsorted(at, start) < np.searchsorted(at, end)
        false_accepts = of_clips(at[~within[at]])
        counts.append(Counts(keywords, found.astype(np.int64), false_accepts, negative_frames))
    return counts


def summed(counts):
    """`Counts` of a stream, from those of its clips."""
    return Counts(*(int(np.sum(values)) for values in counts))


def curve(logits, spoken, keyword, thresholds, **detector):
    """List of the `Counts` of a stream at each threshold; arguments as in `by_clip()`."""
    return list(map(summed, by_clip(logits, spoken, keyword, thresholds, **detector)))


def missed_at(counts, alarms):
    """The fraction of keywords that are missed at a number of false alarms an hour.

    Args:
        counts: list of `Counts` at rising thresholds. Between two of them the curve is straight.
        alarms: number. Where the curve does not reach it, the end of the curve counts.
    """
    rates = np.minimum.accumulate([count.false_accepts_per_hour for count in counts])
    missed = [count.false_reject_rate for count in counts]
    return float(np.interp(alarms, rates[::-1], missed[::-1]))
