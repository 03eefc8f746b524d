"""Float cell + ranges -> integer cell.

Shifts alone rescale sums, so the file stores no multipliers and the chip computes none. In return,
the product of the scales from an input to the pre-activation has to be a power of two. On the
recurrent side the scale of the int16 state takes up the slack, at most one bit of sixteen; on the
input side one integer multiplier of 7 bits does. docs/numerics.md has the derivation.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from keras_fastgrnn.export.cell.reference import INPUT_SHIFT, IntegerCell, Matrix, Scalars
from keras_fastgrnn.export.cell.rounding import round_matrix, second_factor
from keras_fastgrnn.micro.affine import Affine

# The int16 state, and a relu gate and candidate, cover at least this times the largest magnitude
# seen in calibration.
HEADROOM = 1.25
# The same for the int16 values between two low-rank factors, unless a smaller bound is proven.
PROJECTION_HEADROOM = 2.0

# Factors by which a matrix's scale may exceed the finest scale that holds its weights. The factor
# with the least error is chosen.
_STRETCH = 127 / np.arange(127, 95, -1)

# The least shift of an accumulator into the pre-activation, and the largest shift of any
# accumulator (docs/numerics.md, "No overflow").
_MIN_SUM_SHIFT, _MAX_SHIFT = 2, 22
_MAX_FRACTION_BITS = 12
_MAX_MIX = 32700  # below 32767, to leave room for the rounding of zeta and nu


class MatrixFormat(NamedTuple):
    """The scale of a matrix's weights, and the right shift of its sums."""

    scale: float
    shift: int


@dataclasses.dataclass(frozen=True)
class Formats(Scalars):
    """An integer cell without its weights and biases.

    Attributes:
        input, output: `Affine` of the tensors that the cell reads and writes.
        kernel, recurrent_kernel: tuples of one `MatrixFormat`, or of two at low rank.
        Others: as in `Scalars`.
    """

    input: Affine
    output: Affine
    kernel: tuple
    recurrent_kernel: tuple

    @property
    def input_shift(self):
        """The bits that an input loses after its multiplication."""
        return INPUT_SHIFT[self.input.dtype]

    @property
    def input_unit(self):
        """The real value of 1 in the input's format for the kernel's sums."""
        return self.input.scale * (1 << self.input_shift) / self.input_multiplier

    @property
    def state_scale(self):
        """The scale of the int16 state."""
        exponent = self.fraction_bits + sum(shift for _, shift in self.recurrent_kernel)
        return 2.0**-exponent / math.prod(scale for scale, _ in self.recurrent_kernel)


class _Misfit(ValueError):
    """The pre-activation needs fewer fraction bits."""


def round_to(formats, cell):
    """Rounds each weight and bias of a cell to the nearest value of its format.

    Args:
        formats: `Formats`.
        cell: `FloatCell`.

    Returns:
        `IntegerCell`.
    """

    def matrices(values, formats):
        return tuple(
            Matrix(np.clip(np.round(v.T / scale), -127, 127).astype(np.int8), shift)
            for v, (scale, shift) in zip(values, formats, strict=True)
        )

    bias = np.round(cell.bias * 2.0 ** (formats.fraction_bits - formats.bias_shift))
    return IntegerCell(
        **{field.name: getattr(formats, field.name) for field in dataclasses.fields(Scalars)},
        kernel=matrices(cell.kernel, formats.kernel),
        recurrent_kernel=matrices(cell.recurrent_kernel, formats.recurrent_kernel),
        bias=np.clip(bias, -32768, 32767).astype(np.int16),
        input_dtype=formats.input.dtype,
        output_dtype=formats.output.dtype,
        input_zero_point=formats.input.zero_point,
        output_zero_point=formats.output.zero_point,
    )


def choose_formats(cell, ranges, *, input, output):
    """Chooses a cell's formats, and moves its weights to values that int8 can hold.

    Args:
        cell: `FloatCell`.
        ranges: `Ranges`, from `calibrate()`.
        input: `Affine` of the tensor that the cell reads.
        output: `Affine` of the tensor that the cell writes.

    Returns:
        `(Formats, FloatCell)`: the cell's matrices have the real values of their integers.

    Raises:
        ValueError: if the ranges fit no format.
    """
    for name, affine in (("input", input), ("output", output)):
        if not 0 < affine.scale < math.inf:
            raise ValueError(
                f"The scale of the {name} is {affine.scale}: it was not calibrated. Give "
                "representative samples in which it takes several values."
            )
    for fraction_bits in range(_MAX_FRACTION_BITS, -1, -1):
        try:
            return _choose_formats(cell, ranges, input, output, fraction_bits)
        except _Misfit as misfit:
            reason = misfit
    raise ValueError(
        f"The cell does not fit the integer model: {reason}. Normalise its input, or train with "
        "bounded activations."
    )


