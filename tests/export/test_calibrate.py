import dataclasses

import numpy as np
import pytest
from random_cells import FLOAT, Shape, float_cell, sequences

from keras_fastgrnn.export.cell import sequences as blocks
from keras_fastgrnn.export.cell.calibrate import calibrate, merged
from keras_fastgrnn.export.cell.reference import ACTIVATIONS


def run_one(cell, x):
    """The paper's equations 2 and 6, for one sequence `(timesteps, features)`.

    Returns the states `(timesteps, units)` and the values of each step by the names of `Ranges`.
    """
    h = np.zeros(cell.units)
    states, seen = [], {name: [0.0] for name in ("kernel", "recurrent_kernel", "candidate", "gate")}
    for x_t in x:
        wx = x_t @ np.linalg.multi_dot([np.eye(cell.features), *cell.kernel])
        uh = h @ np.linalg.multi_dot([np.eye(cell.units), *cell.recurrent_kernel])
        if len(cell.kernel) == 2:
            seen["kernel"].append(np.abs(x_t @ cell.kernel[0]).max())
        if len(cell.recurrent_kernel) == 2:
            seen["recurrent_kernel"].append(np.abs(h @ cell.recurrent_kernel[0]).max())
        if cell.recurrent_activation is None:
            c = FLOAT[cell.activation](wx + uh + cell.bias[0])
            h = cell.nu * c + cell.beta * h
        else:
            z = FLOAT[cell.recurrent_activation](wx + uh + cell.bias[0])
            c = FLOAT[cell.activation](wx + uh + cell.bias[1])
            h = (cell.zeta * (1 - z) + cell.nu) * c + z * h
            seen["gate"].append(np.abs(z).max())
        seen["candidate"].append(np.abs(c).max())
        states.append(h)
    return np.array(states), seen


@pytest.mark.parametrize("kernel_rank", [0, 2])
@pytest.mark.parametrize("recurrent_rank", [0, 4])
@pytest.mark.parametrize("gate", (None, *ACTIVATIONS))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_states_and_ranges(activation, gate, kernel_rank, recurrent_rank):
    shape = Shape(
        units=5,
        activation=activation,
        recurrent_activation=gate,
        kernel_rank=kernel_rank,
        recurrent_rank=recurrent_rank,
        scale=0.3,
        timesteps=6,
    )
    cell, x = float_cell(shape), sequences(shape, n=3)
    ranges, states = calibrate(cell, x)
    expected, seen = zip(*(run_one(cell, sequence) for sequence in x), strict=True)
    # Both are float64; the sums differ in order.
    np.testing.assert_allclose(states, expected, rtol=1e-12, atol=1e-12)
    for name in seen[0]:
        largest = max(max(one[name]) for one in seen)
        np.testing.assert_allclose(getattr(ranges, name), largest, rtol=1e-12)
    np.testing.assert_allclose(ranges.state, np.abs(expected).max(), rtol=1e-12)


def test_runs_of_several_lengths_are_merged():
    """The result is that of one run over all sequences."""
    shape = Shape()
    cell, x = float_cell(shape), sequences(shape, n=6)
    parts = [(x[:2], 20), (x[2:], 5)]
    ranges = merged([calibrate(cell, x[:, :t])[0] for x, t in parts], [2 * 20, 4 * 5])
    states = [calibrate(cell, x[:, :t])[1].reshape(-1, cell.units) for x, t in parts]
    states = np.concatenate(states)
    np.testing.assert_allclose(ranges.state, np.abs(states).max(), rtol=1e-12)
    moment = states.T @ states / len(states)
    np.testing.assert_allclose(ranges.state_moment, moment, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (5, 3), (2, 5, 4), (1, 2, 5, 3)])
def test_wrong_shape(shape):
    expected = r"have shape .*; expected \(n, timesteps, 3\) with n and timesteps at least 1"
    with pytest.raises(ValueError, match=expected):
        calibrate(float_cell(Shape()), np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value):
    x = np.zeros((2, 5, 3))
    x[1, 2, 1] = value
    with pytest.raises(ValueError, match="hold NaN or infinity: leave such samples out"):
        calibrate(float_cell(Shape()), x)


def test_diverging_state():
    shape = Shape(activation="relu", recurrent_activation="relu", timesteps=300)
    cell = float_cell(shape)
    cell = dataclasses.replace(cell, bias=np.full((2, 16), 5.0))
    with pytest.raises(ValueError, match="diverges within 300 time steps"):
        calibrate(cell, sequences(shape))


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("values", [1, 7, 40, 100])
def test_blocks_change_nothing(monkeypatch, values, return_sequences):
    """Blocks of one sample, of several samples, and blocks that end within a sample."""
    shape = Shape(units=5, recurrent_rank=4, timesteps=6)
    cell, x = float_cell(shape), sequences(shape, n=7)
    expected_ranges, expected = calibrate(cell, x)
    monkeypatch.setattr(blocks, "_STEP_VALUES", values)
    monkeypatch.setattr(blocks, "_BLOCK_VALUES", 2 * values)
    ranges, states = calibrate(cell, x, return_sequences=return_sequences)
    # The same float64 operations; BLAS may sum the rows of another matrix in another order.
    kept = expected if return_sequences else expected[:, -1:]
    np.testing.assert_allclose(states, kept, rtol=1e-12, atol=1e-14)
    for field in dataclasses.fields(ranges):
        found = (getattr(one, field.name) for one in (ranges, expected_ranges))
        np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)
