"""The training of models that hear keywords in streams of speech, and their int8 files."""

import keras
import numpy as np

from examples.common import classifier, training
from examples.common.front_end import to_float
from examples.common.keyword_targets import detector_targets, spotter_targets
from examples.common.speech_commands import CLASSES
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert

BATCH_SIZE = 64
# Only a few hundred people say the words. All steps of a stream drop the same features.
DROPOUT = 0.1
AUXILIARY = 0.3  # the weight of each loss but the first


def fast_grnn(units, kernel_rank, recurrent_rank):
    return FastGRNN(
        units,
        kernel_rank=kernel_rank,
        recurrent_rank=recurrent_rank,
        return_sequences=True,
        nu_initializer=-100.0,  # nu is 0: the state stays below zeta, however long the stream
        dropout=DROPOUT,
        **training.GLOROT,
    )


def train(layer, features, targets, *, seed, **arguments):
    """Trains a recurrent layer and a Dense layer on a target for each frame.

    Args:
        layer: function that makes the recurrent layer, which returns sequences.
        features: int8 `(n, frames, 40)`.
        targets: list of `(y, weight)`, with a Dense layer for each. `y` is float32
            `(n, frames, 1)`, 0 or 1, or one-hot `(n, frames, classes)`; `weight` is float32
            `(n, frames)`, the weight of the frame in the loss.
        seed: integer.
        **arguments: of `training.fit()`.

    Returns:
        The model, which gives the logits of the first target.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None, features.shape[-1]))  # as long as a clip, or as a stream
    recurrent = layer()
    heads = [keras.layers.Dense(y.shape[-1]) for y, _ in targets]
    hidden = recurrent(inputs)
    model = keras.Model(inputs, [head(hidden) for head in heads])
    training.fit(
        model,
        Batches(features, targets, seed),
        loss=[
            keras.losses.BinaryCrossentropy(from_logits=True)
            if head.units == 1
            else keras.losses.CategoricalCrossentropy(from_logits=True)
            for head in heads
        ],
        loss_weights=[1.0, *[AUXILIARY] * (len(heads) - 1)],
        **arguments,
    )
    return keras.Sequential([inputs, recurrent, heads[0]])


class Batches(training.Batches):
    """Features are stored in int8, and given as float.

    Each batch varies the vocal tracts of the speakers (N. Jaitly and G. Hinton, Vocal Tract Length
    Perturbation improves speech recognition, ICML 2013 workshop).
    """

    def __init__(self, features, targets, seed):
        super().__init__(len(features), BATCH_SIZE, seed)
        self._features, self._targets = features, targets

    def batch(self, i):
        x = warp(to_float(self._features[i]), self.rng)
        y, weight = zip(*((y[i], weight[i]) for y, weight in self._targets), strict=True)
        return x, y, weight


def warp(features, rng):
    """Moves the bands `(n, frames, bands)` up or down, each stream by its own factor."""
    n, _, bands = features.shape
    factor, shift = rng.uniform(0.88, 1.12, (n, 1)), rng.uniform(-0.5, 0.5, (n, 1))
    source = np.clip(np.arange(bands) * factor + shift, 0, bands - 1)[:, np.newaxis]
    # Linear interpolation between two bands: (n, bands from, bands to).
    away = np.abs(source.astype(np.float32) - np.arange(bands, dtype=np.float32)[:, np.newaxis])
    return np.matmul(features, np.maximum(1 - away, 0))


def to_int8(model, features):
    """The streaming model as a .tflite file: features of one frame in, logits out, int8 both.

    Args:
        model: what `train()` returned.
        features: int8 `(n, frames, 40)`, of the people for training, to calibrate.
    """
    features = features[:: max(len(features) // 100, 1)].copy()
    features[0, 0], features[0, 1] = -128, 127  # so that the model reads the front end's integers
    return convert(
        model,
        representative_dataset=to_float(features),
        streaming=True,
        reset="never",  # the stream has no end
        **classifier.INT8,
    )


def train_detector(made, keyword, layer=None, *, seed, epochs=24, learning_rate=1e-2):
    """Trains a detector on a `TrainingSet`."""
    frames = made.features.shape[1]
    # A second head learns to tell all words apart; the model drops it after the training.
    words = np.setdiff1d(made.spoken.word, "")
    targets = (
        detector_targets(made.spoken, frames, keyword),
        spotter_targets(made.spoken, frames, words),
    )
    layer = layer or (lambda: fast_grnn(24, 7, 8))
    arguments = {"seed": seed, "epochs": epochs, "learning_rate": learning_rate}
    return train(layer, made.features, targets, **arguments)


def train_spotter(made, layer=None, *, seed, epochs=16, learning_rate=1e-2, sparsity=0.5):
    """Trains a spotter on a `TrainingSet`."""
    # Only the output at the clip's end counts, and most words end long before: few frames.
    targets = [spotter_targets(made.spoken, made.features.shape[1], CLASSES, late=4.0)]
    # The best in 5 KB on validation, among the candidates of benchmarks/paper/tasks.py.
    layer = layer or (lambda: fast_grnn(80, 16, 24))
    arguments = {"seed": seed, "epochs": epochs, "learning_rate": learning_rate}
    return train(layer, made.features, targets, sparsity=sparsity, **arguments)
