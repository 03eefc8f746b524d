"""What `import keras_fastgrnn` leaves alone. Each test runs in a process of its own."""

import os
import subprocess
import sys

import pytest

import keras_fastgrnn


def run(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return result.returncode, result.stdout.strip(), result.stderr


@pytest.mark.parametrize("legacy, package", [("0", "keras."), ("1", "tf_keras.")])
def test_environment_and_tf_keras_stay(legacy, package):
    code = """
import os, sys
sys.modules["tflite_micro"] = None  # As if it were not installed.
import keras
before = dict(os.environ)
import keras_fastgrnn
assert dict(os.environ) == before
assert "tensorflow_model_optimization" not in sys.modules
import tensorflow as tf
print(tf.keras.Model.__module__)
"""
    code, output, error = run(code, TF_USE_LEGACY_KERAS=legacy)
    assert code == 0, error
    assert output.startswith(package)


def test_other_backends_are_refused():
    # Patched, since no other backend is installed.
    code, _, error = run(
        "import keras; keras.backend.backend = lambda: 'jax'; import keras_fastgrnn"
    )
    assert code != 0
    assert "ValueError: keras_fastgrnn runs on Keras's TensorFlow backend, not on 'jax'." in error


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
