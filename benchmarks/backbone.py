"""The whole way from `model.fit` to int8 in TFLite Micro, on HAPT, over three seeds.

    make figures

Writes benchmarks/results/backbone.json.
"""

import platform

import keras
import numpy as np

from benchmarks import record, step_times
from benchmarks.step_times import Shape
from examples.common import activity, classifier, command, data
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.micro import Interpreter

SEEDS = (0, 1, 2)
# The largest FastGRNN of the paper's Table 11, on Google-12; and that of the example.
SHAPES = Shape(100, 32, 99, 64), Shape(16, 3, 128, 100)


def one_seed(seed, train, validation, test):
    """Trains, converts and runs the sparse model of the example."""
    print(f"seed {seed}")
    model, _ = activity.train(activity.low_rank, train, validation, seed=seed, sparse=True)
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
        "agreement": 100 * classifier.agreement(expected, logits),
        "tflite_bytes": len(tflite),
        "arena_bytes": interpreter.arena_bytes,
    }


def step_ms(shape):
    """The median training step of FastGRNN and of GRU."""
    steps, _ = step_times.measure({"FastGRNN": FastGRNN, "GRU": keras.layers.GRU}, shape)
    return shape._asdict() | {f"{name}_ms": 1e3 * np.median(t) for name, t in steps.items()}


def main():
    sides = data.load(activity.load)
    seeds = [one_seed(seed, *sides) for seed in SEEDS]
    steps = [step_ms(shape) for shape in SHAPES]
    figures = {
        "f1_int8_mean": np.mean([s["f1_int8"] for s in seeds]),
        "f1_loss_max": max(s["f1_float"] - s["f1_int8"] for s in seeds),
        "agreement_min": min(s["agreement"] for s in seeds),
        "tflite_bytes": max(s["tflite_bytes"] for s in seeds),
        "arena_bytes": max(s["arena_bytes"] for s in seeds),
        "step_ratio_gru": steps[0]["FastGRNN_ms"] / steps[0]["GRU_ms"],
    }
    details = {
        "command": "make figures",
        "epochs": activity.TRAINING["epochs"],
        "seeds": seeds,
        "steps": steps,
        "versions": record.versions(),
        "machine": platform.machine(),
    }
    record.figures("backbone.json", figures | details)


if __name__ == "__main__":
    command.run(main)
