"""What quantisation-aware training gives on HAPT, over three seeds.

    make bench-qat

Trains the sparse low-rank model of the example, then its quantisation-aware copy for some epochs
more. Prints the figures and writes them into benchmarks/results/training.json, beside those that
are there.
"""

import math
import time

import activity_recognition as example
import keras
import numpy as np
import record
from absl import app, flags

from keras_fastgrnn.export import quantization_aware
from keras_fastgrnn.micro import Interpreter

SEEDS = (0, 1, 2)
# Chosen on the people for validation: macro-F1 in int8 against the float model, mean and worst
# of the three seeds
#   +0.0001 -0.0017  6 epochs at a rate of 3e-4
#   +0.0009 -0.0019  6           1e-3
#   +0.0020 +0.0011  6           3e-3
#   +0.0004 -0.0002  6           1e-2
#   +0.0031 +0.0024  12          3e-3
EPOCHS, LEARNING_RATE = 12, 3e-3


def train_aware(model, train, seed):
    """The quantisation-aware copy of a trained model, trained."""
    keras.utils.set_random_seed(seed)
    aware = quantization_aware(model, representative_dataset=train.x[:: len(train.x) // 200])
    steps = EPOCHS * math.ceil(len(train.x) / example.BATCH_SIZE)
    aware.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps), global_clipnorm=1.0
        ),
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=example.LABEL_SMOOTHING
        ),
        jit_compile=True,
    )
    aware.fit(
        train.x,
        keras.utils.to_categorical(train.y),
        batch_size=example.BATCH_SIZE,
        epochs=EPOCHS,
        verbose=0,
    )
    return aware


def one_seed(seed, train, validation, test):
    print(f"seed {seed}")
    model, _ = example.train(
        example.low_rank, train, validation, seed=seed, epochs=flags.FLAGS.epochs, sparse=True
    )
    start = time.perf_counter()
    aware = train_aware(model, train, seed)
    seconds = time.perf_counter() - start
    tflite = example.to_int8(aware, train)
    in_float, in_training = example.predict(model, test.x), example.predict(aware, test.x)
    plain = Interpreter(example.to_int8(model, train)).predict(test.x)
    int8 = Interpreter(tflite).predict(test.x)
    step = aware.layers[-1].output_format.scale

    def f1(logits):
        return example.macro_f1(example.confusion(test.y, logits))

    def agreement(a, b):
        return 100 * np.mean(a.argmax(axis=-1) == b.argmax(axis=-1))

    return {
        "seed": seed,
        "f1_float": f1(in_float),
        "f1_int8": f1(plain),
        "f1_int8_after_qat": f1(int8),
        "agreement_int8_float": agreement(plain, in_float),
        "agreement_int8_training_graph": agreement(int8, in_training),
        "logits_off_by_one_step_percent": 100 * np.mean(np.abs(int8 - in_training) > 0.5 * step),
        "logits_off_at_most_steps": int(np.round(np.max(np.abs(int8 - in_training)) / step)),
        "zeros_kept": _zeros(aware) >= _zeros(model),
        "tflite_bytes": len(tflite),
        "qat_seconds": seconds,
    }


def _zeros(model):
    return sum(int(np.sum(np.asarray(w) == 0)) for w in model.layers[0].get_weights())


def main(argv):
    data = example.start(argv)
    seeds = [one_seed(seed, *data) for seed in SEEDS]
    differences = [s["f1_int8_after_qat"] - s["f1_float"] for s in seeds]
    figures = {
        "qat_agreement_min": min(s["agreement_int8_training_graph"] for s in seeds),
        "qat_f1_difference": float(np.mean(differences)),
        "qat_f1_difference_spread": [float(min(differences)), float(max(differences))],
        "qat": {
            "command": "make bench-qat",
            "epochs": EPOCHS,
            "learning_rate": LEARNING_RATE,
            "windows": len(data[2].x),
            "seeds": seeds,
        },
    }
    text = record.table(
        ["seed", "F1 float", "int8", "int8 after QAT", "int8 as float", "QAT as training graph"],
        [
            [
                s["seed"],
                *(f"{s[name]:.4f}" for name in ("f1_float", "f1_int8", "f1_int8_after_qat")),
                f"{s['agreement_int8_float']:.2f} %",
                f"{s['agreement_int8_training_graph']:.2f} %",
            ]
            for s in seeds
        ],
    )
    low, high = figures["qat_f1_difference_spread"]
    text += (
        "\n\nMacro-F1 after it, less that of the float model: "
        f"{figures['qat_f1_difference']:+.4f} in the mean, from {low:+.4f} to {high:+.4f}."
    )
    print(text)
    for name, value in list(figures.items())[:3]:
        print(name, value)
    record.figures("training.json", figures)
    record.page(record.ROOT / "docs" / "quantize.md", {"qat": text})


if __name__ == "__main__":
    app.run(main)
