"""FastRNN and FastGRNN behave as `keras.layers.GRU` does; most tests run on all three."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from kinds import (
    BATCH,
    CELLS,
    FEATURES,
    GRU,
    OURS,
    TIMESTEPS,
    TOLERANCE,
    UNITS,
    gru_too,
    ours,
    randomize,
    same_weights,
    sequences,
    state,
)

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN
from keras_fastgrnn.compat import LEGACY, keras

OPTIONS = "go_backwards", "unroll", "return_sequences"


@pytest.mark.parametrize(
    "layer_class, option",
    [
        (FastRNN, None),
        *((FastGRNN, option) for option in (None, *OPTIONS)),
        *(pytest.param(FastRNN, option, marks=pytest.mark.test_all) for option in OPTIONS),
    ],
)
def test_layer_is_rnn_of_its_cell(layer_class, option):
    """With and without each of mask, initial state and zero_output_for_mask."""
    ranks = {"kernel_rank": 2, "recurrent_rank": 2}
    mask = np.random.default_rng(3).random((BATCH, TIMESTEPS)) < 0.6
    mask[0], mask[1, :3], mask[2, -2:] = False, False, False
    for masked, initial, zero in itertools.product([False, True], repeat=3):
        if LEGACY and option == "unroll" and masked and zero:
            continue  # tf_keras's RNN fails, whatever the cell.
        options = {"return_state": True, "zero_output_for_mask": zero}
        options |= {option: True} if option else {}
        layer = randomize(layer_class(UNITS, **ranks, **options))
        rnn = same_weights(keras.layers.RNN(CELLS[layer_class](UNITS, **ranks), **options), layer)
        arguments = {"mask": mask} if masked else {}
        arguments |= {"initial_state": [state()]} if initial else {}
        actual, expected = layer(sequences(), **arguments), rnn(sequences(), **arguments)
        assert len(actual) == len(expected) == 2
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, e, **TOLERANCE)


@pytest.mark.parametrize("argument", ["activation", "recurrent_activation"])
def test_activation_that_mixes_units(argument):
    """The loop holds samples as columns, where softmax would mix the samples."""
    layer = randomize(FastGRNN(UNITS, return_sequences=True, **{argument: "softmax"}))
    cell = FastGRNNCell(UNITS, **{argument: "softmax"})
    rnn = same_weights(keras.layers.RNN(cell, return_sequences=True), layer)
    np.testing.assert_allclose(layer(sequences()), rnn(sequences()), **TOLERANCE)
    alone = layer(sequences()[:1])
    np.testing.assert_allclose(layer(sequences())[:1], alone, **TOLERANCE)


@gru_too
def test_shapes(layer_class):
    inputs = keras.Input((None, FEATURES))
    for all_steps, last_state in itertools.product([False, True], repeat=2):
        layer = layer_class(UNITS, return_sequences=all_steps, return_state=last_state)
        shape = (BATCH, TIMESTEPS, UNITS) if all_steps else (BATCH, UNITS)
        symbolic = (None, None, UNITS) if all_steps else (None, UNITS)
        if last_state:
            assert [tuple(t.shape) for t in layer(sequences())] == [shape, (BATCH, UNITS)]
            assert [t.shape for t in layer(inputs)] == [symbolic, (None, UNITS)]
        else:
            assert tuple(layer(sequences()).shape) == shape
            assert layer(inputs).shape == symbolic


@gru_too
def test_input_shape_in_place_of_an_input(layer_class):
    model = keras.Sequential([layer_class(UNITS, input_shape=(TIMESTEPS, FEATURES))])
    copy = keras.Sequential.from_config(model.get_config())
    assert model.output_shape == copy.output_shape == (None, UNITS)


@gru_too
def test_last_output_is_the_state(layer_class):
    layer = randomize(layer_class(UNITS, return_sequences=True, return_state=True))
    outputs, last = layer(sequences())
    np.testing.assert_array_equal(outputs[:, -1], last)


@gru_too
def test_masked_steps_change_nothing(layer_class):
    layer = randomize(layer_class(UNITS, return_state=True))
    x, mask = sequences(), np.ones((BATCH, TIMESTEPS), bool)
    mask[:, [0, 3, 6]] = False
    for actual, expected in zip(layer(x, mask=mask), layer(x[:, [1, 2, 4, 5]]), strict=True):
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


@gru_too
def test_output_of_a_masked_step(layer_class):
    mask = np.array([[False, True, True, False, True, False, False]] * BATCH)
    arguments = {"mask": mask, "initial_state": [state()]}
    layer = randomize(layer_class(UNITS, return_sequences=True))
    outputs = layer(sequences(), **arguments).numpy()
    np.testing.assert_array_equal(outputs[:, 0], 0)
    for masked, before in ((3, 2), (5, 4), (6, 4)):
        np.testing.assert_array_equal(outputs[:, masked], outputs[:, before])
        assert np.abs(outputs[:, masked]).max() > 0

    zeroing = layer_class(UNITS, return_sequences=True, zero_output_for_mask=True)
    zeroed = same_weights(zeroing, layer)(sequences(), **arguments).numpy()
    np.testing.assert_array_equal(zeroed[:, ~mask[0]], 0)
    np.testing.assert_array_equal(zeroed[:, mask[0]], outputs[:, mask[0]])


@gru_too
def test_state_of_a_fully_masked_sequence(layer_class):
    layer = randomize(layer_class(UNITS, return_state=True))
    mask = np.ones((BATCH, TIMESTEPS), bool)
    mask[0] = False
    output, last = layer(sequences(), mask=mask, initial_state=[state()])
    np.testing.assert_array_equal(output[0], 0)
    np.testing.assert_array_equal(last[0], state()[0])


@gru_too
def test_masks_of_other_layers_arrive(layer_class):
    layer = randomize(layer_class(UNITS))
    x = sequences()
    x[:, 4:] = 0
    model = keras.Sequential([keras.layers.Masking(), layer])
    np.testing.assert_allclose(model(x), layer(x[:, :4]), **TOLERANCE)
    assert np.max(np.abs(model(x) - layer(x))) > 1e-2

    embedding = keras.layers.Embedding(10, FEATURES, mask_zero=True)
    tokens = np.array([[1, 2, 0]])
    outputs = layer_class(UNITS, return_sequences=True)(embedding(tokens))
    np.testing.assert_array_equal(outputs._keras_mask, tokens != 0)


# Not with GRU: unrolled backwards, Keras zeroes the outputs by the mask in the other order.
@ours
def test_unrolling_changes_nothing(layer_class):
    mask = np.random.default_rng(3).random((BATCH, TIMESTEPS)) < 0.6
    options = {"return_sequences": True, "go_backwards": True, "zero_output_for_mask": True}
    layer = randomize(layer_class(UNITS, **options))
    unrolled = same_weights(layer_class(UNITS, unroll=True, **options), layer)
    np.testing.assert_allclose(
        unrolled(sequences(), mask=mask), layer(sequences(), mask=mask), **TOLERANCE
    )


@gru_too
def test_unrolling_needs_a_known_length(layer_class):
    layer = randomize(layer_class(UNITS, unroll=True))
    function = tf.function(layer, input_signature=[tf.TensorSpec((BATCH, None, FEATURES))])
    with pytest.raises(ValueError, match="Cannot unroll|Unrolling requires|unroll=True needs"):
        function(sequences())


@gru_too
def test_backwards(layer_class):
    options = {"return_sequences": True, "return_state": True}
    forwards = randomize(layer_class(UNITS, **options))
    backwards = same_weights(layer_class(UNITS, go_backwards=True, **options), forwards)
    mask = np.random.default_rng(3).random((BATCH, TIMESTEPS)) < 0.6
    reversed_ = forwards(sequences()[:, ::-1], mask=mask[:, ::-1])
    for actual, expected in zip(backwards(sequences(), mask=mask), reversed_, strict=True):
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


@gru_too
def test_initial_state_continues_a_sequence(layer_class):
    layer = randomize(layer_class(UNITS, return_state=True))
    whole, _ = layer(sequences())
    _, half_way = layer(sequences()[:, :4])
    np.testing.assert_allclose(
        layer(sequences()[:, 4:], initial_state=[half_way])[0], whole, **TOLERANCE
    )

    inputs, initial = keras.Input((TIMESTEPS, FEATURES)), keras.Input((UNITS,))
    model = keras.Model([inputs, initial], layer(inputs, initial_state=[initial])[0])
    np.testing.assert_allclose(
        model([tf.constant(sequences()), state()]),
        layer(sequences(), initial_state=[state()])[0],
        **TOLERANCE,
    )


@gru_too
def test_stateful(layer_class):
    stateless = randomize(layer_class(UNITS))
    layer = layer_class(UNITS, stateful=True)
    same_weights(layer, stateless)
    x = sequences(timesteps=8)
    for _ in range(2):
        first = layer(x[:, :4])
        np.testing.assert_allclose(first, stateless(x[:, :4]), **TOLERANCE)
        np.testing.assert_allclose(layer(x[:, 4:]), stateless(x), **TOLERANCE)
        layer.reset_states()
    with pytest.raises(ValueError, match="batch size|expected shape"):
        layer(x[:2, :4])
    with pytest.raises(ValueError, match="batch"):
        layer_class(UNITS, stateful=True)(keras.Input((TIMESTEPS, FEATURES)))


def test_cell_takes_a_state_or_a_list_of_it():
    cell = FastGRNNCell(UNITS)
    x, h = sequences()[:, 0], tf.constant(state())
    output, new = cell(x, [h])
    np.testing.assert_array_equal(new[0], output)
    output_, new = cell(x, h)
    np.testing.assert_array_equal(new, output)
    np.testing.assert_array_equal(output_, output)


# A cell that outputs its input, or its state, and so shows its dropout.
PASS_INPUT = {"kernel_initializer": "identity", "recurrent_initializer": "zeros"}
PASS_STATE = {"kernel_initializer": "zeros", "recurrent_initializer": "identity"}


def passing(**kwargs):
    # sigmoid(100) is 1, sigmoid(-100) is 0.
    scalars = {"alpha_initializer": 100.0, "beta_initializer": -100.0}
    return FastRNN(50, activation=None, use_bias=False, seed=3, **scalars, **kwargs)


def test_input_dropout_drops_the_same_features_at_each_step():
    x = np.ones((40, TIMESTEPS, 50), np.float32)
    layer = passing(dropout=0.25, return_sequences=True, **PASS_INPUT)
    np.testing.assert_array_equal(layer(x), x)
    y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(y, np.repeat(y[:, :1], TIMESTEPS, 1))
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    # The share in 2,000 draws has a standard deviation of 0.01.
    assert abs(np.mean(y[:, 0] == 0) - 0.25) < 0.04
    assert np.any(layer(x, training=True) != y), "the same mask in the next batch"


def test_recurrent_dropout_drops_the_same_units_at_each_step():
    x, ones = np.zeros((40, 3, 50), np.float32), tf.ones((40, 50))
    layer = passing(recurrent_dropout=0.25, return_sequences=True, **PASS_STATE)
    np.testing.assert_array_equal(layer(x, initial_state=[ones]), np.ones_like(x))
    y = layer(x, initial_state=[ones], training=True).numpy()
    kept = y[:, 0] > 0
    for t in range(3):
        np.testing.assert_allclose(y[:, t], kept / 0.75 ** (t + 1), rtol=1e-6)
    assert abs(np.mean(~kept) - 0.25) < 0.04


@ours
def test_dropout_of_layer_and_rnn_of_cell_agree(layer_class):
    dropout = {"dropout": 0.3, "recurrent_dropout": 0.4, "seed": 11}
    layer = randomize(layer_class(UNITS, return_sequences=True, **dropout))
    cell = CELLS[layer_class](UNITS, **dropout)
    rnn = same_weights(keras.layers.RNN(cell, return_sequences=True), layer)
    keras.utils.set_random_seed(0)  # all dropout of tf_keras draws from one sequence
    actual = layer(sequences(), training=True)
    keras.utils.set_random_seed(0)
    np.testing.assert_allclose(actual, rnn(sequences(), training=True), **TOLERANCE)
    assert np.max(np.abs(actual - layer(sequences()))) > 1e-2


@ours
def test_regularizers_and_constraints_apply_to_each_factor(layer_class):
    layer = layer_class(
        UNITS,
        kernel_rank=2,
        kernel_regularizer=keras.regularizers.L2(0.5),
        recurrent_regularizer=keras.regularizers.L1(0.25),
        bias_regularizer=keras.regularizers.L1(2.0),
        activity_regularizer=keras.regularizers.L2(3.0),
        kernel_constraint="non_neg",
        recurrent_constraint=keras.constraints.NonNeg(),
        bias_constraint=keras.constraints.NonNeg(),
    )
    randomize(layer)
    cell, y = layer.cell, layer(sequences())
    expected = [
        0.5 * np.sum(np.square(cell.kernel_a)),
        0.5 * np.sum(np.square(cell.kernel_b)),
        0.25 * np.sum(np.abs(cell.recurrent_kernel)),
        2.0 * np.sum(np.abs(cell.bias)),
        3.0 * np.sum(np.square(y)) / BATCH,
    ]
    np.testing.assert_allclose(sorted(map(float, layer.losses)), sorted(expected), rtol=1e-5)

    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    model.train_on_batch(sequences(), state())
    for weight in (cell.kernel_a, cell.kernel_b, cell.recurrent_kernel, cell.bias):
        assert np.min(weight) == 0


@ours
def test_trainable(layer_class):
    layer = layer_class(UNITS, kernel_rank=2)
    layer.build((None, None, FEATURES))
    names = {w.name.split("/")[-1].removesuffix(":0") for w in layer.trainable_weights}
    scalars = {"alpha", "beta"} if layer_class is FastRNN else {"zeta", "nu"}
    assert names == {"kernel_a", "kernel_b", "recurrent_kernel", "bias"} | scalars
    frozen = layer_class(UNITS, trainable=False)
    frozen.build((None, None, FEATURES))
    assert not frozen.trainable_weights and len(frozen.weights) == 5
    assert layer.units == UNITS


@pytest.mark.parametrize("layer_class", OURS if LEGACY else [GRU, *OURS])
def test_integer_inputs(layer_class):
    layer = randomize(layer_class(UNITS))
    x = np.arange(BATCH * TIMESTEPS * FEATURES).reshape(BATCH, TIMESTEPS, FEATURES) % 3
    np.testing.assert_allclose(layer(x), layer(x.astype(np.float32)), **TOLERANCE)


@pytest.mark.one_keras
@pytest.mark.parametrize(
    "layer_class, return_sequences",
    [
        (FastGRNN, True),
        pytest.param(FastRNN, True, marks=pytest.mark.test_all),
        pytest.param(FastRNN, False, marks=pytest.mark.test_all),
        pytest.param(FastGRNN, False, marks=pytest.mark.test_all),
    ],
)
def test_jit_with_a_smaller_last_batch(layer_class, return_sequences):
    """XLA then compiles the loop for a batch size that was unknown when it was traced."""
    model = keras.Sequential(
        [layer_class(UNITS, return_sequences=return_sequences), keras.layers.Flatten()]
    )
    model.compile("sgd", "mse", jit_compile=True)
    y = np.zeros((BATCH, TIMESTEPS * UNITS if return_sequences else UNITS))
    losses = model.fit(sequences(), y, batch_size=BATCH - 1, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    "layer_class, jit",
    [
        pytest.param(FastRNN, False, marks=pytest.mark.one_keras),
        (FastGRNN, True),
        pytest.param(FastRNN, True, marks=pytest.mark.test_all),
        pytest.param(FastGRNN, False, marks=pytest.mark.test_all),
    ],
)
def test_learns(layer_class, jit):
    """The task: whether a feature's sum over 20 steps is positive. Guessing gives 0.5."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(1000, 20, 2)).astype(np.float32)
    y = x[:, :, 0].sum(1) > 0
    layer = layer_class(8)
    model = keras.Sequential([keras.Input((20, 2)), layer, keras.layers.Dense(1, "sigmoid")])
    before = layer.get_weights()
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", jit_compile=jit)
    model.optimizer.build(model.trainable_variables)  # otherwise fit() of Keras 3 traces twice
    model.fit(x[:800], y[:800], epochs=8, batch_size=50, verbose=0)
    for old, weight in zip(before, layer.weights, strict=True):
        assert np.min(np.abs(old - weight)) > 0, f"{weight.name} did not move"
    assert np.mean((np.ravel(model(x[800:])) > 0.5) == y[800:]) > 0.85
