"""`import keras_fastgrnn` leaves the environment and other Kerases alone.

Tests that choose a Keras run in a process of their own.
"""

import os
import re
import runpy
import subprocess
import sys

import pytest

import keras_fastgrnn

pytestmark = pytest.mark.one_keras  # each test sets the Keras of its process
test_all = pytest.mark.test_all


def run(code, legacy):
    """Runs code with TF_USE_LEGACY_KERAS, which `None` unsets."""
    environment = os.environ | {"TF_USE_LEGACY_KERAS": legacy}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={name: value for name, value in environment.items() if value is not None},
    )
    return result.returncode, result.stdout.strip(), result.stderr


@pytest.mark.parametrize(
    "legacy, package",
    [
        (None, "keras"),
        pytest.param("", "keras", marks=test_all),
        pytest.param("0", "keras", marks=test_all),
        pytest.param("1", "tf_keras", marks=test_all),
        pytest.param("True", "tf_keras", marks=test_all),
    ],
)
def test_environment_and_tf_keras_stay(legacy, package):
    code = """
import os, sys
sys.modules["tflite_micro"] = None  # as if it were not installed
before = dict(os.environ)
import keras_fastgrnn, keras_fastgrnn.export, keras_fastgrnn.pruning
assert dict(os.environ) == before
import tensorflow as tf
package = tf.keras.Model.__module__.split(".")[0]
# tfmot needs tf_keras, and is slow to load.
assert ("tensorflow_model_optimization" in sys.modules) == (package == "tf_keras")
assert issubclass(keras_fastgrnn.FastGRNN, tf.keras.layers.RNN)
assert issubclass(keras_fastgrnn.FastGRNNCell, tf.keras.layers.Layer)
keras_fastgrnn.pruning.three_phases(0.5, 0.5, 30)  # loads tfmot
assert "tensorflow_model_optimization" in sys.modules
assert dict(os.environ) == before
assert tf.keras.Model.__module__.split(".")[0] == package
print(package)
"""
    code, output, error = run(code, legacy)
    assert code == 0, error
    assert output == package


@pytest.mark.parametrize(
    "first, package",
    [
        pytest.param("tf.keras.Model", "keras", marks=test_all),
        pytest.param("keras_fastgrnn", "keras", marks=test_all),  # as three_phases() imports it
        ("0", "tf_keras"),
    ],
)
def test_tfmot_chooses_the_keras_only_if_none_is_loaded(first, package):
    code = f"""
import tensorflow as tf
{"import keras_fastgrnn" if first == "keras_fastgrnn" else first}
import tensorflow_model_optimization
import keras_fastgrnn
assert issubclass(keras_fastgrnn.FastGRNN, tf.keras.layers.Layer)
print(tf.keras.Model.__module__.split(".")[0])
"""
    code, output, error = run(code, "0")
    assert code == 0, error
    assert output == package


def test_other_backends_are_refused(monkeypatch):
    # Patched, since no other backend is installed.
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    message = "keras_fastgrnn runs on Keras's TensorFlow backend, not on 'jax'."
    with pytest.raises(ValueError, match=re.escape(message)):
        runpy.run_module("keras_fastgrnn.compat")  # which every other module imports first


def test_public_names():
    assert set(keras_fastgrnn.__all__) == {
        "FastGRNN",
        "FastGRNNCell",
        "FastRNN",
        "FastRNNCell",
        "quant_sigmoid",
        "quant_tanh",
    }
    assert all(hasattr(keras_fastgrnn, name) for name in keras_fastgrnn.__all__)
    assert keras_fastgrnn.__version__.count(".") == 2