def _choose_formats(cell, ranges, input, output, fraction_bits):
    gate_shift = _gate_shift(cell, ranges, fraction_bits)
    candidate_scale = _candidate_scale(cell, ranges, fraction_bits)
    bias_shift = _bias_shift(cell, fraction_bits)
    one = 32768 >> gate_shift
    largest_mix = _largest_mix(cell, float(1 << gate_shift))
    state_scale = max(
        HEADROOM * ranges.state / 32767,
        # A single update can at most fill the state; a millionth more allows for the rounding.
        largest_mix * candidate_scale * one / _MAX_MIX * (1 + 1e-6),
    )
    recurrent_kernel, recurrent_formats, state_scale = _recurrent_matrices(
        cell, ranges, state_scale, fraction_bits
    )
    kernel, kernel_formats, input_multiplier = _input_matrices(cell, ranges, input, fraction_bits)

    # The integer of a mix of 1; the shift makes the largest mix fill 15 bits.
    mix_unit = candidate_scale / state_scale * one
    mix_shift = min(15, _floor_log2(_MAX_MIX / (largest_mix * mix_unit)))
    mix_unit *= 2.0**mix_shift
    output_multiplier, output_shift = _output_rescaling(state_scale, output)
    formats = Formats(
        input=input,
        output=output,
        kernel=kernel_formats,
        recurrent_kernel=recurrent_formats,
        activation=cell.activation,
        recurrent_activation=cell.recurrent_activation,
        input_multiplier=input_multiplier,
        fraction_bits=fraction_bits,
        gate_shift=gate_shift,
        bias_shift=bias_shift,
        mix_shift=mix_shift,
        zeta=round(cell.zeta * mix_unit * 65536 / one),
        nu=round(cell.nu * mix_unit * 65536),
        beta=round(cell.beta * 32768),
        output_multiplier=output_multiplier,
        output_shift=output_shift,
    )
    return formats, dataclasses.replace(cell, kernel=kernel, recurrent_kernel=recurrent_kernel)


def _gate_shift(cell, ranges, fraction_bits):
    """Returns the bits that a relu gate needs above 1."""
    if cell.recurrent_activation != "relu":
        return 0
    gate_shift = max(0, _ceil_log2(HEADROOM * ranges.gate))
    if gate_shift + fraction_bits > 15:
        raise _Misfit(f"the gate reaches {ranges.gate:g}")
    return gate_shift


def _candidate_scale(cell, ranges, fraction_bits):
    """Returns the scale of the int16 candidate: a relu keeps the scale of the pre-activation."""
    if cell.activation != "relu":
        return 2.0**-15
    scale = 2.0**-fraction_bits
    if HEADROOM * ranges.candidate > 32767 * scale:
        raise _Misfit(f"the candidate reaches {ranges.candidate:g}")
    return scale


def _bias_shift(cell, fraction_bits):
    largest = np.max(np.abs(cell.bias))
    shift = max(0, _ceil_log2(largest * 2.0**fraction_bits / 32767))
    if shift > 15:
        raise _Misfit(f"a bias reaches {largest:g}")
    return shift


def _largest_mix(cell, high_gate):
    """Returns the largest magnitude of `zeta (1 - z) + nu` and of the stored product in it."""
    low_gate = -1.0 if cell.recurrent_activation in ("tanh", "quant_tanh") else 0.0
    return max(
        cell.zeta * (1 - low_gate) + cell.nu,
        abs(cell.zeta * (1 - high_gate) + cell.nu),
        cell.zeta * high_gate,
        2.0**-30,  # a sigmoid can underflow to 0, and a scale cannot be
    )


def _output_rescaling(state_scale, output):
    """Returns `(multiplier, shift)` from the int16 state to the output."""
    shift = min(30, _floor_log2(32767 * output.scale / state_scale))
    if shift < 0:
        raise ValueError(
            f"The output's scale {output.scale:g} is finer than an int16 state of this cell can be "
            f"({state_scale:g}). Scale the weights so that the state is of the order of 1."
        )
    # 0 would be exact for a state below 2**-31 of the output's scale; 1 is as good.
    return max(1, round(state_scale / output.scale * 2.0**shift)), shift


