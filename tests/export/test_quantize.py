import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from random_cells import (
    Shape,
    dequantized,
    float_cell,
    integer_cell,
    quantize,
    sequences,
    shapes,
)
from tools import TEST_ALL

from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import pack
from keras_fastgrnn.export.cell.calibrate import calibrate
from keras_fastgrnn.export.cell.formats import HEADROOM
from keras_fastgrnn.micro.affine import Affine, choose_affine

# ---- choose_affine ----


@pytest.mark.parametrize(
    ("low", "high"), [(-1, 1), (0, 5), (-3, 0), (2, 5), (-5, -2), (-1e-4, 1e6), (-1e-20, 1e-20)]
)
def test_affine_covers_the_range_and_zero(low, high):
    affine = choose_affine(low, high)
    assert affine.scale == np.float32(affine.scale)
    assert -128 <= affine.zero_point <= 127
    # The rounding of the zero point may cut an end by half a step, and the scale's float32 by more.
    half = affine.scale * (0.5 + 1e-4)
    assert (127 - affine.zero_point) * affine.scale >= max(high, 0) - half
    assert (-128 - affine.zero_point) * affine.scale <= min(low, 0) + half


def test_affine_of_zeros():
    assert choose_affine(0, 0) == Affine(1.0, 0)


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1), (0, math.inf), (-1e300, 1), (0, 1e42)])
def test_affine_of_no_range(low, high):
    with pytest.raises(ValueError, match="Cannot quantise the range .*: leave such samples out"):
        choose_affine(low, high)


# ---- quantize ----


def rms(matrix, moment):
    """The root mean square of each output's sum."""
    return np.sqrt(np.einsum("io,ij,jo->o", matrix, moment, matrix))


def check_half_a_unit(integer, real, unit, unit_error=1e-9):
    integer = np.asarray(integer, float)
    units = np.abs(integer - real / unit)
    assert np.all(units <= 0.5 + unit_error * (np.abs(integer) + 1))


@settings(max_examples=100 if TEST_ALL else 50)
@given(shape=shapes(max_timesteps=40))
def test_integers_are_the_nearest(shape):
    """Each bias and scalar is within half a unit of its float."""
    cell, exact, input, output = integer_cell(shape)
    pack(cell)  # accepts it
    *_, mix_unit = dequantized(cell, input, output)
    # The state's scale is known from the output's multiplier, which is rounded.
    scale_error = 0.5 / cell.output_multiplier

    p_unit = 2.0**-cell.fraction_bits
    check_half_a_unit(cell.bias, exact.bias, p_unit * 2**cell.bias_shift)
    one = 32768 >> cell.gate_shift
    check_half_a_unit(cell.zeta, exact.zeta, one / 65536 / mix_unit, scale_error)
    check_half_a_unit(cell.nu, exact.nu, 1 / 65536 / mix_unit, scale_error)
    check_half_a_unit(cell.beta, exact.beta, 2.0**-15)


BOUNDED = shapes(max_timesteps=40).filter(
    lambda shape: "relu" not in (shape.activation, shape.recurrent_activation)
)


@settings(max_examples=100 if TEST_ALL else 50)
@given(shape=BOUNDED)
def test_sums_are_near(shape):
    cell, exact, input, output = integer_cell(shape)
    rounded, *_ = dequantized(cell, input, output)
    ranges, _ = calibrate(exact, sequences(shape))
    for integer, real, moment in (
        (rounded.kernel, exact.kernel, ranges.input_moment),
        (rounded.recurrent_kernel, exact.recurrent_kernel, ranges.state_moment),
    ):
        off = functools.reduce(np.matmul, integer) - functools.reduce(np.matmul, real)
        # The size of the sums if no terms cancelled: the error of a weight does not shrink when the
        # sum does.
        size = rms(functools.reduce(np.matmul, map(np.abs, real)), np.abs(moment)).max()
        # Each factor's weights are off by half a step, and a step is at most 1/96 of the largest
        # weight; a tiny matrix, whose steps are coarser, is off by less than a step of p.
        assert np.all(rms(off, moment) <= len(real) * size / 192 + 2.0**-cell.fraction_bits)


