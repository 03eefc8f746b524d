"""What a training step and a prediction cost, as ratios to Keras's own layers.

    make bench-training

Prints the figures, and writes benchmarks/results/training.json and the tables of docs/speed.md,
with the operations of a step before and after the gradient by hand. Models take turns on one batch,
and ratios are medians of each turn's: a machine that is busy for a moment is so for all of them.
"""

import collections
import glob
import os
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import record
from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN
from keras_fastgrnn.pruning import three_phases

flags.DEFINE_integer("turns", 60, "Timed steps of each model.", lower_bound=5)
flags.DEFINE_bool("write", True, "Write benchmarks/results/training.json and docs/speed.md.")

CLASSES = 12
# Units, features, timesteps and batch size: the paper's Google-12 (Tables 1 and 11), and the
# example's.
SHAPES = ((100, 32, 99, 100), (16, 3, 128, 100))
TARGETS = {
    "step_ratio_gru_jit": 0.5,
    "step_ratio_lstm_jit": 0.5,
    "step_ratio_gru": 0.5,
    "step_ratio_lstm": 0.5,
    "predict_ratio_gru_jit": 0.6,
    "pruning_overhead": 0.05,
}


class WithTensorFlowsGradient(FastGRNN):
    """The same loop, differentiated by TensorFlow: what the gradient by hand saves."""

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


# The rows whose operations docs/speed.md counts: before, and after.
PROFILED = ("FastGRNN, TensorFlow's gradient", "FastGRNN")
PAGE = record.ROOT / "docs" / "speed.md"


def batch(features, timesteps, batch_size, batches=1):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batches * batch_size, timesteps, features)).astype(np.float32)
    return x, rng.integers(0, CLASSES, len(x))


