"""Bidirectional, TimeDistributed and RNN of stacked cells work as with GRU and its cell."""

import numpy as np
import pytest
import tensorflow as tf
from kinds import (
    BATCH,
    CELLS,
    FEATURES,
    TIMESTEPS,
    TOLERANCE,
    UNITS,
    every_kind,
    gru_too,
    named,
    ours,
    randomize,
    same_weights,
    sequences,
    state,
)

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.compat import LEGACY, keras

test_all = pytest.mark.test_all
MERGE = {
    "concat": lambda there, back: np.concatenate([there, back], -1),
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda there, back: (there + back) / 2,
    None: lambda there, back: (there, back),
}
merge_modes = pytest.mark.parametrize(
    "merge_mode",
    # The other modes are Keras's own arithmetic on the outputs of the two layers.
    [mode if mode in ("concat", None) else pytest.param(mode, marks=test_all) for mode in MERGE],
)
Bidirectional = keras.layers.Bidirectional
flatten = tf.nest.flatten if LEGACY else keras.tree.flatten


def directions(both, make, **options):
    """Randomizes the weights of both layers. Returns a copy of each that runs forwards."""
    both.build((BATCH, TIMESTEPS, FEATURES))
    layers = randomize(both.forward_layer, 5), randomize(both.backward_layer, 6)
    return [same_weights(make(UNITS, **options), layer) for layer in layers]


def assert_close(actual, expected):
    actual, expected = flatten(actual), flatten(expected)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, **TOLERANCE)


@pytest.mark.parametrize("return_sequences", [False, True])
@merge_modes
@every_kind
def test_bidirectional(make, merge_mode, return_sequences):
    options = {"return_sequences": return_sequences}
    both = Bidirectional(make(UNITS, **options), merge_mode=merge_mode)
    forwards, backwards = directions(both, make, **options)
    mask = np.ones((BATCH, TIMESTEPS), bool)
    mask[:, 5:] = False
    there = forwards(sequences(), mask=mask).numpy()
    back = backwards(sequences()[:, ::-1], mask=mask[:, ::-1]).numpy()
    if return_sequences:  # the output of a masked step is 0
        there, back = there * mask[..., None], back[:, ::-1] * mask[..., None]
    actual = both(sequences(), mask=mask)
    assert_close(actual, MERGE[merge_mode](there, back))
    shapes = both.compute_output_shape((BATCH, TIMESTEPS, FEATURES))
    shapes = [shapes] if merge_mode else shapes
    assert [tuple(s) for s in shapes] == [tuple(t.shape) for t in flatten(actual)]


@merge_modes
@every_kind
def test_bidirectional_states(make, merge_mode):
    """One state in and out for each direction, forwards first."""
    both = Bidirectional(make(UNITS, return_state=True), merge_mode=merge_mode)
    forwards, backwards = directions(both, make, return_state=True)
    there, there_state = forwards(sequences(), initial_state=[state(1)])
    back, back_state = backwards(sequences()[:, ::-1], initial_state=[state(2)])
    merged = MERGE[merge_mode](there.numpy(), back.numpy())
    actual = both(sequences(), initial_state=[state(1), state(2)])
    assert_close(actual, [merged, there_state, back_state])


@every_kind
def test_stateful_bidirectional(make):
    both = Bidirectional(make(UNITS, stateful=True), merge_mode=None)
    forwards, backwards = directions(both, make)
    x, backwards_x = sequences(), sequences()[:, ::-1]
    for _ in range(2):
        assert_close(both(x), [forwards(x), backwards(backwards_x)])
        twice = [forwards(np.tile(x, (1, 2, 1))), backwards(np.tile(backwards_x, (1, 2, 1)))]
        assert_close(both(x), twice)
        both.reset_states()


@gru_too
def test_bidirectional_of_two_layers(layer_class):
    """The backward layer may have another class and size."""
    backward = FastRNN(2, go_backwards=True, return_sequences=True)
    both = Bidirectional(layer_class(UNITS, return_sequences=True), backward_layer=backward)
    actual = both(sequences())
    # Bidirectional runs copies of the layers.
    there, back = both.forward_layer(sequences()), both.backward_layer(sequences())
    assert_close(actual, np.concatenate([there, back.numpy()[:, ::-1]], -1))
    with pytest.raises(ValueError, match="go_backwards"):
        Bidirectional(layer_class(UNITS), backward_layer=layer_class(UNITS))


@every_kind
def test_time_distributed(make):
    """Each sequence of a sequence of sequences starts from the same state."""
    inner = make(UNITS)
    layer = keras.layers.TimeDistributed(inner)
    x = np.stack([sequences(seed) for seed in range(3)], 1)
    for inputs in (keras.Input((3, TIMESTEPS, FEATURES)), keras.Input((None, None, FEATURES))):
        assert tuple(layer(inputs).shape)[2:] == (UNITS,)
    randomize(inner)
    assert_close(layer(x), np.stack([inner(sequences(seed)) for seed in range(3)], 1))

    inputs = keras.Input((3, TIMESTEPS, FEATURES))
    model = keras.Model(inputs, make(2)(layer(inputs)))
    model.compile("sgd", "mse", run_eagerly=True)
    before = inner.get_weights()
    model.train_on_batch(x, np.ones((BATCH, 2)))
    assert all(np.any(b != w) for b, w in zip(before, inner.get_weights(), strict=True))


