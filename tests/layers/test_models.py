"""Models of the layers are built, trained, cloned, saved and exported as models of GRU are."""

import numpy as np
import pytest
import tensorflow as tf
from kinds import (
    BATCH,
    FEATURES,
    GRU,
    OURS,
    RNNS,
    TIMESTEPS,
    TOLERANCE,
    UNITS,
    every_kind,
    gru_too,
    randomize,
    sequences,
    state,
    two_kinds,
)

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN
from keras_fastgrnn.compat import LEGACY, keras

LENGTHS = [3, 5, TIMESTEPS, 1]


def moved(model, before):
    return all(np.any(b != w) for b, w in zip(before, model.trainable_weights, strict=True))


def values(model):
    return [np.array(w) for w in model.trainable_weights]


@two_kinds
def test_subclassed_model(make, tmp_path):
    """Has no build(), is called in a nested function, and reloads its weights from a file."""

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.recurrent = make(UNITS)
            self.head = keras.layers.Dense(1)

        def call(self, x, training=False):
            @tf.function
            def scores(x):
                return self.head(self.recurrent(x, training=training))

            return scores(x)

    model = Model()
    model(sequences())
    before = values(model)
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(sequences(), np.ones((BATCH, 1)), verbose=0)
    assert len(before) == len(model.recurrent.trainable_weights) + 2 and moved(model, before)
    model.save_weights(tmp_path / "model.weights.h5")
    other = Model()
    other(sequences())
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(other(sequences()), model(sequences()), **TOLERANCE)


