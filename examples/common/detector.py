"""From the logits of a model to detections."""

import collections
import math
import pathlib

import numpy as np

from keras_fastgrnn.export.c_source.layouts import fill

TEMPLATES = pathlib.Path(__file__).parent / "templates"


class Detector:
    """Detects the keyword when the mean of the last logits reaches a threshold.

    The first detection can come at step `smoothing`.

    Args:
        threshold: number, in the unit of the logits. With int8 logits it is an integer, and so are
            the sums that are compared: a chip decides the same (`header()`).
        smoothing: integer, 1 to 255, the number of logits in the mean.
        refractory: integer, 0 to 65535, the steps after a detection without another one.

    Raises:
        ValueError: if `smoothing` or `refractory` is out of its range.
    """

    def __init__(self, *, threshold, smoothing, refractory):
        for name, value, low, high in (
            ("smoothing", smoothing, 1, 255),
            ("refractory", refractory, 0, 65535),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name}={value} is not in {low}..{high}.")
        self._threshold = threshold
        self._logits = collections.deque(maxlen=smoothing)
        self._refractory = refractory
        self._wait = smoothing - 1

    @property
    def mean(self):
        """Mean of the last logits. It reaches the threshold exactly when their integer sum does."""
        return math.fsum(self._logits) / len(self._logits)  # in sum(), int8 would overflow

    def __call__(self, logit):
        """Whether the keyword is detected at this step."""
        self._logits.append(logit)
        if self._wait:
            self._wait -= 1
            return False
        detected = self.mean >= self._threshold
        if detected:
            self._wait = self._refractory
        return detected


def detections(logits, **arguments):
    """The steps of a stream at which the keyword is detected.

    Args:
        logits: array `(steps,)`.
        **arguments: of `Detector`.

    Returns:
        int64 `(detections,)`.
    """
    detect = Detector(**arguments)
    return np.flatnonzero([detect(logit) for logit in np.asarray(logits).tolist()])


def header(name, *, threshold, smoothing, refractory):
    """A `Detector` of int8 logits in C.

    Args:
        name: string, the name in the C.
        threshold, smoothing, refractory: integers, arguments of `Detector`.

    Returns:
        Dict from the path of a header, `<name>_detector.h`, to its text.

    Raises:
        ValueError: if one of them is out of its range.
    """
    if not -128 <= threshold <= 127:
        raise ValueError(f"threshold_q={threshold} is not in -128..127.")
    values = {"threshold": threshold, "smoothing": smoothing, "refractory": refractory}
    Detector(**values)  # refuses others
    values |= {"name": name, "NAME": name.upper()}
    path = "@name@_detector.h"
    return {fill(path, values): fill((TEMPLATES / path).read_text("utf-8"), values)}
