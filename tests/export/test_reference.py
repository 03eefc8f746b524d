"""The integer model against float arithmetic, and its sums against int32."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_cells import (
    FLOAT,
    Shape,
    dequantized,
    extremes,
    integer_cell,
    integer_cells,
    plain_cell,
    sequences,
    shapes,
)

from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import MAX_DIM, MAX_MIX, pack
from keras_fastgrnn.export.cell.calibrate import calibrate

SLOPE = {"tanh": 1, "sigmoid": 0.25, "relu": 1, "quant_tanh": 1, "quant_sigmoid": 0.5}
# The largest error of a nonlinearity: that of the table (sigmoid_table.py) plus half a step of
# Q0.15; twice as much for tanh = 2 sigmoid - 1. The others are exact, except 32767 for 1.0.
TABLE_ERROR = 3.4e-4 + 2.0**-16
ERROR = {"tanh": 2 * TABLE_ERROR, "sigmoid": TABLE_ERROR}


@pytest.mark.parametrize(("n", "v", "expected"), [(1, 1, 1), (1, -1, 0), (2, -3, -1), (0, 5, 5)])
def test_round_shift_rounds_half_up(n, v, expected):
    assert reference.round_shift(v, n) == expected


@pytest.mark.parametrize("name", [name for name in reference.ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("fraction_bits", [12, 7, 0])
def test_activation(name, fraction_bits):
    p = np.arange(-(12 << fraction_bits), (12 << fraction_bits) + 1)
    y = reference.activate(name, p, fraction_bits)
    error = np.abs(y / 32768 - FLOAT[name](p / 2**fraction_bits))
    assert error.max() <= ERROR.get(name, 0)
    assert (np.diff(y) >= 0).all()
    assert y[-1] == 32768
    assert y[0] == (-32768 if "tanh" in name else 0)


def test_unknown_activation():
    with pytest.raises(ValueError, match="Unknown activation 'gelu': expected one of tanh, "):
        reference.activate("gelu", np.zeros(1, np.int64), 12)


@pytest.mark.parametrize("gate", (None, *reference.ACTIVATIONS))
def test_an_open_gate_holds_the_state(gate):
    """A gate of 1 and nu = 0 keep every bit of the state for 1,000 steps."""
    cell, *_ = integer_cell(Shape(recurrent_activation=gate))
    opens = 1 if gate == "relu" else 10  # a relu of 10 would multiply
    bias_shift = 3
    bias = np.full((2, 16), opens << (cell.fraction_bits - bias_shift), np.int16)
    cell = dataclasses.replace(
        cell,
        kernel=(reference.Matrix(np.zeros((16, 3), np.int8), 2),),
        recurrent_kernel=(reference.Matrix(np.zeros((16, 16), np.int8), 2),),
        bias=bias if gate else bias[:1],
        bias_shift=bias_shift,
        beta=0 if gate else 32768,
        nu=0,
    )
    state = extremes(np.random.default_rng(0), np.int16, (1, 16))
    _, last = reference.run(cell, np.zeros((1, 1000, 3), np.int8), state)
    np.testing.assert_array_equal(last, state)


@settings(max_examples=100)
@given(shape=shapes(max_timesteps=40))
def test_each_step_is_within_the_rounding_of_the_float_step(shape):
    """One step from the same state differs from the float step only by its roundings.

    The bound is the sum of what docs/numerics.md lists: each rounding by half a unit, carried to
    the state by the slopes of what follows it.
    """
    cell, _, input, output = integer_cell(shape)
    float_cell, state_scale, mix_unit = dequantized(cell, input, output)
    x = input.quantize(sequences(shape))
    h = reference.states(cell, x)
    # A relu cell calibrated on fewer steps may saturate; the float step does not.
    assume((np.abs(h.astype(int)) < 32767).all())
    before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)

    def product(value, matrices):
        for matrix in matrices:
            value = value @ matrix
        return value

    real = before * state_scale
    p = product((x - float(input.zero_point)) * input.scale, float_cell.kernel)
    p = p + product(real, float_cell.recurrent_kernel)
    gate = cell.recurrent_activation
    c = FLOAT[cell.activation](p + float_cell.bias[-1])
    z = FLOAT[gate](p + float_cell.bias[0]) if gate else float_cell.beta
    if cell.activation == "relu":
        c = np.minimum(c, 32767 / 2**cell.fraction_bits)
    if gate == "relu":
        z = np.minimum(z, 2**cell.gate_shift)
    mix = float_cell.zeta * (1 - z) + float_cell.nu
    expected = mix * c + z * real

    p_error = 0.0
    for matrices in (cell.kernel, cell.recurrent_kernel):
        p_error += 0.5
        if len(matrices) == 2:
            last = matrices[1]
            p_error = p_error + 0.5 * np.abs(last.values.astype(float)).sum(axis=1) / 2**last.shift
    if cell.input_dtype == "int16":  # half a unit of the scaled input, through the kernel
        error = np.full(cell.features, 0.5)
        for values, shift in cell.kernel:
            error = np.abs(values.astype(float)) @ error / 2**shift
        p_error = p_error + error
    p_error = p_error / 2**cell.fraction_bits
    c_error = p_error * SLOPE[cell.activation] + ERROR.get(cell.activation, 0) + 2.0**-15
    z_error = p_error * SLOPE[gate] + ERROR.get(gate, 0) if gate else 0.0
    mix_error = float_cell.zeta * z_error + 0.5 / mix_unit
    bound = (
        mix_error * np.abs(c)
        + c_error * np.abs(mix)
        + mix_error * c_error
        + z_error * np.abs(real)
        + (0.5 + 0.5) * state_scale  # of m c, in finer units than the state's, and of the state
    )
    excess = np.abs(h * state_scale - expected) - bound * (1 + 1e-9)
    assert excess.max() <= 0


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "quant_tanh"])
@pytest.mark.parametrize("seed", range(5))
def test_arithmetic_over_whole_sequences(activation, seed):
    """Rounding to int8 weights and inputs causes more than twice the error of the arithmetic on
    them. (How large the former is depends on the cell; test_quantize.py bounds each
    weight's. Over 180 such cells the ratio was 0.04 in the median, 0.30 in the worst.)"""
    shape = Shape(activation=activation, timesteps=128, seed=seed)
    cell, float_cell, input, output = integer_cell(shape, n=20)
    rounded_cell, state_scale, _ = dequantized(cell, input, output)
    x = sequences(shape, n=20)
    int_x = input.quantize(x)

    integer = reference.states(cell, int_x) * state_scale
    _, rounded = calibrate(rounded_cell, (int_x - float(input.zero_point)) * input.scale)
    _, exact = calibrate(float_cell, x)

    def rms(value):
        return np.sqrt(np.mean(np.square(value)))

    assert rms(integer - rounded) < 0.5 * rms(rounded - exact)


def test_flags_of_run():
    shape = Shape()
    cell, _, input, _ = integer_cell(shape)
    x = input.quantize(sequences(shape))
    h = reference.states(cell, x)
    y, last = reference.run(cell, x, return_sequences=True)
    np.testing.assert_array_equal(y, reference.output(cell, h))
    np.testing.assert_array_equal(last, h[:, -1])
    np.testing.assert_array_equal(reference.run(cell, x)[0], y[:, -1])
    reverse, _ = reference.run(cell, x, return_sequences=True, reverse_output=True)
    np.testing.assert_array_equal(reverse, y[:, ::-1])
    backwards, _ = reference.run(cell, x[:, ::-1], return_sequences=True, go_backwards=True)
    np.testing.assert_array_equal(backwards, y)
    _, middle = reference.run(cell, x[:, :7])
    np.testing.assert_array_equal(reference.run(cell, x[:, 7:], middle)[1], last)


class Int32(np.ndarray):
    """int64 values that check that every result and partial sum fits int32."""

    largest = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        inputs = [np.asarray(value) for value in inputs]
        result = getattr(ufunc, method)(*inputs, **kwargs)
        sums = np.abs(inputs[0]) @ np.abs(inputs[1]) if ufunc is np.matmul else np.abs(result)
        Int32.largest = max(Int32.largest, int(sums.max()))
        assert sums.max() < 2**31, f"{ufunc.__name__} reaches {sums.max()}"
        return result.view(Int32)

    def __array_function__(self, function, types, args, kwargs):  # np.where
        return super().__array_function__(function, types, args, kwargs).view(Int32)


def largest_in_a_step(cell, x, state):
    Int32.largest = 0
    projected = reference.project_inputs(cell, x.view(Int32))
    state = reference.step(cell, projected, state.view(Int32))
    assert isinstance(state, Int32), "no operation went unseen"
    reference.output(cell, state)
    return Int32.largest


@settings(max_examples=200)
@given(cell=integer_cells(), seed=st.integers(0, 999))
def test_no_sum_leaves_int32(cell, seed):
    rng = np.random.default_rng(seed)
    x = extremes(rng, cell.input_dtype, (4, cell.features))
    largest_in_a_step(cell, x, extremes(rng, np.int16, (4, cell.units)))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("sign", [1, -1])
def test_largest_pre_activation(sign, dtype):
    least = np.full((MAX_DIM, MAX_DIM), -128, np.int8)
    first = np.full((MAX_DIM, MAX_DIM), -128 if sign > 0 else 127, np.int8)
    # The first factors saturate, at -32768 or 32767 everywhere; the second ones are all -128.
    matrices = (reference.Matrix(first, 0), reference.Matrix(least, 2))
    cell = plain_cell(
        kernel=matrices,
        recurrent_kernel=matrices,
        bias=np.full((2, MAX_DIM), 32767 if sign > 0 else -32768, np.int16),
        input_dtype=dtype,
        input_zero_point=-128 if dtype == "int8" else 0,
        input_multiplier=127,
        bias_shift=15,
    )
    pack(cell)  # accepts it
    x = np.full((1, MAX_DIM), np.iinfo(dtype).max, dtype)
    state = np.full((1, MAX_DIM), 32767, np.int16)
    assert largest_in_a_step(cell, x, state) > 0.998 * 2**31


@pytest.mark.parametrize(
    ("gate", "gate_shift", "zeta", "gate_bias"),
    [
        ("sigmoid", 0, 0, 10),  # z = 1, m = nu
        ("tanh", 0, 32767, -10),  # z = -1, m = 2 zeta + nu
        ("relu", 15, 65535, 32767),  # z = 32768 times its unit, m is negative
        (None, 0, 0, 0),
    ],
)
def test_largest_update(gate, gate_shift, zeta, gate_bias):
    zero = reference.Matrix(np.zeros((2, 2), np.int8), 2)
    one_minus_z = 65536 if gate == "tanh" else 32768 >> gate_shift
    cell = plain_cell(
        kernel=(zero,),
        recurrent_kernel=(zero,),
        # Two units, with candidates 32767 and -32768.
        bias=np.array([[gate_bias] * 2, [10, -10]] if gate else [[10, -10]], np.int16),
        recurrent_activation=gate,
        output_dtype="int16",
        fraction_bits=0,
        gate_shift=gate_shift,
        zeta=zeta,
        nu=MAX_MIX - zeta * one_minus_z,
        beta=0 if gate else 32768,
        output_multiplier=32767,
    )
    pack(cell)  # accepts it
    state = np.array([[32767, 32767], [-32768, -32768]], np.int16)
    assert largest_in_a_step(cell, np.zeros((2, 2), np.int8), state) > 0.998 * 2**31