def make(layer, features, timesteps, jit_compile):
    model = keras.Sequential(
        [keras.Input((timesteps, features)), layer, keras.layers.Dense(CLASSES)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=jit_compile)
    return model


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def step_times(units, features, timesteps, batch_size, jit_compile):
    """Dict from name to the seconds of each turn's training step, and of its prediction."""
    x, y = map(tf.constant, batch(features, timesteps, batch_size))
    models = {
        n: make(layer(units), features, timesteps, jit_compile) for n, layer in LAYERS.items()
    }
    for model in models.values():  # Compiles.
        model.train_on_batch(x, y)
        model.predict_on_batch(x)
    steps, predictions = ({name: [] for name in models} for _ in range(2))
    for _ in track(range(flags.FLAGS.turns), f"{units} units, jit_compile={jit_compile}"):
        for name, model in models.items():
            steps[name].append(seconds(model.train_on_batch, x, y))
            predictions[name].append(seconds(model.predict_on_batch, x))
    return steps, predictions


def ratio(times, name, other):
    return float(np.median(np.array(times[name]) / np.array(times[other])))


def comparison(shape, jit_compile):
    steps, predictions = step_times(*shape, jit_compile)
    rows = {}
    for name in LAYERS:
        rows[name] = {
            "step_ms": 1e3 * float(np.median(steps[name])),
            "step_ratio": ratio(steps, name, "keras GRU"),
            "predict_ms": 1e3 * float(np.median(predictions[name])),
            "predict_ratio": ratio(predictions, name, "keras GRU"),
        }
    rows["FastGRNN"]["step_ratio_lstm"] = ratio(steps, "FastGRNN", "keras LSTM")
    return rows


class StepTimes(keras.callbacks.Callback):
    """The seconds of each training step of `fit()`, without the first, which compiles."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def pruning_ratio(units, features, timesteps, batch_size, batches=40, rounds=9):
    """The median step of `fit()` with the paper's pruning, to that without it."""
    x, y = batch(features, timesteps, batch_size, batches)
    ratios = []
    for _ in track(range(rounds), "pruning"):
        times = {}
        for name in ("plain", "pruned"):
            model = make(FastGRNN(units), features, timesteps, True)
            timer = StepTimes()
            # Phase two, in which the support moves every 15 steps, begins at once.
            prune = three_phases(0.5, 0.5, steps=batches, begin_step=0, end_step=batches)
            callbacks = [timer] + [prune] * (name == "pruned")
            model.fit(x, y, batch_size=batch_size, callbacks=callbacks, verbose=0)
            times[name] = np.median(timer.seconds[2:])
        ratios.append(times["pruned"] / times["plain"])
    return ratios


def operations(layer, units, features, timesteps, batch_size, steps=5):
    """Dict from TensorFlow operation to its number and ms in a training step without XLA."""
    x, y = map(tf.constant, batch(features, timesteps, batch_size))
    model = make(layer(units), features, timesteps, False)
    model.train_on_batch(x, y)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            model.train_on_batch(x, y)
        tf.profiler.experimental.stop()
        (path,) = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
        with open(path, "rb") as file:
            space = xplane_pb2.XSpace.FromString(file.read())
    totals = collections.defaultdict(lambda: [0, 0.0])
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if ":" in name and "::" not in name and not name.startswith((":", " ")):
                    total = totals[name.rpartition(":")[2]]
                    total[0] += 1 / steps
                    total[1] += event.duration_ps / 1e9 / steps
    return dict(totals)


def tables(speed):
    """Dict from name to the text of each part of docs/speed.md."""
    parts = {}
    for entry in speed["shapes"]:
        rows = [
            [
                name,
                *(f"{row[k]:.{d}f}" for k, d in (("step_ms", 1), ("step_ratio", 2))),
                *(f"{row[k]:.{d}f}" for k, d in (("predict_ms", 1), ("predict_ratio", 2))),
            ]
            for name, row in entry["layers"].items()
        ]
        header = ["layer", "ms a step", "to GRU's", "ms a prediction", "to GRU's"]
        mode = "XLA" if entry["jit_compile"] else "no XLA"
        parts[f"{entry['units']} units, {mode}"] = record.table(header, rows)
    before, after = (speed["operations"][name] for name in PROFILED)
    heaviest = sorted(before.keys() | after.keys(), key=lambda o: -before.get(o, [0, 0])[1])
    rows = [
        [
            operation,
            *(f"{v:.{d}f}" for p in (before, after) for v, d in number_and_ms(p, operation)),
        ]
        for operation in heaviest[:10]
    ]
    header = ["operation", "before: number", "ms", "after: number", "ms"]
    return parts | {"operations": record.table(header, rows)}


def number_and_ms(profile, operation):
    return zip(profile.get(operation, (0, 0)), (0, 2), strict=True)


def main(argv):
    del argv
    tf.get_logger().setLevel("ERROR")  # "triggered tf.function retracing": of another model each.
    shapes = []
    rows = {}
    for shape in SHAPES:
        for jit_compile in (True, False):
            rows[shape, jit_compile] = comparison(shape, jit_compile)
            names = ("units", "features", "timesteps", "batch_size")
            shapes.append(
                dict(zip(names, shape, strict=True))
                | {"jit_compile": jit_compile, "layers": rows[shape, jit_compile]}
            )
    jit, graph = (rows[SHAPES[0], jit_compile]["FastGRNN"] for jit_compile in (True, False))
    pruning = pruning_ratio(*SHAPES[0])
    figures = {
        "step_ratio_gru_jit": jit["step_ratio"],
        "step_ratio_lstm_jit": jit["step_ratio_lstm"],
        "step_ratio_gru": graph["step_ratio"],
        "step_ratio_lstm": graph["step_ratio_lstm"],
        "predict_ratio_gru_jit": jit["predict_ratio"],
        "pruning_overhead": float(np.median(pruning)) - 1,
    }
    speed = {
        "command": "make bench-training",
        "turns": flags.FLAGS.turns,
        "cores": os.cpu_count(),
        "shapes": shapes,
        "pruning_ratios": pruning,
        "operations": {name: operations(LAYERS[name], *SHAPES[0]) for name in PROFILED},
        "versions": record.versions(),
    }
    parts = tables(speed)
    for name, text in parts.items():
        print(f"\n{name}\n{text}")

    table = Table("figure", "value", "to reach", "reached")
    for name, target in TARGETS.items():
        value = figures[name]
        table.add_row(name, f"{value:.3f}", f"<= {target}", "yes" if value <= target else "no")
    Console().print(table)
    if flags.FLAGS.write:
        record.figures("training.json", figures | {"speed": speed})
        record.page(PAGE, parts)


if __name__ == "__main__":
    app.run(main)
