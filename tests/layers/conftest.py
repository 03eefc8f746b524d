"""Settings of the tests of layers."""

import pytest


@pytest.fixture(autouse=True)
def seed():
    """Gives each test the same weights, whichever tests ran before it: with random ones a gradient
    may be too small to move a float32 weight."""
    # Not above: pytest-xdist would import it once more, before its workers do.
    from keras_fastgrnn.compat import keras

    keras.utils.set_random_seed(0)
