"""zeta, nu, alpha and beta, trained or fixed."""

import numpy as np
import pytest
import tensorflow as tf
from kinds import CELLS, FEATURES, UNITS, ours, sequences, state

from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.compat import LEGACY, keras
from keras_fastgrnn.export import convert
from keras_fastgrnn.pruning import three_phases

SCALARS = {
    FastRNN: {"alpha_initializer": -2.5, "beta_initializer": 2.5},
    FastGRNN: {"zeta_initializer": 0.5, "nu_initializer": -3.5},
}


def make(layer_class, in_rnn=False, trainable=False, **arguments):
    arguments = {"kernel_rank": 2, "scalars_trainable": trainable} | arguments
    if in_rnn:
        return keras.layers.RNN(CELLS[layer_class](UNITS, **arguments))
    return layer_class(UNITS, **arguments)


def model_of(layer, seed=0, outputs=UNITS):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((7, FEATURES)), layer, keras.layers.Dense(outputs, name="head")]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse", run_eagerly=True)
    return model


def scalars(layer):
    return [float(tf.convert_to_tensor(w)) for w in layer.weights if w.shape == ()]


def check_export(model):
    micro = pytest.importorskip("keras_fastgrnn.micro")
    interpreter = micro.Interpreter(convert(model, representative_dataset=sequences()))
    expected = model.predict(sequences(), verbose=0)
    # A few steps of int8, each 1/256 of the range.
    tolerance = 0.03 * np.ptp(expected)
    np.testing.assert_allclose(interpreter.predict(sequences()), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("in_rnn", [False, True])
@ours
def test_fixed_scalars_stay_and_the_rest_is_trained(layer_class, in_rnn):
    layer = make(layer_class, in_rnn, **SCALARS[layer_class])
    model = model_of(layer)
    assert scalars(layer) == list(SCALARS[layer_class].values())
    before = layer.get_weights()
    model.fit(sequences(), state(), epochs=3, verbose=0)
    for weight, old, new in zip(layer.weights, before, layer.get_weights(), strict=True):
        assert old == new if weight.shape == () else np.all(old != new), weight.name


@ours
def test_other_weights_keep_their_order_and_gradients(layer_class):
    layers = [make(layer_class, trainable=trainable) for trainable in (True, False)]
    gradients = []
    for layer in layers:
        layer.build((None, 7, FEATURES))
        layer.set_weights(layers[0].get_weights())
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(sequences(), training=True) ** 2)
        gradients.append(tape.gradient(loss, layer.trainable_weights))
    trained, fixed = ([w.name.split("/")[-1] for w in layer.weights] for layer in layers)
    assert trained == fixed
    assert len(gradients[0]) == len(gradients[1]) + 2
    for a, b in zip(gradients[0][:-2], gradients[1], strict=True):
        np.testing.assert_array_equal(a, b)


@ours
def test_thawing_the_layer_does_not_thaw_the_scalars(layer_class):
    layer = make(layer_class)
    layer.build((None, 7, FEATURES))
    trainable = len(layer.trainable_weights)
    layer.trainable = False
    assert not layer.trainable_weights
    layer.trainable = True
    assert len(layer.trainable_weights) == trainable == len(layer.weights) - 2


@ours
def test_files(layer_class, tmp_path):
    """A loaded model keeps its scalars fixed; weight files serve trained and fixed ones alike."""
    model = model_of(make(layer_class, **SCALARS[layer_class]))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    loaded.fit(sequences(), state(), verbose=0)
    assert scalars(loaded.layers[0]) == list(SCALARS[layer_class].values())

    model.save_weights(tmp_path / "fixed.weights.h5")
    trained = model_of(make(layer_class, trainable=True), seed=1)
    trained.load_weights(tmp_path / "fixed.weights.h5")
    back = model_of(make(layer_class), seed=2)
    back.set_weights(trained.get_weights())
    for a, b in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@ours
def test_pruned_and_exported(layer_class):
    model, phases = model_of(make(layer_class)), three_phases(0.5, 0.5, steps=3)
    model.fit(sequences(), state(), epochs=3, verbose=0, callbacks=[phases])
    for name, matrix in model.layers[0].cell.matrices().items():
        assert np.count_nonzero(matrix) == matrix.shape[0] * matrix.shape[1] // 2, name
    check_export(model)


@pytest.mark.skipif(LEGACY, reason="quantisation-aware training is for Keras 3")
@ours
def test_quantization_aware(layer_class):
    from keras_fastgrnn.export import quantization_aware

    model = model_of(make(layer_class))
    aware = quantization_aware(model, representative_dataset=sequences())
    aware.compile("adam", "mse", run_eagerly=True)
    aware.fit(sequences(), state(), verbose=0)
    assert len(aware.trainable_weights) == len(model.trainable_weights)
    convert(aware, representative_dataset=sequences())


@pytest.mark.one_keras
@pytest.mark.parametrize("nu", [-100.0, -4.0])
def test_the_state_is_bounded_without_nu(nu):
    """By 1. With nu at -4, 1,000 steps of a gate near 1 can reach 1,000 * sigmoid(-4) = 18."""
    keras.utils.set_random_seed(0)
    layer = FastGRNN(UNITS, zeta_initializer=100.0, nu_initializer=nu, return_sequences=True)
    layer.build((None, None, FEATURES))
    layer.cell.bias.assign([np.linspace(-2, 12, UNITS), np.full(UNITS, 3.0)])
    largest = np.max(np.abs(layer(sequences(timesteps=1000))))
    if nu == -100.0:
        # Each of 1,000 steps rounds by at most float32's epsilon.
        assert 0.9 < largest < 1 + 1000 * np.finfo(np.float32).eps
    else:
        assert largest > 15


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.one_keras)])
def test_nu_of_minus_100_is_not_trained(jit):
    """sigmoid(nu) and its gradient are 0 in float32, so zeta is trained and nu is not."""
    layer = FastGRNN(UNITS, nu_initializer=-100.0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((7, FEATURES)), layer])
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=jit)
    model.optimizer.build(model.trainable_variables)  # otherwise fit() of Keras 3 traces twice
    zeta, nu = scalars(layer)
    model.fit(sequences(), state(), epochs=5, verbose=0)
    assert scalars(layer)[0] != zeta and scalars(layer)[1] == nu
    check_export(model)
