"""The integer model of a cell in NumPy: the specification.

The C kernel, the TFLite Micro operator and every board compute the bytes of this module.
docs/numerics.md derives the formats and proves that no int32 overflows. This module uses int64, so
that a mistake in the proof shows as a difference.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from keras_fastgrnn.export.cell.sigmoid_table import sigmoid_table

# The position of a name is its code in the options block (docs/format.md).
ACTIVATIONS = ("tanh", "sigmoid", "relu", "quant_tanh", "quant_sigmoid")

# An int16 input times its multiplier has 7 bits more than an int16; an int8 input fits.
INPUT_SHIFT = {"int8": 0, "int16": 7}

_SIGMOID = sigmoid_table().astype(np.int64)


class Matrix(NamedTuple):
    """`values`, int8 `(outputs, inputs)`, and the right shift of its int32 sums."""

    values: np.ndarray
    shift: int


@dataclasses.dataclass(frozen=True)
class Scalars:
    """The arithmetic of an integer cell between its matrices.

    Attributes:
        activation, recurrent_activation: names of nonlinearities; the second is `None` in a
            FastRNN.
        input_multiplier: an input is `(x - zero_point) * multiplier`, without its
            `INPUT_SHIFT` lowest bits.
        fraction_bits: fraction bits of the pre-activation.
        gate_shift: the gate's 1.0 is `32768 >> gate_shift`.
        bias_shift: a bias is `bias << bias_shift` in the pre-activation's format.
        mix_shift, zeta, nu, beta: the state's update.
        output_multiplier, output_shift: int16 state to output.
    """

    activation: str
    recurrent_activation: str | None
    input_multiplier: int
    fraction_bits: int
    gate_shift: int
    bias_shift: int
    mix_shift: int
    zeta: int
    nu: int
    beta: int
    output_multiplier: int
    output_shift: int


@dataclasses.dataclass(frozen=True)
class IntegerCell(Scalars):
    """An integer cell. Every attribute is an integer of the options block or the weights block.

    Attributes:
        kernel, recurrent_kernel: tuples of one `Matrix`, or of two at low rank.
        bias: int16 `(2, units)`, gate and candidate; `(1, units)` in a FastRNN.
        input_dtype, output_dtype: `"int8"` or `"int16"`, what the cell reads and writes.
        input_zero_point, output_zero_point: of these; 0 in int16.
        Others: as in `Scalars`.
    """

    kernel: tuple
    recurrent_kernel: tuple
    bias: np.ndarray
    input_dtype: str
    output_dtype: str
    input_zero_point: int
    output_zero_point: int

    @property
    def units(self):
        return self.bias.shape[1]

    @property
    def features(self):
        return self.kernel[0].values.shape[1]


def round_shift(v, n):
    """`v / 2**n`, rounded half up: the only rounding there is."""
    return (v + ((1 << n) >> 1)) >> n


def clip(v, low, high):
    """`np.clip`, which takes longer than the rest of a step of a small cell."""
    return np.minimum(np.maximum(v, low), high)


def saturate16(v):
    return clip(v, -32768, 32767)


def sigmoid(x):
    """Q3.12 in -32768..32768 -> Q0.15 in 0..32768, by linear interpolation."""
    size = np.abs(x)
    k, fraction = size >> 9, size & 511
    y = _SIGMOID[k] + round_shift((_SIGMOID[k + 1] - _SIGMOID[k]) * fraction, 9)
    return np.where(x < 0, 32768 - y, y)


def activate(name, p, fraction_bits):
    """A bounded nonlinearity of a pre-activation, in Q0.15 with 1.0 = 32768."""
    limit = 8 << fraction_bits
    x = clip(p, -limit, limit) << (12 - fraction_bits)  # Q3.12
    if name == "sigmoid":
        return sigmoid(x)
    if name == "tanh":  # 2 sigmoid(2 x) - 1
        return 2 * sigmoid(clip(2 * x, -32768, 32768)) - 32768
    if name == "quant_sigmoid":  # (x + 1) / 2
        return clip((x + 4096) << 2, 0, 32768)
    if name == "quant_tanh":
        return clip(x << 3, -32768, 32768)
    raise ValueError(f"Unknown activation '{name}': expected one of {', '.join(ACTIVATIONS)}.")


def gate(cell, p):
    if cell.recurrent_activation == "relu":
        bits = cell.fraction_bits + cell.gate_shift
        return clip(p, 0, 1 << bits) << (15 - bits)
    return activate(cell.recurrent_activation, p, cell.fraction_bits)


def candidate(cell, p):
    if cell.activation == "relu":
        return clip(p, 0, 32767)
    return np.minimum(activate(cell.activation, p, cell.fraction_bits), 32767)


def _sums(matrix, v):
    """Returns the shifted int32 sums of a matrix times `v (..., inputs)`.

    The product is in float64, which is exact below 2**53 and uses BLAS; NumPy's int64 does not.
    """
    sums = v.astype(np.float64) @ matrix.values.T.astype(np.float64)
    return round_shift(sums.astype(np.int64), matrix.shift)


def _project(matrices, v):
    """Returns one matrix times `v (..., inputs)`, or two with a saturated int16 between."""
    if len(matrices) == 2:
        v = saturate16(_sums(matrices[0], v))
    return _sums(matrices[-1], v)


def scale_inputs(cell, x):
    """Inputs -> integers within int16, in the format of the kernel's sums."""
    x = (x.astype(np.int64) - cell.input_zero_point) * cell.input_multiplier
    return round_shift(x, INPUT_SHIFT[cell.input_dtype])


