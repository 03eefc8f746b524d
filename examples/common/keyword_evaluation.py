"""The scores of a model of keywords, clip by clip and in a stream.

A model is a function from features `(n, frames, 40)` int8 to logits `(n, frames, outputs)`: that of
`float_logits()` or `int8_logits()`.
"""

import functools

import numpy as np

from examples.common import classifier, detection
from examples.common.front_end import to_float
from examples.common.speech_commands import CLASSES
from examples.common.speech_streams import AFTER, BEFORE
from keras_fastgrnn.micro import Interpreter

SMOOTHING = 16  # frames: as long as a detector's logits stay high (keyword_targets.py)
DETECTOR = {"smoothing": SMOOTHING, "refractory": 50}
THRESHOLDS = np.arange(-8.0, 12.01, 0.05)  # logits


def float_logits(model):
    """The function of a Keras model."""
    return lambda features: classifier.predict(model, to_float(features))


def int8_logits(tflite):
    """The function of a streaming model in TFLite Micro, reset before each sequence."""
    return functools.partial(_stream, Interpreter(tflite))


def _stream(interpreter, features):
    logits = []
    for x in features:
        interpreter.reset()
        logits.append(interpreter.predict(to_float(x)[:, np.newaxis])[:, 0])
    return np.array(logits)


def clip_scores(logits, last):
    """The largest smoothed logit from each clip's start to `AFTER` its last frame.

    Args:
        logits: `(n, frames, 1)`.
        last: `(n,)`, of a `TestSet`.

    Returns:
        `(n,)`.
    """
    scores = detection.running_mean(logits[:, BEFORE:, 0], SMOOTHING)
    frames = np.arange(scores.shape[1]) + BEFORE + SMOOTHING - 1
    return np.where(frames < last[:, np.newaxis] + AFTER, scores, -np.inf).max(axis=1)


def f1(said, heard):
    """F1 of two bool arrays."""
    return 2 * np.sum(said & heard) / max(np.sum(said) + np.sum(heard), 1)


def best_threshold(said, scores):
    """The least score that counts as the keyword, for the best F1."""
    thresholds = np.unique(scores)
    best = np.argmax([f1(said, scores >= threshold) for threshold in thresholds])
    # Every threshold above the next lower score gives the same F1: take the middle.
    return (thresholds[best] + thresholds[max(best - 1, 0)]) / 2


def accuracy(model, test):
    """Accuracy of a spotter on a `TestSet`, by its output at the end of each clip."""
    last = model(test.clips)[np.arange(len(test.last)), test.last - 1]
    return np.mean(np.array(CLASSES)[last.argmax(axis=-1)] == test.word)
