"""The layers' gradient by hand equals TensorFlow's gradient of `keras.layers.RNN` over the cell."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell, activations
from keras_fastgrnn.compat import LEGACY, keras

BATCH, TIMESTEPS, FEATURES, UNITS = 4, 6, 3, 5
CELLS = {FastRNN: FastRNNCell, FastGRNN: FastGRNNCell}
NAMES = sorted(f.__name__ for f in activations.GRADIENTS)
PAIRS = set(zip(NAMES, NAMES[1:] + NAMES[:1], strict=True))  # each once in either place
CASES = [(FastRNN, {"activation": name}) for name in NAMES] + [
    pytest.param(
        FastGRNN,
        {"activation": name, "recurrent_activation": gate},
        marks=[] if (name, gate) in PAIRS else [pytest.mark.test_all],
    )
    for name, gate in itertools.product(NAMES, repeat=2)
]
# float64 rounds by 1e-16 in some hundred operations on values up to some hundred.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}

layers = pytest.mark.parametrize("layer_class", CELLS)
# tf_keras trains with TensorFlow's own gradient, so fewer cases are tested there.
one_keras = pytest.mark.one_keras


def pair(layer_class, options=(), units=UNITS, **cell):
    """A layer and the RNN of its cell, with the same random weights."""
    options = {"dtype": "float64", **dict(options)}
    layer = layer_class(units, **cell, **options)
    rnn = keras.layers.RNN(CELLS[layer_class](units, **cell, dtype="float64"), **options)
    rng = np.random.default_rng(1)
    layer.build((BATCH, TIMESTEPS, FEATURES))
    rnn.build((BATCH, TIMESTEPS, FEATURES))
    for a, b in zip(layer.trainable_weights, rnn.trainable_weights, strict=True):
        value = rng.normal(0, 0.4, a.shape)
        a.assign(value)
        b.assign(value)
    return layer, rnn


def gradients(layer, mask=None):
    """Gradients of a randomly weighted sum of outputs to inputs, initial state and weights."""
    rng = np.random.default_rng(2)
    x = tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)))
    state = tf.constant(rng.normal(size=(BATCH, layer.cell.units)))
    weighting = rng.normal(size=(BATCH, TIMESTEPS, layer.cell.units))
    keras.utils.set_random_seed(0)  # all dropout of tf_keras draws from one sequence
    with tf.GradientTape() as tape:
        tape.watch((x, state))
        y = layer(x, initial_state=[state], mask=mask, training=True)
        y = y if layer.return_sequences else y[:, tf.newaxis]
        loss = tf.reduce_sum(y * weighting[:, : y.shape[1]])
    return tape.gradient(loss, [x, state, *layer.trainable_weights])


def check(layer, rnn, mask=None):
    for actual, expected in zip(gradients(layer, mask), gradients(rnn, mask), strict=True):
        assert np.max(np.abs(expected)) > 0
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


@one_keras
@pytest.mark.parametrize(("layer_class", "cell"), CASES, ids=str)
def test_activations(layer_class, cell):
    check(*pair(layer_class, **cell))


@one_keras
@pytest.mark.parametrize("units", [UNITS, 33])
@pytest.mark.parametrize("ranks", [(None, 1), (2, 2), (1, 4)])
@layers
def test_ranks(layer_class, ranks, units):
    check(*pair(layer_class, units=units, kernel_rank=ranks[0], recurrent_rank=ranks[1]))


@pytest.mark.one_keras
@layers
@pytest.mark.parametrize("units", [UNITS, 33])  # of more than 32, each step sums its gradient
def test_sequences_masks_directions(layer_class, units):
    mask = np.random.default_rng(3).random((BATCH, TIMESTEPS)) < 0.6
    mask[0], mask[1, :3], mask[2, -2:] = True, False, False
    for sequences, backwards, masked in itertools.product([False, True], repeat=3):
        options = {"return_sequences": sequences, "go_backwards": backwards}
        check(*pair(layer_class, options, units), mask if masked else None)


@layers
def test_unrolled(layer_class):
    check(*pair(layer_class, {"unroll": True, "return_sequences": True}))


@layers
def test_without_bias(layer_class):
    check(*pair(layer_class, use_bias=False))


@pytest.mark.parametrize("units", [UNITS, 33])
@layers
def test_dropout(layer_class, units):
    dropout = {"dropout": 0.3, "recurrent_dropout": 0.4, "seed": 11}
    check(*pair(layer_class, {"return_sequences": True}, units, **dropout))


@one_keras
@pytest.mark.parametrize("jit_compile", [False, True])
@layers
def test_in_a_graph(layer_class, jit_compile):
    layer, rnn = pair(layer_class, {"return_sequences": True}, recurrent_rank=2)
    compiled = tf.function(lambda: gradients(layer), jit_compile=jit_compile)
    for actual, expected in zip(compiled(), gradients(rnn), strict=True):
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


@one_keras
@layers
def test_gradient_of_the_gradient(layer_class):
    def second(layer):
        x = tf.constant(np.random.default_rng(2).normal(size=(BATCH, TIMESTEPS, FEATURES)))
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x, training=True) ** 2)
            norm = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(norm, [x, *layer.trainable_weights])

    layer, rnn = pair(layer_class)
    for actual, expected in zip(second(layer), second(rnn), strict=True):
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


@layers
def test_training_uses_the_gradient_by_hand(layer_class, monkeypatch):
    """Except in tf_keras, whose SavedModel needs TensorFlow's gradient."""
    calls = []
    original = CELLS[layer_class].slopes
    monkeypatch.setattr(
        CELLS[layer_class],
        "slopes",
        lambda *args: calls.append(args) or original(*args),
    )
    layer, _ = pair(layer_class)
    gradients(layer)
    assert bool(calls) == (not LEGACY)
