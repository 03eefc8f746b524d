"""The recurrent layers that the tests compare, and their inputs."""

import numpy as np
import pytest
import tensorflow as tf

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.compat import keras

BATCH, TIMESTEPS, FEATURES, UNITS = 4, 7, 3, 5
OURS = [FastRNN, FastGRNN]
CELLS = {FastRNN: FastRNNCell, FastGRNN: FastGRNNCell}
# float32 rounds by 6e-8 of a state of about 1, in sums of a few terms over a few steps.
TOLERANCE = {"rtol": 0, "atol": 1e-5}

LAYER_ARGUMENTS = {
    *("return_sequences", "return_state", "go_backwards", "stateful", "unroll"),
    *("zero_output_for_mask", "activity_regularizer", "name", "dtype"),
}


def rnn_of(cell_class):
    """A function that makes an RNN of the cell from the arguments of the layer."""

    def make(units, **arguments):
        cell = {k: v for k, v in arguments.items() if k not in LAYER_ARGUMENTS}
        rnn = {k: v for k, v in arguments.items() if k in LAYER_ARGUMENTS}
        dtype = {"dtype": arguments["dtype"]} if "dtype" in arguments else {}
        return keras.layers.RNN(cell_class(units, **cell, **dtype), **rnn)

    make.__name__ = f"RNN({cell_class.__name__})"
    return make


# The reference for our layers; its behaviour is fixed by the pinned version of Keras.
GRU = pytest.param(keras.layers.GRU, marks=pytest.mark.test_all)
RNNS = [rnn_of(FastRNNCell), rnn_of(FastGRNNCell)]
KINDS = [keras.layers.GRU, *OURS, *RNNS]


def named(kind):
    return kind.__name__


ours = pytest.mark.parametrize("layer_class", OURS)
gru_too = pytest.mark.parametrize("layer_class", [GRU, *OURS])
every_kind = pytest.mark.parametrize("make", [GRU, *OURS, *RNNS], ids=named)
# For tests that take seconds: one layer, and an RNN of the other layer's cell.
two_kinds = pytest.mark.parametrize(
    "make",
    [
        *(FastGRNN, RNNS[0]),
        *(pytest.param(make, marks=pytest.mark.test_all) for make in (FastRNN, RNNS[1])),
        GRU,
    ],
    ids=named,
)


def sequences(seed=0, timesteps=TIMESTEPS):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, timesteps, FEATURES)).astype(np.float32)


def state(seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=(BATCH, UNITS)), tf.float32)


def randomize(layer, seed=2):
    layer.build((BATCH, TIMESTEPS, FEATURES))
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return layer


def same_weights(layer, other):
    layer.build((BATCH, TIMESTEPS, FEATURES))
    for weight, value in zip(layer.trainable_weights, other.trainable_weights, strict=True):
        weight.assign(np.array(value))
    return layer