@pytest.mark.parametrize("kernel_rank", [0, 2])
@pytest.mark.parametrize("recurrent_rank", [0, 8])
@pytest.mark.parametrize("input_scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_weights_use_their_bits(kernel_rank, recurrent_rank, input_scale, seed):
    """A matrix uses at least 3/4 of its range, as the best scale is taken; on the input side 1/64
    less, and the state 15 of its 16 bits: the price of shifts alone. What has a mantissa uses all
    of its 15 bits."""
    shape = Shape(
        kernel_rank=kernel_rank,
        recurrent_rank=recurrent_rank,
        input_scale=input_scale,
        seed=seed,
    )
    cell, exact, _, output = integer_cell(shape)
    for matrix in (*cell.kernel[:-1], *cell.recurrent_kernel):
        assert np.abs(matrix.values).max() >= 95
    assert np.abs(cell.kernel[-1].values).max() >= 94
    assert cell.zeta * 32768 + cell.nu >= 16000 << 16
    assert cell.output_multiplier >= 1 << 14
    _, states = calibrate(exact, sequences(shape))
    state_scale = output.scale * cell.output_multiplier / 2**cell.output_shift
    needed = max(HEADROOM * np.abs(states).max(), exact.zeta + exact.nu)
    # 1.01: the room for the rounding of zeta and nu.
    assert needed * 0.999 <= 32767 * state_scale <= 2 * 1.01 * needed


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("gate", [None, "sigmoid", "tanh", "relu"])
def test_headroom(activation, gate):
    """Nothing saturates while the state stays within the headroom."""
    timesteps = 6 if gate == "relu" else 60  # before it diverges
    shape = Shape(activation=activation, recurrent_activation=gate, timesteps=timesteps)
    cell, exact, input, _ = integer_cell(shape)
    x = sequences(shape)
    h = reference.states(cell, input.quantize(x))
    ranges, _ = calibrate(exact, x)
    assert np.abs(h.astype(int)).max() <= 32767 / (HEADROOM * 0.99)
    if gate == "relu":
        assert 2**cell.gate_shift >= HEADROOM * ranges.gate
    if activation == "relu":
        assert 32767 / 2**cell.fraction_bits >= HEADROOM * ranges.candidate


def test_the_update_of_a_large_state_uses_its_bits():
    shape = Shape()
    exact, x = float_cell(shape), sequences(shape)
    ranges = dataclasses.replace(calibrate(exact, x)[0], state=1000.0)
    cell = quantize(exact, ranges, choose_affine(-4, 4), choose_affine(-1000, 1000))
    assert cell.zeta * 32768 + cell.nu >= 16000 << 16


def test_a_relu_candidate_has_headroom():
    """7 would fit Q3.12; 1.25 times 7 does not."""
    shape = Shape(activation="relu", density=0.0)
    exact = dataclasses.replace(float_cell(shape), bias=np.full((2, 16), 7.0))
    ranges, states = calibrate(exact, sequences(shape))
    output = choose_affine(states.min(), states.max())
    cell = quantize(exact, ranges, Affine(0.1, 0), output)
    assert cell.fraction_bits == 11


@pytest.mark.parametrize("seed", range(8))
def test_no_input_saturates_a_projection_that_is_proven(seed):
    """With one feature the largest projection is known, and at most twice the largest seen."""
    shape = Shape(features=1, seed=seed)
    cell, *_ = integer_cell(shape)
    values, shift = cell.kernel[0]
    x = (np.arange(-128, 128) - cell.input_zero_point) * cell.input_multiplier
    projected = reference.round_shift(np.outer(x, values), shift)
    assert 8192 <= np.abs(projected).max() <= 32767


# ---- Extremes, each accurate or refused ----


def test_a_cell_of_zeros():
    shape = Shape(density=0.0)
    exact = dataclasses.replace(float_cell(shape), bias=np.zeros((2, 16)), zeta=0.0, nu=0.0)
    ranges, states = calibrate(exact, sequences(shape))
    affine = choose_affine(states.min(), states.max())
    cell = quantize(exact, ranges, Affine(0.1, 0), affine)
    pack(cell)
    y, _ = reference.run(cell, np.full((1, 9, 3), 127, np.int8))
    assert not y.any()


@pytest.mark.parametrize("input_scale", [1e-25, 1e-9, 1.0, 1e9, 1e30])
@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e9, 1e30])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_extreme_scales(activation, scale, input_scale):
    shape = Shape(activation=activation, scale=scale, input_scale=input_scale, timesteps=60)
    try:
        cell, exact, input, output = integer_cell(shape)
    except ValueError as error:
        assert "does not fit" in str(error) or "diverges" in str(error)
        assert max(scale, scale * input_scale) > 1e6, "only what is large is refused"
        return
    pack(cell)  # accepts it
    x = sequences(shape)
    _, states = calibrate(exact, x)
    y, _ = reference.run(cell, input.quantize(x), return_sequences=True)
    # No worse than the same cell at ordinary scales, which is off by 1.55 steps of the output.
    error = np.abs((y - float(output.zero_point)) * output.scale - states)
    assert error.max() <= 1.6 * output.scale


def quantize_message(cell, x, **affines):
    ranges, states = calibrate(cell, x)
    affines = {
        "input": choose_affine(x.min(), x.max()),
        "output": choose_affine(states.min(), states.max()),
    } | affines
    with pytest.raises(ValueError) as error:
        quantize(cell, ranges, **affines)
    return str(error.value)


@pytest.mark.parametrize("name", ["input", "output"])
@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_refuses_a_scale(name, scale):
    shape = Shape()
    message = quantize_message(float_cell(shape), sequences(shape), **{name: Affine(scale, 0)})
    assert message.startswith(f"The scale of the {name} is {scale}: it was not calibrated.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bias": np.full((2, 16), 1e10)}, "a bias reaches 1e+10"),
        ({"activation": "relu", "bias": np.full((2, 16), 1e6)}, "the candidate reaches 1e+06"),
        (
            {"recurrent_activation": "relu", "bias": np.full((2, 16), 1e6)},
            "the gate reaches 1e+06",
        ),
        ({"kernel": (np.full((3, 16), 1e6),)}, "its kernel reaches 1e+06 and acts on values up to"),
        (
            {"recurrent_kernel": (np.full((16, 16), 1e8),)},
            "its recurrent_kernel reaches 1e+08 and acts on values up to",
        ),
    ],
)
def test_refuses_large_values(changes, reason):
    shape = Shape(timesteps=1)
    cell = dataclasses.replace(float_cell(shape), **changes)
    message = quantize_message(cell, sequences(shape))
    assert message.startswith("The cell does not fit the integer model: ")
    assert reason in message
    assert message.endswith("Normalise its input, or train with bounded activations.")


def test_refuses_an_output_finer_than_the_state():
    shape = Shape()
    message = quantize_message(float_cell(shape), sequences(shape), output=Affine(1e-12, 0))
    assert message.startswith("The output's scale 1e-12 is finer than an int16 state of this cell")
