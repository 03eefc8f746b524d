"""The models of benchmarks/paper.py: one training each, and what is measured of it."""

import classifier
import keras
import numpy as np
import tensorflow as tf

from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.micro import Interpreter

# Of quantisation-aware training, as in benchmarks/quantization_aware.py.
QAT = {"epochs": 12, "learning_rate": 3e-3}

OURS = {"FastRNN": FastRNN, "FastGRNN": FastGRNN}
KINDS = OURS | {
    "GRU": keras.layers.GRU,
    "LSTM": keras.layers.LSTM,
    "SimpleRNN": keras.layers.SimpleRNN,
}


def layer(kind, units, kernel_rank=0, recurrent_rank=0):
    """Function that makes the layer; a rank of 0 is the full one."""
    arguments = {}
    if kind in OURS:
        arguments = {
            "kernel_rank": kernel_rank or None,
            "recurrent_rank": recurrent_rank or None,
            "kernel_initializer": "glorot_uniform",
            "recurrent_initializer": "glorot_uniform",
        }
    if kind == "FastGRNN":
        arguments["nu_initializer"] = -2.0
    return lambda: KINDS[kind](units, **arguments)


def score(task, y, logits):
    counts = classifier.confusion(y, logits)
    return (classifier.macro_f1 if task.score == "macro-F1" else classifier.accuracy)(counts)


def float_cell(task, split, kind, units, seed):
    """A float model of a kind, in the form that TensorFlow's own converter exports."""
    model, _ = classifier.train(
        layer(kind, units), split.train, split.validation, seed=seed, **task.training
    )
    values = measured(task, split, model)
    if kind == "LSTM":
        classes, features = model.output_shape[-1], split.train.x.shape[-1]
        values["bytes"]["int8"] = lstm_int8_bytes(units, features, classes)
    return values


def lstm_int8_bytes(units, features, classes):
    """Weights of a byte, biases of four, of a fused int8 LSTM and the Dense behind it."""
    return 4 * units * (features + units) + 16 * units + classes * units + 4 * classes


def measured(task, split, model):
    """Of a float model."""
    weights = model.get_weights()
    tflite = classifier.to_float(model)
    return {
        "validation": score(
            task, split.validation.y, classifier.predict(model, split.validation.x)
        ),
        "test": score(task, split.test.y, run_float(tflite, split.test.x)),
        "bytes": {
            # 4 bytes a weight; of sparse matrices 4 more for the index.
            "paper": sum(paper_bytes(w, value=4, index=4) for w in weights),
            "constants": sum(w.nbytes for w in weights),
            "tflite": len(tflite),
        },
        "nonzero": sum(int(np.count_nonzero(w)) for w in weights),
    }


def paper_bytes(weight, value, index):
    """As EdgeML counts: the index too where less than half of the weights are kept."""
    kept = np.count_nonzero(weight)
    return kept * (value + index) if 2 * kept < weight.size else weight.size * value


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


def stages_cell(task, split, seed):
    """FastGRNN of the task's shape, stage by stage: dict from stage to its measures. The dense one
    is the `float_cell()` of as many units."""
    units, *ranks, sparsity = task.shape
    stages = {}
    for name, removed in (("low-rank", 0.0), ("sparse", sparsity)):
        model, _ = classifier.train(
            layer("FastGRNN", units, *ranks),
            split.train,
            split.validation,
            seed=seed,
            sparsity=removed,
            **task.training,
        )
        stages[name] = measured(task, split, model)
    stages["int8"] = int8(task, split, model)
    aware = classifier.train_aware(
        model, split.train, seed=seed, batch_size=task.training["batch_size"], **QAT
    )
    stages["int8, QAT"] = int8(task, split, aware)
    return stages


def int8(task, split, model):
    """Of the int8 model, in TensorFlow Lite for Microcontrollers."""
    tflite = classifier.to_int8(model, split.train)
    interpreter = Interpreter(tflite)
    weights, _ = classifier.int8_weights(tflite)
    return {
        side: score(task, data.y, interpreter.predict(data.x))
        for side, data in (("validation", split.validation), ("test", split.test))
    } | {
        "bytes": {
            "paper": sum(paper_bytes(w, value=1, index=1) for w in weights),
            "constants": sum(classifier.constants(tflite).values()),
            "tflite": len(tflite),
        },
        "nonzero": sum(int(np.count_nonzero(w)) for w in weights),
    }
