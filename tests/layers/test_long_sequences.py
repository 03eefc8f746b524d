"""Long sequences: states and gradients stay finite, and training on them starts well.

Another implementation of these cells is reported to give NaN on the adding problem (torchrecurrent,
issue 29).
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
from kinds import BATCH, FEATURES, OURS

from benchmarks import adding
from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.compat import keras

pytestmark = pytest.mark.one_keras  # test_equations.py compares the steps under both
TIMESTEPS, UNITS = 1000, 16
test_all = pytest.mark.test_all


def outputs_and_gradients(layer, jit):
    """Returns a function from inputs to the last output, and the gradients of its sum to the inputs
    and all weights."""

    @tf.function(jit_compile=jit)
    def function(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            total = tf.reduce_sum(y)
        return [y, *tape.gradient(total, [x, *layer.trainable_weights])]

    return function


def weights(kind, layer):
    rng = np.random.default_rng(1)
    for weight, first in zip(layer.trainable_weights, layer.get_weights(), strict=True):
        if kind == "random":
            weight.assign(rng.normal(0, 0.5, first.shape))
        elif kind == "orthogonal" and first.shape == (UNITS, UNITS):
            weight.assign(np.linalg.qr(rng.normal(size=first.shape))[0])


CASES = {
    "tanh": [("first", 1), ("first", 1e4), ("orthogonal", 1), ("random", 1), ("random", 1e4)],
    "relu": [("first", 1), ("first", 1e4), ("orthogonal", 1)],
}


@pytest.mark.parametrize("activation", CASES)
@pytest.mark.parametrize(
    ("layer_class", "jit"),
    [
        (FastRNN, False),
        (FastGRNN, True),
        pytest.param(FastRNN, True, marks=test_all),
        pytest.param(FastGRNN, False, marks=test_all),
        pytest.param(keras.layers.GRU, False, marks=test_all),
    ],
)
def test_finite(layer_class, activation, jit):
    keras.utils.set_random_seed(0)
    layer = layer_class(UNITS, activation=activation)
    layer.build((None, None, FEATURES))
    first, function = layer.get_weights(), outputs_and_gradients(layer, jit)
    x = np.random.default_rng(0).normal(size=(BATCH, TIMESTEPS, FEATURES))
    for kind, scale in CASES[activation]:
        layer.set_weights(first)
        weights(kind, layer)
        for value in function(tf.constant(scale * x, tf.float32)):
            assert np.isfinite(value).all(), (kind, scale)


@pytest.mark.parametrize(
    ("layer_class", "finite"),
    [
        *((layer, False) for layer in (keras.layers.SimpleRNN, keras.layers.GRU, *OURS)),
        (functools.partial(FastGRNN, nu_initializer=-100.0), True),
    ],
)
def test_relu_with_large_weights(layer_class, finite):
    """A large recurrent matrix enlarges a relu state at each step, without end. Not with nu at 0:
    where the candidate is large, the gate keeps the old state."""
    layer = layer_class(UNITS, activation="relu")
    layer.build((None, None, FEATURES))
    rng = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        if weight.shape != ():
            weight.assign(rng.normal(0, 2, weight.shape))
    x = tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), tf.float32)
    assert np.isfinite(tf.function(layer)(x)).all() == finite


@pytest.mark.parametrize(
    ("layer_class", "timesteps", "jit"),
    [
        (FastRNN, 200, False),
        (FastGRNN, 200, False),
        (FastGRNN, 750, True),
        pytest.param(FastRNN, 200, True, marks=test_all),
        pytest.param(FastRNN, 750, False, marks=test_all),
        pytest.param(FastRNN, 750, True, marks=test_all),
        pytest.param(FastGRNN, 200, True, marks=test_all),
        pytest.param(FastGRNN, 750, False, marks=test_all),
    ],
)
def test_first_steps_of_the_adding_problem(layer_class, timesteps, jit):
    """The MSE falls from its initial value to about 1/6, which predicting the mean gives."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((timesteps, 2)), layer_class(UNITS), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0), "mse", jit_compile=jit)
    model.optimizer.build(model.trainable_variables)  # otherwise fit() of Keras 3 traces twice
    data = adding.batches(np.random.default_rng(0), timesteps, 20)
    losses = [model.train_on_batch(*next(data)) for _ in range(20)]
    assert np.isfinite(losses).all()
    assert losses[0] > 0.5
    assert np.mean(losses[-5:]) < 0.3
