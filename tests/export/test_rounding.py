import numpy as np
import pytest

from keras_fastgrnn.export.cell.rounding import round_matrix, second_factor


def squared_error(matrix, rounded, moment):
    """The mean squared error of each output's sum, added over the outputs."""
    off = rounded - matrix
    return np.einsum("io,ij,jo->", off, moment, off)


def correlated(rng, n):
    """The second moment of n inputs that mostly move together, about a mean other than 0."""
    v = rng.normal(1, 1, (500, 3)) @ rng.normal(0, 1, (3, n)) + rng.normal(0, 0.1, (500, n))
    return v.T @ v / len(v)


@pytest.mark.parametrize("seed", range(20))
def test_correlated_inputs_compensate_each_other(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, 1, (16, 8)) * (rng.random((16, 8)) < 0.7)
    moment = correlated(rng, 16)
    scale = np.abs(matrix).max() / 127
    integers, chosen = round_matrix(matrix, moment, [scale])
    assert chosen == scale
    nearest = np.round(matrix / scale) * scale
    error = squared_error(matrix, integers.T * scale, moment)
    assert error < 0.5 * squared_error(matrix, nearest, moment)  # 0.02 to 0.3 in these 20


@pytest.mark.parametrize("seed", range(20))
def test_takes_the_best_of_the_scales(seed):
    rng = np.random.default_rng(seed)
    matrix, moment = rng.normal(0, 1, (3, 2)), correlated(rng, 3)
    scales = np.abs(matrix).max() / np.arange(96, 128)

    def error(scales):
        integers, scale = round_matrix(matrix, moment, scales)
        return squared_error(matrix, integers.T * scale, moment)

    # The minimised error has a thousandth of the mean square added to each input.
    np.testing.assert_allclose(error(scales), min(error([s]) for s in scales), rtol=0.1)


def test_independent_inputs_are_rounded_to_the_nearest():
    matrix = np.random.default_rng(0).uniform(-100, 100, (9, 5))
    integers, _ = round_matrix(matrix, np.eye(9), [1.0])
    np.testing.assert_array_equal(integers, np.round(matrix).T)


def test_a_zero_stays_zero():
    rng = np.random.default_rng(0)
    matrix = rng.normal(0, 1, (16, 8))
    matrix[rng.random((16, 8)) < 0.5] = 0
    matrix[:, 3] = 0
    integers, _ = round_matrix(matrix, correlated(rng, 16), [np.abs(matrix).max() / 127])
    assert not integers.T[matrix == 0].any()


@pytest.mark.parametrize("largest", [96, 111, 127])
def test_weights_on_a_grid_stay(largest):
    rng = np.random.default_rng(0)
    values = rng.integers(-largest, largest + 1, (16, 8))
    values[0, 0] = largest
    matrix = values * 0.3
    integers, _ = round_matrix(matrix, correlated(rng, 16), matrix.max() / np.arange(96, 128))
    np.testing.assert_array_equal(integers, values.T)


@pytest.mark.parametrize("seed", range(20))
def test_a_second_factor_makes_up_for_the_first(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 1, (16, 8)), rng.normal(0, 1, (8, 12))
    second[rng.random((8, 12)) < 0.5] = 0
    second[:, 3] = 0
    moment = correlated(rng, 16)
    integers, scale = round_matrix(first, moment, [np.abs(first).max() / 127])
    rounded = integers.T * scale
    fitted, of_inputs = second_factor((first, second), rounded, moment)
    np.testing.assert_allclose(of_inputs, rounded.T @ moment @ rounded)
    assert not fitted[second == 0].any()
    error = squared_error(first @ second, rounded @ fitted, moment)
    before = squared_error(first @ second, rounded @ second, moment)
    assert error < 0.7 * before  # 0.03 to 0.59 in these 20


def test_a_second_factor_stays_where_the_first_is_exact():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (16, 8)), rng.normal(0, 1, (8, 12))
    fitted, _ = second_factor((first, second), first, correlated(rng, 16))
    np.testing.assert_allclose(fitted, second, rtol=1e-9)


def test_inputs_of_zero():
    integers, _ = round_matrix(np.full((3, 2), 5.0), np.zeros((3, 3)), [1.0])
    np.testing.assert_array_equal(integers, 5)
    fitted, _ = second_factor((np.ones((3, 2)), np.ones((2, 4))), np.ones((3, 2)), np.zeros((3, 3)))
    np.testing.assert_array_equal(fitted, 1)
