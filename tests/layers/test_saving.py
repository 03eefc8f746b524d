"""Configurations and files restore the same layer."""

import json

import numpy as np
import pytest

import keras_fastgrnn
from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.compat import keras

# Every argument away from its default.
CELL = {
    "activation": "quant_tanh",
    "use_bias": False,
    "kernel_initializer": "glorot_uniform",
    "recurrent_initializer": keras.initializers.RandomNormal(stddev=0.2, seed=1),
    "bias_initializer": "zeros",
    "kernel_rank": 2,
    "recurrent_rank": 3,
    "kernel_regularizer": keras.regularizers.L2(0.1),
    "recurrent_regularizer": keras.regularizers.L1(0.2),
    "bias_regularizer": keras.regularizers.L2(0.3),
    "kernel_constraint": keras.constraints.MaxNorm(4.0),
    "recurrent_constraint": keras.constraints.MaxNorm(5.0),
    "bias_constraint": keras.constraints.NonNeg(),
    "dropout": 0.1,
    "recurrent_dropout": 0.2,
    "seed": 3,
    "scalars_trainable": False,
    "dtype": "mixed_float16",
    "trainable": False,
    "name": "one",
}
SCALARS = {
    FastRNNCell: {"alpha_initializer": -2.0, "beta_initializer": 2.0},
    FastGRNNCell: {
        "zeta_initializer": 6.0,
        "nu_initializer": "zeros",
        "recurrent_activation": "quant_sigmoid",
    },
}
LAYER = {
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "zero_output_for_mask": True,
    "activity_regularizer": keras.regularizers.L2(0.4),
}


def sequences():
    return np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)


@pytest.mark.parametrize("class_", [FastRNNCell, FastGRNNCell, FastRNN, FastGRNN])
def test_config_holds_every_argument(class_):
    cell_class = {FastRNN: FastRNNCell, FastGRNN: FastGRNNCell}.get(class_, class_)
    arguments = {**CELL, **SCALARS[cell_class], **(LAYER if class_ is not cell_class else {})}
    config = class_(5, **arguments).get_config()
    assert set(config) == {"units", *arguments}
    defaults = class_(4).get_config()
    for argument in config:
        assert config[argument] != defaults.get(argument), f"{argument} is not in the configuration"
    copy = class_.from_config(json.loads(json.dumps(config)))
    assert copy.get_config() == config


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_files(tmp_path, suffix):
    def model(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((7, 3))
        x = FastGRNN(4, "relu", "quant_sigmoid", kernel_rank=2, return_sequences=True)(inputs)
        x = keras.layers.Bidirectional(FastRNN(3, "quant_tanh", return_sequences=True))(x)
        x = keras.layers.RNN(FastGRNNCell(3, recurrent_rank=1), return_sequences=True)(x)
        x = keras.layers.RNN([FastRNNCell(3, keras_fastgrnn.quant_sigmoid), FastRNNCell(2)])(x)
        return keras.Model(inputs, x)

    saved, path = model(0), tmp_path / f"model{suffix}"
    if suffix == ".keras":
        saved.save(path)
        loaded = keras.models.load_model(path)
    else:
        saved.save_weights(path)
        loaded = model(1)
        assert np.abs(loaded(sequences()) - saved(sequences())).max() > 1e-3
        loaded.load_weights(path)
    np.testing.assert_array_equal(loaded(sequences()), saved(sequences()))
    loaded.compile("sgd", "mse", run_eagerly=True)
    loaded.train_on_batch(sequences(), np.zeros((2, 2)))


def test_training_resumes_from_a_file(tmp_path):
    """Two steps equal one step, a file, and another: it holds scalars and optimizer state."""
    model = keras.Sequential([keras.Input((7, 3)), FastGRNN(4, kernel_rank=2)])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    y = np.ones((2, 4), np.float32)
    model.train_on_batch(sequences(), y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    for m in (model, loaded):
        m.train_on_batch(sequences(), y)
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