def _recurrent_matrices(cell, ranges, state_scale, fraction_bits):
    """Returns `U` (or its factors) rounded to int8, its formats, and the state's scale, raised by
    less than 2 to fit them."""
    matrices = cell.recurrent_kernel
    rounded, last, moment = _round_first(matrices, ranges.state_moment)
    rounded.append(round_matrix(last, moment, _full_scale(last) * _STRETCH))
    scales = [scale for _, scale in rounded]
    total = _floor_log2(1 / (state_scale * math.prod(scales))) - fraction_bits
    shifts = _shifts(
        "recurrent_kernel",
        matrices,
        total,
        unit=state_scale * scales[0],
        bound=32767 * state_scale,
        projected=ranges.recurrent_kernel,
    )
    fitted = 2.0 ** -(fraction_bits + sum(shifts)) / math.prod(scales)
    if fitted > 2 * state_scale:  # a tiny matrix: coarser weights, not a coarser state
        coarser = scales[-1] * fitted / state_scale
        rounded[-1] = round_matrix(last, moment, [coarser])
        fitted = state_scale
    return *_with_shifts(rounded, shifts), fitted


def _input_matrices(cell, ranges, input, fraction_bits):
    """Returns `W` (or its factors) rounded to int8, its formats, and the input multiplier that
    makes the scales agree."""
    matrices = cell.kernel
    rounded, last, moment = _round_first(matrices, ranges.input_moment)
    scales = [*(scale for _, scale in rounded), _full_scale(last)]
    input_scale = input.scale * (1 << INPUT_SHIFT[input.dtype])
    exact = input_scale * math.prod(scales) * 2.0**fraction_bits  # multiplier / 2**(sum of shifts)
    shifts = _shifts(
        "kernel",
        matrices,
        total=_floor_log2(127 / exact),
        # The multiplier is not known yet; 127 gives the finest possible unit.
        unit=input_scale * scales[0] / 127,
        bound=float(np.abs(input.limits).max()),
        projected=ranges.kernel,
    )
    exact *= 2.0 ** sum(shifts)
    least = min(max(1, math.ceil(exact)), 127)
    most = min(max(least, math.floor(exact * _STRETCH[-1])), 127)
    unit = scales[-1] / exact
    rounded.append(round_matrix(last, moment, unit * np.arange(least, most + 1)))
    return *_with_shifts(rounded, shifts), round(rounded[-1][1] / unit)


def _round_first(matrices, moment):
    """Rounds the first of two factors, if there are two.

    Returns:
        `(rounded, last, moment)`: a list of the results of `round_matrix()`, the matrix that is
        left to round, and the second moment of its input.
    """
    if len(matrices) == 1:
        return [], matrices[0], moment
    values, scale = round_matrix(matrices[0], moment, _full_scale(matrices[0]) * _STRETCH)
    return [(values, scale)], *second_factor(matrices, values.T * scale, moment)


def _shifts(name, matrices, total, *, unit, bound, projected):
    """Returns the right shift of each matrix's sums; together `total`, or less at their limits.

    `unit`: the finest scale of the first matrix's sums. `bound`: the largest magnitude of its
    input. `projected`: the largest magnitude seen between two factors.
    """
    first = 0
    if len(matrices) == 2:
        proven = bound * float(np.max(np.sum(np.abs(matrices[0]), axis=0)))
        needed = _ceil_log2(min(PROJECTION_HEADROOM * projected, proven) / (32767 * unit))
        first = min(max(0, needed, total - _MAX_SHIFT), _MAX_SHIFT)
    last = min(total - first, _MAX_SHIFT)
    if last < _MIN_SUM_SHIFT:
        largest = max(np.max(np.abs(matrix)) for matrix in matrices)
        raise _Misfit(f"its {name} reaches {largest:g} and acts on values up to {bound:g}")
    return [first, last] if len(matrices) == 2 else [last]


def _with_shifts(rounded, shifts):
    """Results of `round_matrix()` -> the real values of the matrices, and their formats."""
    return (
        tuple(values.T * scale for values, scale in rounded),
        tuple(MatrixFormat(s, shift) for (_, s), shift in zip(rounded, shifts, strict=True)),
    )


def _full_scale(matrix):
    """The scale at which the largest weight is 127."""
    return max(float(np.max(np.abs(matrix))), 1e-30) / 127


def _ceil_log2(value):
    """The least n with value <= 2**n."""
    return math.ceil(math.log2(value)) if value > 0 else -1000


def _floor_log2(value):
    return math.floor(math.log2(value))