@every_kind
def test_layer_in_a_layer(make):
    class Twice(keras.layers.Layer):
        """Runs a layer, then a second layer, made in build(), on its outputs."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = make(UNITS, return_sequences=True)

        def build(self, shape):
            self.second = make(2)
            self.first.build(shape)
            self.second.build((*shape[:-1], UNITS))
            super().build(shape)

        def call(self, x, mask=None):
            return self.second(self.first(x, mask=mask), mask=mask)

    layer = Twice()
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    y = layer(sequences(), mask=np.ones((BATCH, TIMESTEPS), bool))
    np.testing.assert_allclose(model(sequences()), y, **TOLERANCE)
    count = len(layer.first.trainable_weights) + len(layer.second.trainable_weights)
    assert len(model.trainable_weights) == count


@every_kind
def test_one_layer_called_twice_shares_its_weights(make):
    layer = make(UNITS)
    a, b = keras.Input((None, FEATURES)), keras.Input((3, FEATURES))
    model = keras.Model([a, b], keras.layers.Subtract()([layer(a), layer(b)]))
    assert len(model.trainable_weights) == len(layer.trainable_weights)
    x = sequences()
    expected = layer(x).numpy() - layer(x[:, :3]).numpy()
    np.testing.assert_allclose(model([x, x[:, :3]]), expected, **TOLERANCE)


@every_kind
def test_clone(make):
    layer = make(UNITS, return_sequences=True, dropout=0.1)
    both = keras.layers.Bidirectional(make(2), merge_mode="mul")
    model = keras.Sequential([keras.Input((None, FEATURES)), layer, both])
    clone = keras.models.clone_model(model)
    assert clone.layers[0] is not layer
    assert clone.layers[0].get_config() == layer.get_config()
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(sequences()), model(sequences()))


@gru_too
def test_weights_by_hand(layer_class):
    layer = randomize(layer_class(UNITS))
    other = layer_class(UNITS)
    other.build((None, None, FEATURES))
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(other(sequences()), layer(sequences()))
    with pytest.raises(ValueError, match="weights"):
        other.set_weights(layer.get_weights()[1:])
    assert layer.count_params() == sum(np.size(w) for w in layer.get_weights())


@gru_too
def test_attributes_are_those_of_gru(layer_class):
    layer = layer_class(UNITS, "relu", kernel_regularizer="l2", dropout=0.25)
    assert layer.units == UNITS and layer.activation is keras.activations.relu
    assert layer.use_bias is True and layer.bias_constraint is None
    assert (layer.dropout, layer.recurrent_dropout) == (0.25, 0.0)
    assert isinstance(layer.kernel_regularizer, keras.regularizers.L2)
    assert isinstance(layer.recurrent_initializer, keras.initializers.Initializer)


@two_kinds
def test_seeds(make):
    """One seed determines the training: initial weights, order of the data, dropout."""
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = make(UNITS, dropout=0.3, recurrent_dropout=0.3)
        model = keras.Sequential([keras.Input((None, FEATURES)), layer])
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        model.fit(sequences(), np.array(state()), batch_size=2, verbose=0)
        weights.append(values(model))
    for one, again, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, again)
        assert np.any(one != other)


@pytest.fixture(scope="module")
def eager_moves():
    return moves_in_fit(run_eagerly=True)


def moves_in_fit(**options):
    """Trains one model with a layer of each kind, because XLA takes seconds to compile a model. The
    model has one output: with several, fit() of Keras 3 makes a metric of each and traces twice."""
    layers = [randomize(make(UNITS)) for make in (*OURS, *RNNS)]
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, keras.layers.concatenate([layer(inputs) for layer in layers]))
    model.compile(keras.optimizers.SGD(0.1 * len(layers)), "mse", **options)
    before = values(model)
    targets = np.tile(state(), len(layers))
    model.fit(sequences(), targets, batch_size=3, shuffle=False, verbose=0)
    assert moved(model, before)
    return [w - b for w, b in zip(values(model), before, strict=True)]


WAYS = {
    "graph": {"jit_compile": False},
    "XLA": {"jit_compile": True},
    "default": {} if LEGACY else {"jit_compile": "auto"},
}


@pytest.mark.parametrize(
    "way",
    [
        "graph",
        pytest.param("XLA", marks=pytest.mark.one_keras),
        pytest.param("default", marks=pytest.mark.test_all),  # is one of the other two
    ],
)
def test_every_way_of_running_trains_the_same(way, eager_moves):
    for actual, expected in zip(moves_in_fit(**WAYS[way]), eager_moves, strict=True):
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


@gru_too
def test_batches_of_other_sizes_and_lengths(layer_class):
    """A dataset of unknown shapes is traced once, whatever shapes its batches have."""
    batches = [sequences(seed)[: 1 + seed, :length] for seed, length in enumerate(LENGTHS)]

    def generate():
        for x in batches:
            yield x, np.ones((len(x), 1), np.float32)

    signature = (tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, 1)))
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    traces = []

    class Count(keras.layers.Layer):
        def call(self, x):
            traces.append(1)
            return x

    layers = [layer_class(UNITS), Count(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((None, FEATURES)), *layers])
    model.compile("sgd", "mse", jit_compile=False)
    traces.clear()
    before = values(model)
    model.fit(data, epochs=2, verbose=0)
    assert moved(model, before)
    assert len(traces) <= 2, "once, or twice where the first is to build the model"
    predicted = model.predict(data, verbose=0)
    expected = np.concatenate([model(x) for x in batches])
    np.testing.assert_allclose(predicted, expected, **TOLERANCE)


def exported_model(make):
    """A user's model of a layer; not stateful, because that fixes the batch size."""
    inputs = keras.Input((None, FEATURES))
    both = keras.layers.Bidirectional(make(3, return_sequences=True))
    x = both(keras.layers.Masking()(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(make(UNITS, go_backwards=True)(x)))


def assert_runs_any_shape(function, model):
    for count, length in enumerate(LENGTHS, 1):
        x = sequences()[:count, :length]
        np.testing.assert_allclose(function(x), model(x), **TOLERANCE)


@two_kinds
def test_export(make, tmp_path):
    model = exported_model(make)
    model.export(str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert_runs_any_shape(loaded.serve, model)


@pytest.mark.parametrize(
    "layer_class", [FastGRNN, pytest.param(FastRNN, marks=pytest.mark.test_all), GRU]
)
def test_saved_model(layer_class, tmp_path):
    module = tf.Module()
    module.model = model = exported_model(layer_class)
    signature = [tf.TensorSpec((None, None, FEATURES))]
    module.serve = tf.function(lambda x: model(x), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert_runs_any_shape(loaded.serve, model)


def test_whole_models_in_files(tmp_path):
    """Stateful, Bidirectional, TimeDistributed and stacked layers; a loaded state is 0."""
    inputs = keras.Input(batch_shape=(BATCH, 2, TIMESTEPS, FEATURES))
    x = keras.layers.TimeDistributed(FastGRNN(3, kernel_rank=2))(inputs)
    x = FastRNN(4, stateful=True, return_sequences=True)(x)
    both = keras.layers.Bidirectional(
        FastGRNN(3, stateful=True, return_sequences=True), merge_mode="ave"
    )
    cells = [FastGRNNCell(3), keras.layers.GRUCell(2)]
    x = keras.layers.RNN(cells, return_sequences=True)(both(x))
    model = keras.Model(inputs, keras.layers.TimeDistributed(keras.layers.Dense(2))(x))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    data = np.stack([sequences(0), sequences(1)], 1)
    first, second = model(data).numpy(), model(data).numpy()
    assert np.max(np.abs(first - second)) > 1e-3
    path = tmp_path / "model.keras"
    model.save(path)
    # tf_keras's TimeDistributed ignores registered classes.
    custom_objects = {"FastGRNN": FastGRNN} if LEGACY else None
    loaded = keras.models.load_model(path, custom_objects=custom_objects)
    for layer in loaded.layers:
        if getattr(layer, "stateful", False) or isinstance(layer, keras.layers.Bidirectional):
            layer.reset_states()
    np.testing.assert_array_equal(loaded(data), first)
    np.testing.assert_array_equal(loaded(data), second)
    loaded.compile("adam", "mse", run_eagerly=True)
    before = values(loaded)
    loaded.train_on_batch(data, np.ones((BATCH, 2, 2)))
    assert moved(loaded, before)
