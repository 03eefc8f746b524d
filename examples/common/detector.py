"""From the logits of a model to detections."""

import collections
import math

import numpy as np


class Detector:
    """Detects the keyword when the mean of the last logits reaches a threshold.

    The first detection can come at step `smoothing`.

    Args:
        threshold: number, in the unit of the logits. With int8 logits it is an integer, and so are
            the sums that are compared: a chip decides the same (tests/boards/detector.h).
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
