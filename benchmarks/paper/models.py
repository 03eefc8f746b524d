"""The models of a task: a training, and its measurements."""

import functools
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from examples.common import activity, classifier
from examples.common.training import GLOROT
from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.micro import Interpreter

# Quantisation-aware training as in benchmarks/quantization_aware.py: 12 epochs after 45.
QAT_EPOCHS, QAT_LEARNING_RATE = 12 / 45, 3e-3

OURS = {"FastRNN": FastRNN, "FastGRNN": FastGRNN}
KINDS = OURS | {
    "GRU": keras.layers.GRU,
    "LSTM": keras.layers.LSTM,
    "SimpleRNN": keras.layers.SimpleRNN,
}


class Model(NamedTuple):
    """A recurrent layer and a Dense layer. A rank of 0 is the full one; `sparsity` is the fraction
    of zeros."""

    kind: str
    units: int
    kernel_rank: int = 0
    recurrent_rank: int = 0
    sparsity: float = 0.0

    def __str__(self):
        text = f"{self.kind} {self.units}"
        if self.kernel_rank or self.recurrent_rank:
            text += f", ranks {self.kernel_rank or 'full'}/{self.recurrent_rank or 'full'}"
        return text + (f", {self.sparsity:.0%} zero" if self.sparsity else "")

    def layer(self):
        if self.kind not in OURS:
            return KINDS[self.kind](self.units)
        arguments = {"nu_initializer": activity.NU} if self.kind == "FastGRNN" else {}
        return KINDS[self.kind](
            self.units,
            kernel_rank=self.kernel_rank or None,
            recurrent_rank=self.recurrent_rank or None,
            **GLOROT,
            **arguments,
        )


def train(task, split, model, seed):
    """Trains the Keras model of a `Model`."""
    keras.backend.clear_session()  # hundreds of models would fill the memory
    keras.config.disable_interactive_logging()  # no bar for each training
    trained, _ = classifier.train(
        model.layer,
        task.examples(split, seed),
        seed=seed,
        sparsity=model.sparsity,
        **task.training_of(model.kind),
    )
    return trained


def measure(task, split, also, model, seed, aware):
    """Trains a model, and measures all its forms.

    Args:
        task: `Task`.
        split: `Split`.
        also: dict from a name to one more `Data` to test on.
        model: `Model`.
        seed: integer.
        aware: boolean. Whether to train it further with quantisation.

    Returns:
        dict for JSON from form to its measures: "float"; "int8" and "int8, QAT" for models with
        these forms.
    """
    trained = train(task, split, model, seed)
    values = {"float": measure_float(task, split, also, trained)}
    if model.kind == "LSTM":
        values["float"]["bytes"]["int8"] = lstm_int8_bytes(
            model.units, split.train.x.shape[-1], trained.output_shape[-1]
        )
    if model.kind in OURS:
        values["int8"] = measure_int8(task, split, also, trained)
    if aware:
        copy = classifier.train_aware(
            trained,
            task.examples(split, seed),
            seed=seed,
            epochs=math.ceil(QAT_EPOCHS * task.training["epochs"]),
            batch_size=task.training["batch_size"],
            learning_rate=QAT_LEARNING_RATE,
            clip=task.clip,
            run_eagerly=task.training.get("run_eagerly", False),
        )
        values["int8, QAT"] = measure_int8(task, split, also, copy)
    return values


def score(task, data, run):
    """The score of logits, which `run()` makes of a `Data`'s sequences."""
    counts = classifier.confusion(data.y, run(data.x))
    return (classifier.macro_f1 if task.score == "macro-F1" else classifier.accuracy)(counts)


def lstm_int8_bytes(units, features, classes):
    """Constants of a fused int8 LSTM and a Dense layer: a byte a weight, four a bias."""
    return 4 * units * (features + units) + 16 * units + classes * units + 4 * classes


def measure_float(task, split, also, model):
    """Measures a float model in the .tflite file of TensorFlow's own converter."""
    weights, tflite = model.get_weights(), classifier.to_float(model)
    scores = {
        "validation": score(task, split.validation, functools.partial(classifier.predict, model))
    }
    run = functools.partial(run_float, tflite)
    scores |= {name: score(task, data, run) for name, data in {"test": split.test, **also}.items()}
    return scores | sizes(weights, tflite, sum(w.nbytes for w in weights), width=4)


def sizes(weights, tflite, constants, width):
    """dict of the sizes of a model.

    Args:
        weights: list of arrays.
        tflite: bytes of the file.
        constants: integer, the bytes of constants on a chip.
        width: integer, the bytes of a weight, and of its index in a sparse matrix.
    """
    return {
        "bytes": {
            "paper": sum(paper_bytes(w, width) for w in weights),
            "constants": constants,
            "tflite": len(tflite),
        },
        "nonzero": sum(int(np.count_nonzero(w)) for w in weights),
    }


def paper_bytes(weight, width):
    """Bytes as EdgeML counts them: an index for each weight if fewer than half are kept."""
    return width * min(2 * int(np.count_nonzero(weight)), weight.size)


def run_float(tflite, x):
    interpreter = tf.lite.Interpreter(model_content=tflite)
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    logits = []
    for sequence in x:
        interpreter.set_tensor(inputs["index"], sequence[np.newaxis])
        interpreter.invoke()
        logits.append(interpreter.get_tensor(outputs["index"])[0])
    return np.array(logits)


def measure_int8(task, split, also, model):
    """Measures the int8 model in TensorFlow Lite for Microcontrollers."""
    tflite = classifier.to_int8(model, split.train, task.clip)
    run = Interpreter(tflite).predict
    sides = {"validation": split.validation, "test": split.test, **also}
    scores = {name: score(task, data, run) for name, data in sides.items()}
    weights, _ = classifier.int8_weights(tflite)
    constants = sum(classifier.constants(tflite).values())
    return scores | sizes(weights, tflite, constants, width=1)