def project_inputs(cell, x):
    """The kernel's part of the pre-activations, `(..., units)`, of inputs `x (..., features)`."""
    return _project(cell.kernel, scale_inputs(cell, x))


def step(cell, projected, state):
    """One time step: `project_inputs()` of its inputs and int16 `state (n, units)` -> the next
    state."""
    h = state.astype(np.int64)
    p = projected + _project(cell.recurrent_kernel, h)
    bias = cell.bias.astype(np.int64) << cell.bias_shift
    c = candidate(cell, p + bias[-1])
    z = cell.beta if cell.recurrent_activation is None else gate(cell, p + bias[0])
    m = round_shift(cell.zeta * ((32768 >> cell.gate_shift) - z) + cell.nu, 16)
    v = round_shift(m * c, cell.mix_shift) + z * h
    return saturate16(round_shift(v, 15 - cell.gate_shift)).astype(np.int16)


def output(cell, state):
    """int16 state -> the layer's output."""
    y = round_shift(state.astype(np.int64) * cell.output_multiplier, cell.output_shift)
    limits = np.iinfo(cell.output_dtype)
    return clip(y + cell.output_zero_point, limits.min, limits.max).astype(cell.output_dtype)


def states(cell, x, state=None):
    """Returns the state after each step.

    Args:
        cell: `IntegerCell`.
        x: int8 or int16 `(n, timesteps, features)`, in the order in which the cell reads the steps.
        state: int16 `(n, units)` before the first step; zeros if `None`.

    Returns:
        int16 `(n, timesteps, units)`.
    """
    h = np.empty((*x.shape[:2], cell.units), np.int16)
    state = np.zeros((len(x), cell.units), np.int16) if state is None else state
    projected = project_inputs(cell, x)
    for t in range(x.shape[1]):
        h[:, t] = state = step(cell, projected[:, t], state)
    return h


def run(cell, x, state=None, *, return_sequences=False, go_backwards=False, reverse_output=False):
    """Runs an integer cell over whole sequences.

    Args:
        cell: `IntegerCell`.
        x: int8 or int16 `(n, timesteps, features)`, with `timesteps` at least 1.
        state: int16 `(n, units)`; zeros if `None`.
        return_sequences: whether to return an output for each step, or only for the last.
        go_backwards: whether to read the steps from last to first.
        reverse_output: whether to place the outputs from last to first.

    Returns:
        `(y, state)`: int8 or int16 `(n, timesteps, units)` or `(n, units)`, and the int16 state.
    """
    h = states(cell, x[:, ::-1] if go_backwards else x, state)
    last = h[:, -1]
    if not return_sequences:
        return output(cell, last), last
    return output(cell, h[:, ::-1] if reverse_output else h), last
