"""Settings of the tests of layers."""

import pytest

from keras_fastgrnn.compat import keras


@pytest.fixture(autouse=True)
def seed():
    """The same weights in each run, whatever tests a worker had before: by chance a gradient may be
    too small for a float32 weight to move."""
    keras.utils.set_random_seed(0)
