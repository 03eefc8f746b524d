"""Weights from one Keras to the other: Keras 3 to tf_keras and back."""

import os
import subprocess
import sys

import numpy as np
import pytest

from keras_fastgrnn import FastGRNN, FastRNN, FastRNNCell
from keras_fastgrnn.compat import LEGACY, keras


def make_model():
    return keras.Sequential(
        [
            keras.Input((9, 3)),
            keras.layers.Bidirectional(FastGRNN(5, recurrent_rank=2, return_sequences=True)),
            keras.layers.RNN(FastRNNCell(4), return_sequences=True),
            FastRNN(4, "quant_tanh", kernel_rank=2),
            keras.layers.Dense(2),
        ]
    )


SAVE = """
import numpy as np, test_other_keras
model = test_other_keras.make_model()
np.save("y.npy", model.predict(np.load("x.npy"), verbose=0))
np.savez("weights.npz", *model.get_weights())
print(test_other_keras.LEGACY)
"""


@pytest.mark.one_keras
def test_weights(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 9, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    environment = os.environ | {
        "TF_USE_LEGACY_KERAS": "0" if LEGACY else "1",
        "PYTHONPATH": os.path.dirname(__file__),
    }
    command = [sys.executable, "-c", SAVE]
    saved = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.split()[-1] == str(not LEGACY)
    model = make_model()
    with np.load(tmp_path / "weights.npz") as weights:
        model.set_weights(list(weights.values()))
    # The two may add float32 sums of a few terms in another order.
    np.testing.assert_allclose(
        model.predict(x, verbose=0), np.load(tmp_path / "y.npy"), rtol=0, atol=1e-6
    )
