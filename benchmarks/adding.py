"""The adding problem: how far back a layer learns to look.

    make bench-adding

A sequence has a value from 0 to 1 and a marker at each step. One step in each half is marked, and
the target is the sum of their two values (Hochreiter and Schmidhuber, 1997). A constant 1 has an
MSE of 1/6; below 0.01 the problem counts as solved. Writes benchmarks/results/training.json.
"""

import math

import keras
import numpy as np
from rich.progress import track

from benchmarks import record
from examples.common import command
from examples.common.training import GLOROT
from keras_fastgrnn import FastGRNN, FastRNN

TIMESTEPS = (200, 750)
SEEDS = (0, 1, 2, 3, 4)
# Chosen on two other seeds: docs/decisions.md, "The adding problem".
UNITS, BATCH_SIZE, LEARNING_RATE = 32, 64, 1e-2
LAYERS = {
    "FastGRNN": lambda timesteps: FastGRNN(UNITS, nu_initializer=-100.0, **GLOROT),
    "FastGRNN, as by default": lambda timesteps: FastGRNN(UNITS),
    "FastRNN": lambda timesteps: FastRNN(UNITS, beta_initializer=math.log(timesteps), **GLOROT),
    "keras GRU": lambda timesteps: keras.layers.GRU(UNITS),
    "keras LSTM": lambda timesteps: keras.layers.LSTM(UNITS),
}
SOLVED = 0.01
MAX_STEPS = 2000  # the training ends there, solved or not
STEPS_BETWEEN = 100  # training steps from one validation to the next
STOP = SOLVED / 2  # ends the training; 512 sequences measure it to a tenth


def batches(rng, timesteps, batch_size):
    """Yields `x (batch_size, timesteps, 2)` and `y (batch_size, 1)`, new ones each time."""
    sequence = np.arange(batch_size)[:, None]
    while True:
        values = rng.random((batch_size, timesteps), np.float32)
        half = timesteps // 2
        marked = rng.integers((0, half), (half, timesteps), (batch_size, 2))
        markers = np.zeros_like(values)
        markers[sequence, marked] = 1
        yield np.stack([values, markers], -1), values[sequence, marked].sum(-1, keepdims=True)


class StopWhenSolved(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = logs["val_loss"] < STOP or not math.isfinite(logs["loss"])


def one_run(layer, timesteps, seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((timesteps, 2)), layer(timesteps), keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
    model.compile(optimizer, "mse", jit_compile=True)
    train, validation, test = (np.random.default_rng([seed, i]) for i in range(3))
    history = model.fit(
        batches(train, timesteps, BATCH_SIZE),
        steps_per_epoch=STEPS_BETWEEN,
        epochs=MAX_STEPS // STEPS_BETWEEN,
        validation_data=batches(validation, timesteps, 512),
        validation_steps=1,
        callbacks=[StopWhenSolved()],
        verbose=0,
    ).history
    return {
        "seed": seed,
        "parameters": model.count_params(),
        "test_mse": model.evaluate(batches(test, timesteps, 500), steps=10, verbose=0),
        "steps": len(history["loss"]) * STEPS_BETWEEN,
    }


def main():
    for timesteps in TIMESTEPS:
        layers = {}
        section = {
            "command": "make bench-adding",
            "units": UNITS,
            "batch_size": BATCH_SIZE,
            "learning_rate": LEARNING_RATE,
            "max_steps": MAX_STEPS,
            "layers": layers,
        }
        for name, layer in LAYERS.items():
            runs = [
                one_run(layer, timesteps, seed)
                for seed in track(SEEDS, f"{name}, {timesteps} steps")
            ]
            layers[name] = {"solved": sum(run["test_mse"] < SOLVED for run in runs), "runs": runs}
            # Written after each layer, as all of them take an hour.
            solved = {f"adding_{timesteps}_solved": layers["FastGRNN"]["solved"]}
            record.figures("training.json", solved | {f"adding_{timesteps}": section})


if __name__ == "__main__":
    command.run(main)
