"""The cost of a training step and of a prediction, relative to Keras's own layers.

    make bench-training

Models take turns on one batch; a ratio is the median of the ratios of all turns. Writes
benchmarks/results/training.json.
"""

import os
import time

import keras
import numpy as np
from absl import flags
from rich.progress import track

from benchmarks import record, step_times
from benchmarks.step_times import Shape
from examples.common import command
from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN
from keras_fastgrnn.export import quantization_aware
from keras_fastgrnn.pruning import three_phases

_TURNS = flags.DEFINE_integer("turns", 60, "Timed steps of each model.", lower_bound=5)

# The paper's Google-12 (Tables 1 and 11), and the example's.
SHAPES = Shape(100, 32, 99, 100), Shape(16, 3, 128, 100)


class WithTensorFlowsGradient(FastGRNN):
    """The same loop, differentiated by TensorFlow, to compare our own gradient with."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        return super().inner_loop(sequences, initial_state, mask, training=False)


LAYERS = {
    "FastGRNN": FastGRNN,
    "FastGRNN, TensorFlow's gradient": WithTensorFlowsGradient,
    "RNN(FastGRNNCell)": lambda units: keras.layers.RNN(FastGRNNCell(units)),
    "FastRNN": FastRNN,
    "keras SimpleRNN": keras.layers.SimpleRNN,
    "keras GRU": keras.layers.GRU,
    "keras LSTM": keras.layers.LSTM,
}


def ratio(times, name, other):
    return float(np.median(times[name] / times[other]))


def comparison(shape, jit_compile):
    steps, predictions = step_times.measure(LAYERS, shape, jit_compile, _TURNS.value)
    rows = {
        name: {
            "step_ms": 1e3 * float(np.median(steps[name])),
            "step_ratio": ratio(steps, name, "keras GRU"),
            "predict_ms": 1e3 * float(np.median(predictions[name])),
            "predict_ratio": ratio(predictions, name, "keras GRU"),
        }
        for name in LAYERS
    }
    rows["FastGRNN"]["step_ratio_lstm"] = ratio(steps, "FastGRNN", "keras LSTM")
    return rows


class StepTimes(keras.callbacks.Callback):
    """The seconds of each training step of `fit()`."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def pruning_ratio(shape, batches=40, rounds=9):
    """The median step of `fit()` with the paper's pruning over that without it, each round."""
    x, y = shape.batches(batches)
    ratios = []
    for _ in track(range(rounds), "pruning"):
        times = {}
        for name in ("plain", "pruned"):
            model = shape.model(FastGRNN, jit_compile=True)
            timer = StepTimes()
            # Phase two, which moves the support every 15 steps, begins at once.
            prune = three_phases(0.5, 0.5, steps=batches, begin_step=0, end_step=batches)
            callbacks = [timer] + [prune] * (name == "pruned")
            model.fit(x, y, batch_size=shape.batch_size, callbacks=callbacks, verbose=0)
            times[name] = np.median(timer.seconds[2:])  # the first steps compile
        ratios.append(times["pruned"] / times["plain"])
    return ratios


def qat_ratio(shape, jit_compile):
    """The training step of the quantisation-aware copy over that of the float model."""
    model = shape.model(FastGRNN, jit_compile)
    x, _ = shape.batches(1)
    aware = quantization_aware(model, representative_dataset=x)
    aware.compile("adam", model.loss, jit_compile=jit_compile)
    models = {"QAT": aware, "float": model}
    title = f"quantisation-aware, jit_compile={jit_compile}"
    steps, _ = step_times.take_turns(models, shape, title, _TURNS.value)
    return ratio(steps, "QAT", "float")


def main():
    pruning = pruning_ratio(SHAPES[0])  # first: beside many models its ratios vary twice as much
    rows = {
        (shape, jit_compile): comparison(shape, jit_compile)
        for shape in SHAPES
        for jit_compile in (True, False)
    }
    jit, graph = (rows[SHAPES[0], jit_compile]["FastGRNN"] for jit_compile in (True, False))
    small = rows[SHAPES[1], True]["FastGRNN"]
    figures = {
        "step_ratio_gru_jit": jit["step_ratio"],
        "step_ratio_lstm_jit": jit["step_ratio_lstm"],
        "step_ratio_gru": graph["step_ratio"],
        "step_ratio_lstm": graph["step_ratio_lstm"],
        "step_ratio_gru_small": small["step_ratio"],
        "qat_step_ratio_jit": qat_ratio(SHAPES[1], jit_compile=True),
        "qat_step_ratio": qat_ratio(SHAPES[1], jit_compile=False),
        "predict_ratio_gru_jit": jit["predict_ratio"],
        "pruning_overhead": float(np.median(pruning)) - 1,
    }
    speed = {
        "command": "make bench-training",
        "turns": _TURNS.value,
        "cores": os.cpu_count(),
        "shapes": [
            shape._asdict() | {"jit_compile": jit_compile, "layers": layers}
            for (shape, jit_compile), layers in rows.items()
        ],
        "pruning_ratios": pruning,
        "versions": record.versions(),
    }
    record.figures("training.json", figures | {"speed": speed})


if __name__ == "__main__":
    command.run(main)
