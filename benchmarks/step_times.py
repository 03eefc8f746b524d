"""The time of a training step and of a prediction.

Layers take turns on one batch, so that a busy moment of the machine slows all of them.
"""

import time
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from rich.progress import track

CLASSES = 12


class Shape(NamedTuple):
    units: int
    features: int
    timesteps: int
    batch_size: int

    def batches(self, count):
        """Random `(x, y)` of `count` batches."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(count * self.batch_size, self.timesteps, self.features))
        return x.astype(np.float32), rng.integers(0, CLASSES, len(x))

    def model(self, layer, jit_compile):
        inputs = keras.Input((self.timesteps, self.features))
        model = keras.Sequential([inputs, layer(self.units), keras.layers.Dense(CLASSES)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=jit_compile)
        return model


def measure(layers, shape, jit_compile=True, turns=60):
    """Times each layer.

    Args:
        layers: dict from name to a function from units to a layer.
        shape: `Shape`.
        jit_compile: boolean.
        turns: integer.

    Returns:
        Two dicts from name to seconds `(turns,)`: of a training step, and of a prediction.
    """
    models = {name: shape.model(layer, jit_compile) for name, layer in layers.items()}
    return take_turns(models, shape, f"{shape.units} units, jit_compile={jit_compile}", turns)


def take_turns(models, shape, title, turns=60):
    """As `measure()`, of a dict from name to compiled model."""
    x, y = map(tf.constant, shape.batches(1))
    for model in models.values():  # compile
        model.train_on_batch(x, y)
        model.predict_on_batch(x)
    steps, predictions = ({name: np.empty(turns) for name in models} for _ in range(2))
    for turn in track(range(turns), title):
        for name, model in models.items():
            steps[name][turn] = _seconds(model.train_on_batch, x, y)
            predictions[name][turn] = _seconds(model.predict_on_batch, x)
    return steps, predictions


def _seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start
