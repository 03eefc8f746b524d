"""The outputs that a model of keywords is trained to give at each frame of a stream."""

import numpy as np


def detector_targets(spoken, frames, keyword):
    """Targets of a detector.

    The target is 1 from the last third of the keyword, since noise delays its end, to 0.3 s after
    the end; elsewhere 0. The frames before that, from the keyword's start, and the 0.15 s behind it
    have no weight.

    Args:
        spoken: `Spoken` of arrays `(n, count)`.
        frames: integer.
        keyword: the word to detect.

    Returns:
        `(y, weight)`: float32 `(n, frames, 1)` and `(n, frames)`.
    """
    said = (spoken.word == keyword)[..., np.newaxis]
    start, end = spoken.start[..., np.newaxis], spoken.end[..., np.newaxis]
    t = np.arange(frames)
    y = (said & (t > end - 0.3 * (end - start)) & (t < end + 15)).any(axis=1)
    about = (said & (t >= start - 1) & (t < end + 23)).any(axis=1)
    return y[..., np.newaxis].astype(np.float32), np.where(y, 3, ~about).astype(np.float32)


def spotter_targets(spoken, frames, words, late=1.0):
    """Targets of a spotter: the word, from its end to the end of its clip.

    Args:
        spoken: `Spoken` of arrays `(n, count)`.
        frames: integer.
        words: list of the classes.
        late: float, weight of each of a clip's last three frames; the others have 1.

    Returns:
        `(y, weight)`: float32 `(n, frames, classes)` and `(n, frames)`.
    """
    t = np.arange(frames)
    last = spoken.last[..., np.newaxis]
    until = t < last
    asked = until & (t >= np.minimum(spoken.end[..., np.newaxis] + 1, last - 2))
    said = [(spoken.word == name)[..., np.newaxis] & asked for name in words]
    y = np.stack([word.any(axis=1) for word in said], axis=-1).astype(np.float32)
    weight = np.where((until & (t >= last - 3)).any(axis=1), late, 1)
    return y, (y.max(axis=2) * weight).astype(np.float32)
