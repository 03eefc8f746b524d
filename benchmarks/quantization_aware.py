"""The gain of quantisation-aware training on HAPT, over three seeds.

    make bench-qat

Trains the sparse low-rank model of the example, then its quantisation-aware copy for some epochs
more. Writes benchmarks/results/training.json.
"""

import time

import numpy as np

from benchmarks import record
from examples.common import activity, classifier, command, data
from keras_fastgrnn.micro import Interpreter

SEEDS = (0, 1, 2)
# Chosen among 14 targets and rates: docs/decisions.md, "Quantisation-aware training".
EPOCHS, LEARNING_RATE = 12, 3e-3


def one_seed(seed, train, validation, test):
    print(f"seed {seed}")
    model, _ = activity.train(activity.low_rank, train, validation, seed=seed, sparse=True)
    start = time.perf_counter()
    aware = classifier.train_aware(
        model,
        train,
        seed=seed,
        epochs=EPOCHS,
        batch_size=activity.TRAINING["batch_size"],
        learning_rate=LEARNING_RATE,
    )
    seconds = time.perf_counter() - start
    tflite = classifier.to_int8(aware, train)
    in_float, in_training = classifier.predict(model, test.x), classifier.predict(aware, test.x)
    plain = Interpreter(classifier.to_int8(model, train)).predict(test.x)
    int8 = Interpreter(tflite).predict(test.x)
    steps_off = np.abs(int8 - in_training) / aware.layers[-1].output_format.scale
    return {
        "seed": seed,
        "f1_float": classifier.f1(test.y, in_float),
        "f1_int8": classifier.f1(test.y, plain),
        "f1_int8_after_qat": classifier.f1(test.y, int8),
        "agreement_int8_float": 100 * classifier.agreement(plain, in_float),
        "agreement_int8_training_graph": 100 * classifier.agreement(int8, in_training),
        "logits_off_by_one_step_percent": 100 * np.mean(steps_off > 0.5),
        "logits_off_at_most_steps": int(np.round(np.max(steps_off))),
        "tflite_bytes": len(tflite),
        "qat_seconds": seconds,
    }


def main():
    sides = data.load(activity.load)
    seeds = [one_seed(seed, *sides) for seed in SEEDS]
    qat = {
        "command": "make bench-qat",
        "epochs": EPOCHS,
        "learning_rate": LEARNING_RATE,
        "windows": len(sides[2].x),
        "seeds": seeds,
    }
    record.figures("training.json", {"qat": qat})


if __name__ == "__main__":
    command.run(main)
