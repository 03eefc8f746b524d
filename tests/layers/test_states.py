"""States are kept, given and returned as by GRU; test_layers.py has the simple cases."""

import numpy as np
import pytest
import tensorflow as tf
from kinds import (
    BATCH,
    FEATURES,
    OURS,
    TIMESTEPS,
    TOLERANCE,
    UNITS,
    every_kind,
    randomize,
    same_weights,
    sequences,
    state,
    two_kinds,
)

from keras_fastgrnn.compat import LEGACY, keras


@every_kind
def test_initial_state_from_another_layer(make):
    """An encoder and decoder of masked tokens, with a Dense between their states, trains."""
    tokens = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(10, FEATURES, mask_zero=True)
    encoder = make(4, return_state=True)
    between = keras.layers.Dense(UNITS)
    decoder = make(UNITS, return_sequences=True, return_state=True)
    initial = between(encoder(embedding(tokens))[1])
    mask = embedding.compute_mask(tokens)  # Keras 3 does not pass it on beside a state.
    y, last = decoder(embedding(tokens), initial_state=initial, mask=mask)
    model = keras.Model(tokens, [y, last])
    model.compile("adam", ["mse", "mse"], run_eagerly=True)
    before = [np.array(w) for w in model.trainable_weights]
    x = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 0]])
    model.train_on_batch(x, [np.ones((2, 5, UNITS)), np.ones((2, UNITS))])
    assert all(np.any(b != w) for b, w in zip(before, model.trainable_weights, strict=True))

    # Padding changes nothing.
    y, last = model(x)
    y_short, last_short = model(x[:1, :3])
    np.testing.assert_allclose(y[:1, :3], y_short, **TOLERANCE)
    np.testing.assert_allclose(last[:1], last_short, **TOLERANCE)
    embedded = embedding(x)
    expected = decoder(
        embedded, initial_state=between(encoder(embedded, mask=x != 0)[1]), mask=x != 0
    )
    np.testing.assert_allclose(y, expected[0], **TOLERANCE)


@every_kind
def test_state_is_a_list_or_a_tensor(make):
    layer = randomize(make(UNITS))
    expected = layer(sequences(), initial_state=[state()])
    np.testing.assert_array_equal(layer(sequences(), initial_state=state()), expected)
    if not LEGACY:  # tf_keras takes only tensors.
        np.testing.assert_array_equal(layer(sequences(), initial_state=np.array(state())), expected)


@every_kind
def test_a_state_of_another_size_is_refused(make):
    layer = randomize(make(UNITS))
    for wrong in (state()[:, 1:], state()[1:]):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            layer(sequences(), initial_state=[wrong])


@every_kind
def test_kept_states(make):
    """Where kept states are, what sets them, and their initial values."""
    layer = make(UNITS, stateful=True, return_state=True)
    _, last = layer(sequences())
    assert len(layer.states) == 1
    kept = layer.states[0]
    np.testing.assert_array_equal(kept, last)
    assert not any(kept is weight for weight in layer.trainable_weights)
    # A given state replaces the kept one.
    if LEGACY:  # tf_keras takes it only where the kept state is zero.
        layer.reset_states()
    _, last = layer(sequences(), initial_state=[state()])
    stateless = same_weights(make(UNITS, return_state=True), layer)
    expected = stateless(sequences(), initial_state=[state()])[1]
    np.testing.assert_allclose(layer.states[0], expected, **TOLERANCE)
    layer.reset_states()
    np.testing.assert_array_equal(kept, np.zeros((BATCH, UNITS)))
    if LEGACY:
        layer.reset_states([np.array(state())])
        np.testing.assert_array_equal(kept, state())
    else:
        layer(sequences())
        layer.reset_state()
        np.testing.assert_array_equal(kept, np.zeros((BATCH, UNITS)))


@every_kind
def test_stateful_in_a_graph(make):
    """The layer knows the batch size, though the function does not."""
    layer = randomize(make(UNITS, stateful=True))
    first = layer(sequences())
    second = layer(sequences())
    layer.reset_states()
    spec = tf.TensorSpec((None, TIMESTEPS, FEATURES))
    function = tf.function(layer, input_signature=[spec])
    np.testing.assert_allclose(function(sequences()), first, **TOLERANCE)
    np.testing.assert_allclose(function(sequences()), second, **TOLERANCE)
    assert function(sequences()).shape == (BATCH, UNITS)


@two_kinds
def test_stateful_fit_and_predict(make):
    shape = (BATCH, TIMESTEPS, FEATURES)
    if LEGACY:
        first = keras.layers.InputLayer(batch_input_shape=shape)
    else:
        first = keras.Input(batch_shape=shape)
    layer = make(UNITS, stateful=True)
    model = keras.Sequential([first, layer])
    x = np.concatenate([sequences(0), sequences(1)])
    predicted = model.predict(x, batch_size=BATCH, verbose=0)
    layer.reset_states()
    for half in (slice(0, BATCH), slice(BATCH, None)):
        np.testing.assert_allclose(layer(x[half]), predicted[half], **TOLERANCE)
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(x, np.zeros((2 * BATCH, UNITS)), batch_size=BATCH, shuffle=False, verbose=0)
    if not LEGACY:  # fit() of Keras 3 goes on, as that of tf_keras does.
        assert np.any(layer.states[0].numpy() != 0)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        model.predict(x, batch_size=2 * BATCH, verbose=0)


@every_kind
def test_no_time_steps_and_one(make):
    layer = randomize(make(UNITS, return_state=True))
    cell = getattr(layer, "cell", layer)
    _, expected = cell(sequences()[:, 0], [state()])
    for actual in layer(sequences()[:, :1], initial_state=[state()]):
        np.testing.assert_allclose(actual, tf.nest.flatten(expected)[0], **TOLERANCE)
    if LEGACY and make in OURS:  # The state stays as it is.
        np.testing.assert_array_equal(
            layer(sequences()[:, :0], initial_state=[state()])[1], state()
        )
    else:
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            layer(sequences()[:, :0], initial_state=[state()])


@every_kind
def test_no_sequences(make):
    layer = make(UNITS, return_sequences=True, return_state=True)
    y, last = layer(sequences()[:0])
    assert y.shape == (0, TIMESTEPS, UNITS) and last.shape == (0, UNITS)
