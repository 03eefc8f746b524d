"""The choice of a detector's threshold: keywords missed, against false alarms an hour."""

import math
from typing import NamedTuple

import numpy as np

from examples.common import detection
from examples.common.keyword_evaluation import DETECTOR

ROWS = 7


class Choice(NamedTuple):
    """A threshold: an int8 logit, and the `detection.Counts` of a stream."""

    threshold_q: int
    counts: detection.Counts


def choices(listener, logits, spoken, keyword):
    """All int8 thresholds that miss less than those with as few false alarms.

    Args:
        listener: `Listener` of the model.
        logits: `(frames,)`, of the model in a stream.
        spoken: `Spoken` of the stream.
        keyword: the word.

    Returns:
        List of `Choice`, from no false alarm to many. Of thresholds with the same counts it has the
        middle one.
    """
    # Beyond these, float64 rounds the probability to 0 or 1.
    qs = [q for q in range(-127, 128) if 1e-12 < listener.probability(q - 0.5) < 1 - 1e-12]
    thresholds = [logit_of(listener, q) for q in qs]
    curve = detection.curve(logits, spoken, keyword, thresholds, **DETECTOR)
    same = {}
    for q, counts in zip(qs, curve, strict=True):
        same.setdefault((counts.false_accepts, -counts.found), []).append(Choice(q, counts))
    best = []
    for key in sorted(same):
        if not best or same[key][0].counts.found > best[-1].counts.found:
            best.append(same[key][len(same[key]) // 2])
    return best


def logit_of(listener, threshold_q):
    """The logit from which the mean of logits reaches an int8 threshold.

    The mean of some int8 logits is the threshold or less by a fraction of their count. This logit
    is in the middle between, so that rounding decides nothing.
    """
    probability = listener.probability(threshold_q - 0.5 / DETECTOR["smoothing"])
    return math.log(probability / (1 - probability))


def chosen(found, alarms):
    """The index of the `Choice` that misses least with at most so many false alarms an hour; else
    of that with the fewest."""
    within = [i for i, one in enumerate(found) if one.counts.false_accepts_per_hour <= alarms]
    return within[-1] if within else 0


def rows(found, index, listener, alarms):
    """The header and a handful of rows of a table, the chosen one among them, marked.

    Rows with more than ten times as many false alarms as are allowed, `alarms` an hour, serve
    nobody: it has two of them at most.
    """
    few = sum(one.counts.false_accepts_per_hour <= 10 * alarms for one in found)
    last = min(max(few - 1, index + 2), len(found) - 1)
    some = np.round(np.linspace(0, last, ROWS - 1)).astype(int)
    header = "threshold", "missed", "", "false\nalarms", "an hour", ""
    return header, [
        (
            probability(listener, found[i].threshold_q),
            f"{found[i].counts.false_reject_rate:.1%}",
            f"{found[i].counts.keywords - found[i].counts.found} of {found[i].counts.keywords}",
            f"{found[i].counts.false_accepts}",
            f"{found[i].counts.false_accepts_per_hour:.0f}",
            "chosen" if i == index else "",
        )
        for i in np.union1d(some, [index])
    ]


def probability(listener, threshold_q):
    """The shortest probability that `Listener.quantize()` makes this threshold, as text."""
    exact = listener.probability(threshold_q - 0.5)
    texts = (f"{exact:.{digits}f}" for digits in range(2, 17))
    return next(text for text in texts if _quantize(listener, text) == threshold_q)


def _quantize(listener, text):
    try:
        return listener.quantize(float(text))
    except ValueError:  # 0.00 and 1.00 are no probabilities of a logit
        return None
