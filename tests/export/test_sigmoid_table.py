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
    assert table[0] == 16384
    assert (table[64:] == 32768).all(), "1.0 is a value"
    assert (np.diff(table) >= 0).all()


def test_lines_are_those_of_the_least_squares():
    # The closed form leaves out the fourth derivative and the pinned end: 1 unit, and 3 beside it.
    x = np.arange(64 * 64 + 1) / 512
    hat = np.maximum(0, 1 - np.abs(8 * x[:, None] - np.arange(65)))
    known = hat[:, 0] / 2 + hat[:, 64]
    free, *_ = np.linalg.lstsq(hat[:, 1:64], sigmoid(x) - known)
    distance = np.abs(sigmoid_table()[1:64] - 32768 * free)
    assert distance[:-2].max() < 1.5
    assert distance.max() < 4


def test_interpolation_error():
    x = np.linspace(0, 20, 100_001)
    error = np.interp(x, np.arange(66) / 8, sigmoid_table() / 32768) - sigmoid(x)
    within = error[x < 7.875]
    assert np.abs(within).max() < 1.4e-4
    assert np.abs(error).max() < 3.4e-4
    assert np.sqrt(np.mean(within**2)) < 2.9e-5
    # A twentieth of the largest error: that of entries on the curve is -4.1e-5.
    assert abs(within.mean()) < 2e-6


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
