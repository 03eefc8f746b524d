"""Classifiers of sequences: their training, their int8 files, their scores."""

import contextlib
import io
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from examples.common import training
from keras_fastgrnn.export import convert, quantization_aware
from keras_fastgrnn.export.cell.blocks import unpack

INT8 = {"input_type": "int8", "output_type": "int8"}


class Data(NamedTuple):
    """`x (n, timesteps, features)` float32 and `y (n,)`, the class, of a group of people."""

    x: np.ndarray
    y: np.ndarray


class Split(NamedTuple):
    """The data to train on, to choose by, and to state. No person is in two of the three."""

    train: NamedTuple
    validation: NamedTuple
    test: NamedTuple


def train(layer, train, validation=None, *, seed, label_smoothing=0.0, **arguments):
    """Trains a recurrent layer and a Dense layer.

    Args:
        layer: function that makes the recurrent layer.
        train: `Data`; or a `PyDataset` with its `x` and `y`, whose batches vary them and have
            one-hot classes.
        validation: `Data` to measure after each epoch, or `None`.
        seed: integer.
        label_smoothing: float, of the cross-entropy.
        **arguments: of `training.fit()`.

    Returns:
        `(model, history)`: the model gives logits; the dict has a list for each metric.
    """
    keras.utils.set_random_seed(seed)
    classes = int(train.y.max()) + 1
    inputs = keras.Input(train.x.shape[1:])
    model = keras.Sequential([inputs, layer(), keras.layers.Dense(classes)])

    def one_hot(data):
        return data.x, keras.utils.to_categorical(data.y, classes)

    if isinstance(train, Data):
        examples = one_hot(train)
    else:
        examples, arguments["batch_size"] = (train,), None
    history = training.fit(
        model,
        *examples,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=["accuracy"],
        validation_data=validation and one_hot(validation),
        **arguments,
    )
    return model, history


def train_aware(
    model,
    train,
    *,
    seed,
    epochs,
    batch_size,
    learning_rate,
    clip=0.0,
    run_eagerly=False,
    **arguments,
):
    """Trains the quantisation-aware copy of a trained model on the logits of that model.

    Args:
        model: the trained model.
        train: `Data`.
        seed, epochs, batch_size: integers.
        learning_rate: float, the first and highest one.
        clip: as in `representative()`.
        run_eagerly: as in `training.fit()`.
        **arguments: of `quantization_aware()`; they override those that are made here.

    Returns:
        The copy.
    """
    keras.utils.set_random_seed(seed)
    arguments = {"representative_dataset": representative(train, clip)} | arguments
    aware = quantization_aware(model, **arguments)
    steps = epochs * math.ceil(len(train.x) / batch_size)
    aware.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(learning_rate, steps), global_clipnorm=1.0
        ),
        keras.losses.MeanSquaredError(),
        run_eagerly=run_eagerly,
        jit_compile=not run_eagerly,
    )
    logits = predict(model, train.x)
    aware.fit(train.x, logits, batch_size=batch_size, epochs=epochs, verbose=0)
    return aware


def representative(train, clip=0.0):
    """The calibration set: 200 of the sequences for training. `clip` is the fraction of all their
    values that saturates at either end."""
    x = train.x[:: max(len(train.x) // 200, 1)]
    return np.clip(x, *np.quantile(x, [clip, 1 - clip]).astype(x.dtype))


def to_int8(model, train, clip=0.0):
    """The model as an int8 .tflite file; `clip` as in `representative()`."""
    return convert(model, representative_dataset=representative(train, clip), **INT8)


def to_float(model):
    """The model as a float .tflite file of TensorFlow's own converter, with a loop in it."""
    x = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    with contextlib.redirect_stdout(io.StringIO()):  # the converter prints the signature
        return tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, model(x))).convert()


def confusion(y, logits):
    """Counts the sequences of each class (row) that were taken for each class (column)."""
    counts = np.zeros(logits.shape[-1:] * 2, np.int64)
    np.add.at(counts, (y, logits.argmax(axis=-1)), 1)
    return counts


def accuracy(counts):
    return counts.trace() / counts.sum()


def macro_f1(counts):
    """The mean over the classes of 2 * hits / (its sequences + sequences taken for it)."""
    return np.mean(2 * counts.diagonal() / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1))


def f1(y, logits):
    """`macro_f1()` of logits."""
    return macro_f1(confusion(y, logits))


def agreement(logits, others):
    """The fraction of the sequences that two models take for the same class."""
    return np.mean(logits.argmax(axis=-1) == others.argmax(axis=-1))


def predict(model, x):
    return model.predict(x, batch_size=len(x), verbose=0)


def constants(tflite):
    """The flash that the model takes beside its code: dict from part to bytes."""
    tensors, (recurrent, dense), constant = _read(tflite)
    scales = [tensors[i].quantization.scale for i in (*dense.inputs[:2], dense.outputs[0])]
    return {
        "options": len(recurrent.customOptions),
        "recurrent weights, indices, biases": len(constant(recurrent.inputs[1])),
        "dense weights": len(constant(dense.inputs[1])),
        "dense biases": len(constant(dense.inputs[2])),
        "dense scales": sum(4 * len(scale) for scale in scales),
        "dense zero points": 2,
    }


def int8_weights(tflite):
    """Returns the integer weights of a file, and the bytes of its constant tensors."""
    _, (recurrent, dense), constant = _read(tflite)
    cell, _ = unpack(bytes(recurrent.customOptions), constant(recurrent.inputs[1]))
    kernel, bias = (constant(i) for i in dense.inputs[1:])
    weights = [matrix.values for matrix in (*cell.kernel, *cell.recurrent_kernel)]
    weights += [cell.bias, np.array([cell.zeta, cell.nu])]
    weights += [np.frombuffer(kernel, np.int8), np.frombuffer(bias, np.int32)]
    return weights, len(constant(recurrent.inputs[1])) + len(kernel) + len(bias)


def dense_kernel(tflite):
    """The real values of the Dense layer's int8 weights: `(inputs, outputs)`."""
    tensors, (_, dense), constant = _read(tflite)
    tensor = tensors[dense.inputs[1]]
    values = np.frombuffer(constant(dense.inputs[1]), np.int8).reshape(tensor.shape)
    return values.T * np.array(tensor.quantization.scale)


def _read(tflite):
    """A file's tensors, its two operators, and a function from a tensor's index to its bytes."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    (graph,) = model.subgraphs

    def constant(index):  # an index below 0 stands for a bias of zeros, which the file omits
        return bytes(model.buffers[graph.tensors[index].buffer].data) if index >= 0 else b""

    return graph.tensors, graph.operators, constant
