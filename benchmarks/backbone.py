"""The figures of the whole way, over three seeds: from `model.fit` to int8 in TFLite Micro on HAPT.

    make figures

Prints them and writes benchmarks/results/backbone.json.
"""

import platform
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from rich.console import Console
from rich.table import Table

from benchmarks import record
from examples import activity_recognition as example
from examples.common import classifier
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.micro import Interpreter

SEEDS = (0, 1, 2)
# What of each seed's figures counts, and what it has to reach.
TARGETS = {
    "f1_int8_mean": (">=", 0.90),
    "f1_loss_max": ("<=", 0.005),
    "agreement_min": (">=", 99.0),
    "tflite_bytes": ("<=", 2500),
    "arena_bytes": ("<=", 2560),
    "step_ratio_gru": ("<=", 0.6),
}


def one_seed(seed, epochs, train, validation, test):
    """Trains, converts and runs the sparse model of the example."""
    print(f"seed {seed}")
    model, _ = example.train(
        example.low_rank, train, validation, seed=seed, epochs=epochs, sparse=True
    )
    tflite = classifier.to_int8(model, train)
    interpreter = Interpreter(tflite)
    expected, logits = classifier.predict(model, test.x), interpreter.predict(test.x)
    in_float, in_int8 = (classifier.confusion(test.y, y) for y in (expected, logits))
    return {
        "seed": seed,
        "f1_float": classifier.macro_f1(in_float),
        "f1_int8": classifier.macro_f1(in_int8),
        "accuracy_float": classifier.accuracy(in_float),
        "accuracy_int8": classifier.accuracy(in_int8),
        "agreement": 100 * np.mean(expected.argmax(axis=-1) == logits.argmax(axis=-1)),
        "tflite_bytes": len(tflite),
        "arena_bytes": interpreter.arena_bytes,
    }


def step_ms(units, timesteps, features, batch_size, steps=60):
    """The median training step of FastGRNN and of GRU, in turn on the same batch, in ms."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(batch_size, timesteps, features)), tf.float32)
    y = tf.constant(rng.integers(0, 10, batch_size))
    models = {}
    for name, layer in (("FastGRNN", FastGRNN(units)), ("GRU", keras.layers.GRU(units))):
        model = keras.Sequential([keras.Input(x.shape[1:]), layer, keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=True)
        model.train_on_batch(x, y)
        models[name] = model
    times = {name: [] for name in models}
    for _ in range(steps):
        for name, model in models.items():
            start = time.perf_counter()
            model.train_on_batch(x, y)
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * np.median(t) for name, t in times.items()}


def main(argv):
    data = example.start(argv)
    seeds = [one_seed(seed, flags.FLAGS.epochs, *data) for seed in SEEDS]
    print("training steps")
    # The paper's largest FastGRNN of Table 11 on Google-12, and the example's.
    steps = {shape: step_ms(*shape) for shape in ((100, 99, 32, 64), (16, 128, 3, 100))}
    ratios = [step["FastGRNN"] / step["GRU"] for step in steps.values()]

    figures = {
        "f1_int8_mean": np.mean([s["f1_int8"] for s in seeds]),
        "f1_loss_max": max(s["f1_float"] - s["f1_int8"] for s in seeds),
        "agreement_min": min(s["agreement"] for s in seeds),
        "tflite_bytes": max(s["tflite_bytes"] for s in seeds),
        "arena_bytes": max(s["arena_bytes"] for s in seeds),
        "step_ratio_gru": ratios[0],
    }
    details = {
        "command": "make figures",
        "epochs": flags.FLAGS.epochs,
        "seeds": seeds,
        "steps": [
            dict(zip(("units", "timesteps", "features", "batch_size"), shape, strict=True))
            | {f"{name}_ms": ms for name, ms in step.items()}
            for shape, step in steps.items()
        ],
        "versions": record.versions(),
        "machine": platform.machine(),
    }
    print_figures(figures, seeds)
    print(f"FastGRNN's training step takes {ratios[1]:.2f} of GRU's at the example's 16 units.")
    record.figures("backbone.json", figures | details)


def print_figures(figures, seeds):
    table = Table("seed", "macro-F1 float", "int8", "agreement", ".tflite bytes", "arena bytes")
    for s in seeds:
        table.add_row(
            str(s["seed"]),
            f"{s['f1_float']:.4f}",
            f"{s['f1_int8']:.4f}",
            f"{s['agreement']:.2f} %",
            str(s["tflite_bytes"]),
            str(s["arena_bytes"]),
        )
    Console().print(table)
    table = Table("figure", "value", "to reach", "reached")
    for name, (relation, target) in TARGETS.items():
        value = figures[name]
        reached = record.reached(value, relation, target)
        table.add_row(name, f"{value:.5g}", f"{relation} {target}", "yes" if reached else "no")
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
