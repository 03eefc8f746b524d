"""Random float cells, their integer cells, and random integer cells."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from keras_fastgrnn.export.cell.blocks import FIELDS, MAX_MIX
from keras_fastgrnn.export.cell.calibrate import calibrate
from keras_fastgrnn.export.cell.float_cell import FloatCell
from keras_fastgrnn.export.cell.formats import choose_formats, round_to
from keras_fastgrnn.export.cell.reference import ACTIVATIONS, INPUT_SHIFT, IntegerCell, Matrix
from keras_fastgrnn.micro.affine import choose_affine

# The nonlinearities, written independently of the product.
FLOAT = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "quant_tanh": lambda x: np.clip(x, -1, 1),
    "quant_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
}


@dataclasses.dataclass(frozen=True)
class Shape:
    """The parameters of a random cell. A rank of 0 is full rank; `scale` multiplies W and U (1 is a
    trained cell's size); `density` is the fraction of nonzero weights."""

    units: int = 16
    features: int = 3
    kernel_rank: int = 2
    recurrent_rank: int = 8
    density: float = 1.0
    activation: str = "tanh"
    recurrent_activation: str | None = "sigmoid"
    scale: float = 1.0
    input_scale: float = 1.0
    timesteps: int = 20
    input_dtype: str = "int8"
    output_dtype: str = "int8"
    seed: int = 0


DTYPES = st.sampled_from(["int8", "int16"])


def shapes(max_timesteps=300):
    rank = st.one_of(st.just(0), st.integers(1, 32))
    return st.builds(
        Shape,
        units=st.integers(1, 128),
        features=st.integers(1, 64),
        kernel_rank=rank,
        recurrent_rank=rank,
        density=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
        activation=st.sampled_from(ACTIVATIONS),
        recurrent_activation=st.sampled_from((None, *ACTIVATIONS)),
        scale=st.sampled_from([1.0, 1e-9, 1e-3, 0.1, 10.0]),
        input_scale=st.sampled_from([1.0, 1e-6, 1e-2, 10.0]),
        timesteps=st.integers(1, max_timesteps),
        input_dtype=DTYPES,
        output_dtype=DTYPES,
        seed=st.integers(0, 2**32 - 1),
    ).filter(_fits)


def _fits(shape):
    """Whether one step surely fits the integer model: two relus multiply unbounded values."""
    relus = (shape.activation, shape.recurrent_activation) == ("relu", "relu")
    return not relus or shape.scale * shape.input_scale <= 10


def float_cell(shape):
    rng = np.random.default_rng(shape.seed)

    def matrices(inputs, rank):
        sizes = [(inputs, rank), (rank, shape.units)] if rank else [(inputs, shape.units)]
        return tuple(
            shape.scale ** (1 / len(sizes))
            * rng.normal(0, size[0] ** -0.5, size)
            * (rng.random(size) < shape.density)
            for size in sizes
        )

    gated = shape.recurrent_activation is not None
    return FloatCell(
        kernel=matrices(shape.features, shape.kernel_rank),
        recurrent_kernel=matrices(shape.units, shape.recurrent_rank),
        bias=rng.normal(0, 1, (2 if gated else 1, shape.units)),
        activation=shape.activation,
        recurrent_activation=shape.recurrent_activation,
        zeta=rng.uniform(0.05, 1) if gated else 0.0,
        nu=10 ** rng.uniform(-4, 0),
        beta=0.0 if gated else rng.uniform(0, 1),
    )


def halve_factors(cell, rng):
    """Gives the low-rank factors of a Keras cell random weights, half of them zero."""
    for weight in cell.weights:
        if "kernel_" in weight.name:
            values = rng.normal(0, 0.5, weight.shape)
            values.ravel()[rng.permutation(values.size)[values.size // 2 :]] = 0
            weight.assign(values)


def sequences(shape, n=2):
    """Float `(n, timesteps, features)` with the statistics of a smooth sensor signal."""
    rng = np.random.default_rng([shape.seed, 1])
    x = rng.normal(0, 1, (n, shape.timesteps, shape.features)) + rng.normal(0, 1, shape.features)
    return shape.input_scale * x


def quantize(cell, ranges, input, output):
    """`FloatCell`, `Ranges` and both `Affine` -> `IntegerCell`."""
    return round_to(*choose_formats(cell, ranges, input=input, output=output))


def integer_cell(shape, n=2):
    """Returns `(IntegerCell, FloatCell, input Affine, output Affine)`, calibrated on
    `sequences(shape, n)`. A cell with a relu may grow without bound: it is then calibrated on as
    many steps as fit the integer model."""
    cell, x = float_cell(shape), sequences(shape, n)
    input = choose_affine(x.min(), x.max(), shape.input_dtype)
    timesteps, least = shape.timesteps, 0.0
    while True:
        try:
            ranges, states = calibrate(cell, x[:, :timesteps])
            output = choose_affine(states.min(), max(states.max(), least), shape.output_dtype)
            return quantize(cell, ranges, input, output), cell, input, output
        except ValueError as error:
            if "finer than an int16 state" in str(error):  # all outputs lie below one unit of it
                least = max(4 * least, 2.0**-24)
            elif "relu" not in (shape.activation, shape.recurrent_activation) or timesteps == 1:
                raise
            else:
                timesteps //= 2


def dequantized(cell, input, output):
    """The float cell whose weights are exactly those of an `IntegerCell`.

    Returns:
        `(FloatCell, state_scale, mix_unit)`: the real value of 1 in the integer state, and the
        integer m of a `zeta (1 - z) + nu` of 1.
    """
    one = 32768 >> cell.gate_shift
    input_unit = input.scale * (1 << INPUT_SHIFT[cell.input_dtype])
    state_scale = output.scale * cell.output_multiplier / 2.0**cell.output_shift
    candidate_scale = 2.0**-cell.fraction_bits if cell.activation == "relu" else 2.0**-15
    mix_unit = candidate_scale / state_scale * one * 2.0**cell.mix_shift

    def matrices(integer, unit):
        values = [matrix.values.T * 2.0**-matrix.shift for matrix in integer]
        return (*values[:-1], values[-1] * unit * 2.0**-cell.fraction_bits)

    return (
        FloatCell(
            kernel=matrices(cell.kernel, cell.input_multiplier / input_unit),
            recurrent_kernel=matrices(cell.recurrent_kernel, 1 / state_scale),
            bias=cell.bias * 2.0 ** (cell.bias_shift - cell.fraction_bits),
            activation=cell.activation,
            recurrent_activation=cell.recurrent_activation,
            zeta=cell.zeta / 65536 * one / mix_unit,
            nu=cell.nu / 65536 / mix_unit,
            beta=cell.beta / 32768,
        ),
        state_scale,
        mix_unit,
    )


def plain_cell(kernel, recurrent_kernel, bias, **fields):
    """An `IntegerCell` of the given matrices; its other fields are neutral unless given."""
    neutral = dict(activation="tanh", recurrent_activation="sigmoid", beta=0)
    neutral |= dict(input_dtype="int8", input_zero_point=0, input_multiplier=1)
    neutral |= dict(output_dtype="int8", output_zero_point=0, output_multiplier=1, output_shift=30)
    neutral |= dict(fraction_bits=12, gate_shift=0, bias_shift=0, mix_shift=0, zeta=1, nu=1)
    matrices = {"kernel": kernel, "recurrent_kernel": recurrent_kernel}
    return IntegerCell(**matrices, bias=bias, **neutral | fields)


@st.composite
def integer_cells(draw, least_dim=1, most_dim=40):
    """Any cell that the kernel accepts, often with fields and weights at their limits."""
    limits = {name: (low, high) for name, _, low, high in FIELDS[2]}

    def integer(low, high):
        return draw(st.one_of(st.sampled_from([low, high]), st.integers(low, high)))

    def field(name):
        return integer(*limits[name])

    units, features, kernel_rank, recurrent_rank = (integer(least_dim, most_dim) for _ in range(4))
    activation = draw(st.sampled_from(ACTIVATIONS))
    gate = draw(st.sampled_from((None, *ACTIVATIONS)))
    fraction_bits = field("fraction_bits")
    gate_shift = integer(0, 15 - fraction_bits) if gate == "relu" else 0
    one_minus_z = 65536 if gate in ("tanh", "quant_tanh") else 32768 >> gate_shift
    zeta = integer(0, min(65535, MAX_MIX // one_minus_z)) if gate else 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    input_dtype, output_dtype = draw(DTYPES), draw(DTYPES)

    def values(rows, cols):
        density = draw(st.sampled_from([1.0, 0.4, 0.1, 0.0]))
        if draw(st.booleans()):
            full = rng.integers(-128, 128, (rows, cols))
        else:  # each row of one sign: the largest sums
            full = rng.choice([-128, 127], (rows, 1)).repeat(cols, axis=1)
        return (full * (rng.random((rows, cols)) < density)).astype(np.int8)

    def matrices(name, inputs, rank):
        first, last = field(f"{name}_a_shift"), field(f"{name}_shift")
        if draw(st.booleans()):
            return (Matrix(values(units, inputs), last),)
        return (Matrix(values(rank, inputs), first), Matrix(values(units, rank), last))

    return IntegerCell(
        kernel=matrices("kernel", features, kernel_rank),
        recurrent_kernel=matrices("recurrent_kernel", units, recurrent_rank),
        bias=extremes(rng, np.int16, (2 if gate else 1, units)),
        activation=activation,
        recurrent_activation=gate,
        input_dtype=input_dtype,
        output_dtype=output_dtype,
        input_zero_point=0 if input_dtype == "int16" else field("input_zero_point"),
        input_multiplier=field("input_multiplier"),
        fraction_bits=fraction_bits,
        gate_shift=gate_shift,
        bias_shift=field("bias_shift"),
        mix_shift=field("mix_shift"),
        zeta=zeta,
        nu=integer(0, MAX_MIX - zeta * one_minus_z),
        beta=0 if gate else field("beta"),
        output_multiplier=field("output_multiplier"),
        output_shift=field("output_shift"),
        output_zero_point=0 if output_dtype == "int16" else field("output_zero_point"),
    )


def extremes(rng, dtype, shape):
    """Random integers, half of them the least or the largest of the dtype."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    ends = rng.choice([low, high], shape)
    return np.where(rng.random(shape) < 0.5, ends, rng.integers(low, high + 1, shape)).astype(dtype)
