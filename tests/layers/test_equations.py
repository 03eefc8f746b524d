"""Cells and layers against the paper's equations (arXiv 1901.02358) in NumPy, float64.

Models are built in float64 too: outputs of a few units then differ by rounding alone, about 1e-15
a step, and 1e-12 leaves room for the steps while no mistake in a term is that small.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import keras_fastgrnn
from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.compat import LEGACY, keras

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
BATCH, TIMESTEPS, FEATURES, UNITS = 3, 15, 4, 5

ACTIVATIONS = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "quant_tanh": lambda x: np.minimum(np.maximum(x, -1), 1),
    "quant_sigmoid": lambda x: np.minimum(np.maximum((x + 1) / 2, 0), 1),
}
RANKS = {
    "full": {},
    "low": {"kernel_rank": 2, "recurrent_rank": 2},
    "low, multiplied out": {"kernel_rank": 1, "recurrent_rank": 4},
    "kernel only": {"kernel_rank": 3},
}
sigmoid = ACTIVATIONS["sigmoid"]


def with_ranks(*names):
    """All activations at full rank, and every rank with the first activation; under tf_keras no
    two different activations. `make test-all` runs the whole product."""
    activations = list(itertools.product(ACTIVATIONS, repeat=len(names)))

    def marks(functions, rank):
        if rank != "full" and functions != activations[0]:
            return [pytest.mark.test_all]
        return [pytest.mark.one_keras] if len(set(functions)) > 1 else []

    return pytest.mark.parametrize(
        [*names, "ranks"],
        [
            pytest.param(
                *functions,
                RANKS[rank],
                id="-".join([*functions, rank]),
                marks=marks(functions, rank),
            )
            for functions, rank in itertools.product(activations, RANKS)
        ],
    )


def matrix(weights, name):
    """The paper's W or U, `(units, inputs)`."""
    if name in weights:
        return weights[name].T
    return weights[name + "_b"].T @ weights[name + "_a"].T


def fast_rnn(x, w, activation):
    """Equation 2 over one sequence. Returns every h_t."""
    W, U = matrix(w, "kernel"), matrix(w, "recurrent_kernel")
    alpha, beta = sigmoid(w["alpha"]), sigmoid(w["beta"])
    h, states = np.zeros(len(U)), []
    for x_t in x:
        candidate = ACTIVATIONS[activation](W @ x_t + U @ h + w.get("bias", 0))
        h = alpha * candidate + beta * h
        states.append(h)
    return np.array(states)


def fast_grnn(x, w, activation, gate):
    """Equation 6 over one sequence. Returns every h_t."""
    W, U = matrix(w, "kernel"), matrix(w, "recurrent_kernel")
    zeta, nu = sigmoid(w["zeta"]), sigmoid(w["nu"])
    b_z, b_h = w.get("bias", (0, 0))
    h, states = np.zeros(len(U)), []
    for x_t in x:
        z = ACTIVATIONS[gate](W @ x_t + U @ h + b_z)
        candidate = ACTIVATIONS[activation](W @ x_t + U @ h + b_h)
        h = (zeta * (1 - z) + nu) * candidate + z * h
        states.append(h)
    return np.array(states)


def sequences():
    return np.random.default_rng(0).normal(size=(BATCH, TIMESTEPS, FEATURES))


def randomize(layer, seed=1):
    """Builds the layer, gives it random weights, and returns them by name."""
    layer.build((None, None, FEATURES))
    rng = np.random.default_rng(seed)
    # Small enough that states stay finite with a relu gate, which can more than double them.
    names = [w.name.split("/")[-1].removesuffix(":0") for w in layer.weights]
    weights = {
        name: rng.normal(0, 0.3, w.shape) for name, w in zip(names, layer.weights, strict=True)
    }
    layer.set_weights(list(weights.values()))
    return weights


def layer_or_rnn(kind, *args, **kwargs):
    if kind == "layer":
        layer = {FastRNNCell: FastRNN, FastGRNNCell: FastGRNN}[args[0]]
        return layer(*args[1:], return_sequences=True, dtype="float64", **kwargs)
    cell = args[0](*args[1:], dtype="float64", **kwargs)
    return keras.layers.RNN(cell, return_sequences=True, dtype="float64")


@pytest.mark.parametrize("kind", ["layer", "RNN(cell)"])
@with_ranks("activation")
def test_fast_rnn(activation, ranks, kind):
    layer = layer_or_rnn(kind, FastRNNCell, UNITS, activation, **ranks)
    weights, x = randomize(layer), sequences()
    expected = [fast_rnn(sequence, weights, activation) for sequence in x]
    np.testing.assert_allclose(layer(x), expected, **TOLERANCE)


@pytest.mark.parametrize("kind", ["layer", "RNN(cell)"])
@with_ranks("activation", "gate")
def test_fast_grnn(activation, gate, ranks, kind):
    layer = layer_or_rnn(kind, FastGRNNCell, UNITS, activation, gate, **ranks)
    weights, x = randomize(layer), sequences()
    expected = [fast_grnn(sequence, weights, activation, gate) for sequence in x]
    np.testing.assert_allclose(layer(x), expected, **TOLERANCE)


