import pathlib

import numpy as np
from sigmoid_headers import c_lines, c_table, sigmoid_lines

import keras_fastgrnn.micro
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.sigmoid_table import sigmoid_table


def test_c_headers_are_the_generators():
    folder = pathlib.Path(keras_fastgrnn.micro.__file__).parent / "src"
    assert (folder / "sigmoid_table.h").read_text() == c_table()
    assert (folder / "sigmoid_lines.h").read_text() == c_lines()


def test_lines_give_the_sigmoid_of_every_input():
    rise, value = sigmoid_lines()
    x = np.arange(-32768, 32768)
    k = 64 + (x >> 9)
    y = 16384 + ((rise[k] * x + 256 * value[k] - (x < 0)) >> 9)
    np.testing.assert_array_equal(y, reference.sigmoid(x))
    assert (rise >= 0).all() and (rise < 1024).all()
    assert (value.astype(np.int16) == value).all()


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