@ours
def test_cells_stack(layer_class):
    """RNN of cells equals layers one after another, states in and out, masked or not."""
    cell_class = CELLS[layer_class]
    options = {"return_sequences": True, "return_state": True}
    stacked = keras.layers.RNN([cell_class(UNITS), cell_class(2, kernel_rank=1)], **options)
    first, second = layer_class(UNITS, **options), layer_class(2, kernel_rank=1, **options)
    stacked.build((BATCH, TIMESTEPS, FEATURES))
    weights = randomize(stacked).get_weights()
    first.build((None, None, FEATURES)), second.build((None, None, UNITS))
    first.set_weights(weights[: len(first.weights)])
    second.set_weights(weights[len(first.weights) :])

    mask = np.random.default_rng(3).random((BATCH, TIMESTEPS)) < 0.6
    initial = [state(), state()[:, :2]]
    for masked in (None, mask):
        y, first_state = first(sequences(), initial_state=[initial[0]], mask=masked)
        y, second_state = second(y, initial_state=[initial[1]], mask=masked)
        actual = stacked(sequences(), initial_state=initial, mask=masked)
        assert_close(actual, [y, first_state, second_state])


def gru_cells(units, **kwargs):
    return keras.layers.GRUCell(units, **kwargs)


CELL_KINDS = [pytest.param(gru_cells, marks=test_all), FastRNNCell, FastGRNNCell]


@pytest.mark.parametrize("cell_class", CELL_KINDS, ids=named)
def test_stateful_stack(cell_class):
    cells = [cell_class(UNITS), cell_class(2), cell_class(3)]
    stacked = keras.layers.RNN(cells, stateful=True, return_state=True)
    first = stacked(sequences())
    second = stacked(sequences())
    assert [tuple(t.shape) for t in flatten(first)] == [(BATCH, n) for n in (3, UNITS, 2, 3)]
    assert_close(stacked.states, second[1:])
    assert np.max(np.abs(first[0] - second[0])) > 1e-3
    if LEGACY:
        stacked.reset_states()
    else:  # Keras's reset_state() takes a flat list of states, and fails for stacks.
        for kept in flatten(stacked.states):
            kept.assign(tf.zeros(kept.shape))
    assert_close(stacked(sequences()), first)


@pytest.mark.parametrize("cell_class", CELL_KINDS, ids=named)
def test_stack_of_stacks_and_of_other_cells(cell_class):
    cells = [cell_class(4), keras.layers.LSTMCell(3), cell_class(2), keras.layers.SimpleRNNCell(5)]
    flat = keras.layers.RNN(cells, return_sequences=True)
    assert flat(sequences()).shape == (BATCH, TIMESTEPS, 5)
    nested = [keras.layers.StackedRNNCells([cell_class(4), cell_class(3)]), cell_class(2)]
    nested = keras.layers.RNN(nested, return_state=True)
    outputs = flatten(nested(sequences()))
    assert [tuple(t.shape) for t in outputs] == [(BATCH, n) for n in (2, 4, 3, 2)]
    copy = keras.layers.RNN.from_config(nested.get_config())
    copy(sequences())
    copy.set_weights(nested.get_weights())
    assert_close(copy(sequences()), outputs)


@pytest.mark.parametrize("cell_class", CELL_KINDS, ids=named)
def test_dropout_in_a_stack(cell_class):
    """Each cell has its own mask, and a new one in each batch."""
    options = {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": 1}
    stacked = keras.layers.RNN([cell_class(UNITS, **options), cell_class(UNITS, **options)])
    x = np.ones((BATCH, TIMESTEPS, FEATURES), np.float32)
    one, two = stacked(x, training=True), stacked(x, training=True)
    assert np.max(np.abs(one - two)) > 1e-3
    assert_close(stacked(x), stacked(x))


@pytest.mark.parametrize("cell_class", CELL_KINDS, ids=named)
def test_regularizers_and_constraints_in_a_stack(cell_class):
    names = ("kernel", "recurrent", "bias")
    options = {f"{name}_regularizer": keras.regularizers.L1(0.1) for name in names}
    options |= {f"{name}_constraint": keras.constraints.NonNeg() for name in names}
    ranks = {} if cell_class is gru_cells else {"kernel_rank": 2, "recurrent_rank": 2}
    stacked = keras.layers.RNN([cell_class(UNITS, **options), cell_class(2, **options, **ranks)])
    randomize(stacked)
    weights = [w for w in stacked.trainable_weights if len(w.shape)]
    for weight in weights:
        weight.assign(-np.abs(weight))
    expected = [0.1 * np.sum(np.abs(w)) for w in weights]
    np.testing.assert_allclose(sorted(map(float, stacked.losses)), sorted(expected), rtol=1e-5)
    model = keras.Sequential([keras.Input((None, FEATURES)), stacked])
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(sequences(), np.zeros((BATCH, 2)))
    assert all(np.min(w) >= 0 for w in weights)


def test_everything_at_once():
    """Bidirectional of a stack, in TimeDistributed, after a masked Bidirectional."""
    inputs = keras.Input((2, TIMESTEPS, FEATURES))
    x = keras.layers.TimeDistributed(keras.layers.Masking())(inputs)
    stack = keras.layers.RNN([FastRNNCell(3), FastGRNNCell(2)], return_sequences=True)
    x = keras.layers.TimeDistributed(Bidirectional(stack))(x)
    x = keras.layers.TimeDistributed(Bidirectional(FastGRNN(3), merge_mode="mul"))(x)
    model = keras.Model(inputs, FastRNN(1)(x))
    model.compile("adam", "mse", run_eagerly=True)
    before = model.get_weights()
    model.train_on_batch(np.stack([sequences(0), sequences(1)], 1), np.ones((BATCH, 1)))
    moved = [np.any(b != w) for b, w in zip(before, model.get_weights(), strict=True)]
    assert all(moved)