@pytest.mark.parametrize("kind", ["layer", "RNN(cell)"])
def test_without_bias(kind):
    x = sequences()
    layer = layer_or_rnn(kind, FastRNNCell, UNITS, use_bias=False)
    weights = randomize(layer)
    assert layer.cell.bias is None and "bias" not in weights
    np.testing.assert_allclose(layer(x), [fast_rnn(s, weights, "tanh") for s in x], **TOLERANCE)
    layer = layer_or_rnn(kind, FastGRNNCell, UNITS, use_bias=False)
    weights = randomize(layer)
    expected = [fast_grnn(s, weights, "tanh", "sigmoid") for s in x]
    np.testing.assert_allclose(layer(x), expected, **TOLERANCE)


def test_float32_stays_near_over_a_long_sequence():
    layer = FastGRNN(16, return_sequences=True)
    weights = randomize(layer)
    x = np.random.default_rng(2).normal(size=(1, 300, FEATURES))
    # Each of 300 steps rounds by 6e-8 of a value.
    np.testing.assert_allclose(
        layer(x.astype(np.float32))[0],
        fast_grnn(x[0], weights, "tanh", "sigmoid"),
        rtol=2e-5,
        atol=2e-5,
    )


@pytest.mark.parametrize("kind", ["layer", "RNN(cell)"])
@pytest.mark.parametrize("ranks", RANKS.values(), ids=RANKS)
@pytest.mark.parametrize("cell_class", [FastRNNCell, FastGRNNCell])
def test_gradient_of_every_weight(cell_class, ranks, kind):
    layer = layer_or_rnn(kind, cell_class, UNITS, **ranks)
    weights, x = randomize(layer), sequences()
    target = np.random.default_rng(3).normal(size=(BATCH, TIMESTEPS, UNITS))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(target * layer(x))
    gradients = tape.gradient(loss, layer.trainable_weights)
    assert len(gradients) == len(weights)

    def numpy_loss():
        if cell_class is FastRNNCell:
            outputs = [fast_rnn(s, weights, "tanh") for s in x]
        else:
            outputs = [fast_grnn(s, weights, "tanh", "sigmoid") for s in x]
        return np.sum(target * outputs)

    # Along a random direction in each weight. A central difference of step 1e-5 is off by about
    # 1e-10 through curvature and 1e-11 / 1e-5 through rounding; the gradients are 0.1 to 100.
    rng = np.random.default_rng(4)
    for name, gradient in zip(weights, gradients, strict=True):
        value = np.array(weights[name])
        direction = rng.normal(size=value.shape)
        difference = 0.0
        for sign in (1, -1):
            weights[name] = value + sign * 1e-5 * direction
            difference += sign * numpy_loss() / 2e-5
        weights[name] = value
        actual = np.sum(gradient.numpy() * direction)
        np.testing.assert_allclose(actual, difference, rtol=1e-5, atol=1e-5, err_msg=name)


def test_initial_values_are_those_of_edgeml():
    units = 100  # 10,000 normal values determine the deviation to 0.7 %; limits: 4 of these.
    cell = FastGRNNCell(units)
    cell.build((None, units))
    for matrix_ in (cell.kernel, cell.recurrent_kernel):
        assert matrix_.shape == (units, units)
        assert abs(np.std(matrix_) - 0.1) < 0.003
        assert abs(np.mean(matrix_)) < 0.004
    np.testing.assert_array_equal(cell.bias, np.ones((2, units)))
    assert (float(cell.zeta), float(cell.nu)) == (1.0, -4.0)

    cell = FastRNNCell(units)
    cell.build((None, units))
    np.testing.assert_array_equal(cell.bias, np.ones(units))
    assert (float(cell.alpha), float(cell.beta)) == (-3.0, 3.0)


def test_scalars_start_at_their_initial_values():
    zeros = keras.initializers.Zeros()
    cell = FastGRNNCell(2, zeta_initializer=6, nu_initializer=zeros)
    cell.build((None, 3))
    assert (float(cell.zeta), float(cell.nu)) == (6.0, 0.0)
    cell = FastRNNCell(2, alpha_initializer=-1.5, beta_initializer="ones")
    cell.build((None, 3))
    assert (float(cell.alpha), float(cell.beta)) == (-1.5, 1.0)


@pytest.mark.parametrize("seed", [None, 7] if LEGACY else [None, 7, keras.random.SeedGenerator(7)])
def test_matrices_and_factors_do_not_share_their_numbers(seed):
    initializer = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
    cell = FastGRNNCell(40, kernel_rank=30, recurrent_rank=30, kernel_initializer=initializer)
    cell.build((None, 40))
    numbers = [
        np.ravel(w)[:1200]
        for w in (cell.kernel_a, cell.kernel_b, cell.recurrent_kernel_a, cell.recurrent_kernel_b)
    ]
    # Correlations of 1,200 independent normal values are nearly always below 4 / sqrt(1200).
    correlations = np.corrcoef(numbers) - np.eye(4)
    assert np.abs(correlations).max() < 0.115


def test_a_callable_initializer_is_used_for_both_factors():
    cell = FastGRNNCell(
        5, kernel_rank=2, kernel_initializer=lambda shape, dtype=None: tf.fill(shape, 0.25)
    )
    cell.build((None, 3))
    for factor, shape in ((cell.kernel_a, (3, 2)), (cell.kernel_b, (2, 5))):
        np.testing.assert_array_equal(factor, np.full(shape, 0.25))


@pytest.mark.parametrize("name", ["quant_tanh", "quant_sigmoid"])
def test_quantized_activations(name):
    x = np.linspace(-3, 3, 601)
    function = getattr(keras_fastgrnn, name)
    np.testing.assert_allclose(function(tf.constant(x)), ACTIVATIONS[name](x), **TOLERANCE)
    assert keras.activations.deserialize(keras.activations.serialize(function)) is function
