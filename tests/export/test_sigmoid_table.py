import pathlib

import numpy as np

import keras_fastgrnn.micro
from keras_fastgrnn.export.sigmoid_table import c_header, sigmoid_table


def test_c_header_is_the_generators():
    header = pathlib.Path(keras_fastgrnn.micro.__file__).parent / "src" / "sigmoid_table.h"
    assert header.read_text() == c_header()


def test_entries():
    table = sigmoid_table()
    sigmoid = 1 / (1 + np.exp(-np.arange(64) / 8))
    np.testing.assert_allclose(table[:64] / 32768, sigmoid, rtol=0, atol=2.0**-16)
    assert table[0] == 16384
    assert (table[64:] == 32768).all(), "1.0 is a value"
    assert (np.diff(table) >= 0).all()


def test_interpolation_error():
    x = np.linspace(0, 20, 100_001)
    error = np.abs(np.interp(x, np.arange(66) / 8, sigmoid_table() / 32768) - 1 / (1 + np.exp(-x)))
    assert error[x < 7.875].max() < 2.1e-4
    assert error.max() < 3.4e-4
