"""Integer cell <-> the two blocks of bytes a kernel reads (docs/format.md)."""

import struct

import numpy as np

from keras_fastgrnn.export.cell.reference import ACTIVATIONS, IntegerCell, Matrix

VERSION = 2
MAX_DIM = 511  # of units, features and ranks: docs/numerics.md, "No overflow"
MAX_PAIRS = 255  # columns of a matrix in pairs
MAX_MIX = 0x7FFF7FFF  # what rounds to 32767 in the upper half of an int32

DENSE, BITMAP, PAIRS = range(3)  # how a matrix is stored

# The density below which pairs are faster than dense.
FAST_DENSITY = 0.25

# The options block in its order, little-endian: name, struct code, least, most.
FIELDS = (
    ("version", "B", VERSION, VERSION),
    ("cell", "B", 0, 1),
    ("activation", "B", 0, len(ACTIVATIONS) - 1),
    ("recurrent_activation", "B", 0, len(ACTIVATIONS) - 1),
    ("flags", "B", 0, 15),
    ("encodings", "B", 0, 0b10101010),
    ("units", "H", 1, MAX_DIM),
    ("features", "H", 1, MAX_DIM),
    ("kernel_rank", "H", 0, MAX_DIM),
    ("recurrent_rank", "H", 0, MAX_DIM),
    ("input_zero_point", "b", -128, 127),
    ("input_multiplier", "B", 1, 127),
    ("kernel_a_shift", "B", 0, 22),
    ("kernel_shift", "B", 2, 22),
    ("recurrent_kernel_a_shift", "B", 0, 22),
    ("recurrent_kernel_shift", "B", 2, 22),
    ("fraction_bits", "B", 0, 12),
    ("gate_shift", "B", 0, 15),
    ("bias_shift", "B", 0, 15),
    ("mix_shift", "B", 0, 15),
    ("zeta", "H", 0, 65535),
    ("beta", "H", 0, 32768),
    ("nu", "I", 0, MAX_MIX),
    ("output_multiplier", "H", 1, 32767),
    ("output_shift", "B", 0, 30),
    ("output_zero_point", "b", -128, 127),
)
_OPTIONS = struct.Struct("<" + "".join(code for _, code, _, _ in FIELDS))
SIZE = _OPTIONS.size

_FLAGS = ("return_sequences", "go_backwards", "reverse_output", "stateful")  # from bit 0 up
_SHIFTS = ("kernel_a_shift", "kernel_shift", "recurrent_kernel_a_shift", "recurrent_kernel_shift")
# The fields that are attributes of an IntegerCell by the same name.
_SCALARS = (
    "input_zero_point",
    "input_multiplier",
    "fraction_bits",
    "gate_shift",
    "bias_shift",
    "mix_shift",
    "zeta",
    "beta",
    "nu",
    "output_multiplier",
    "output_shift",
    "output_zero_point",
)


def pack(
    cell,
    *,
    return_sequences=False,
    go_backwards=False,
    reverse_output=False,
    stateful=False,
    optimize="size",
):
    """Writes a cell.

    Args:
        cell: `IntegerCell`.
        return_sequences, go_backwards, reverse_output, stateful: booleans, for the kernel's run.
        optimize: `"size"`: each matrix takes its smallest encoding. `"speed"`: pairs where few
            weights are nonzero, else dense. Or `DENSE`, `BITMAP` or `PAIRS`, for all of them.

    Returns:
        `(options, weights)`: bytes.

    Raises:
        ValueError: if units, features or a rank is above 511, or any field out of its range.
    """
    gated = cell.recurrent_activation is not None
    flags = (return_sequences, go_backwards, reverse_output, stateful)
    fields = {
        "version": VERSION,
        "cell": int(gated),
        "activation": ACTIVATIONS.index(cell.activation),
        "recurrent_activation": ACTIVATIONS.index(cell.recurrent_activation) if gated else 0,
        "flags": sum(bool(flag) << i for i, flag in enumerate(flags)),
        "encodings": 0,
        "units": cell.units,
        "features": cell.features,
        "kernel_rank": _rank(cell.kernel),
        "recurrent_rank": _rank(cell.recurrent_kernel),
    }
    fields |= {name: getattr(cell, name) for name in _SCALARS}
    weights = b""
    matrices = _slots(cell.kernel) + _slots(cell.recurrent_kernel)
    for i, (name, matrix) in enumerate(zip(_SHIFTS, matrices, strict=True)):
        fields[name] = 0 if matrix is None else matrix.shift
        if matrix is not None:
            encoding, data = _pack_matrix(matrix.values, optimize)
            fields["encodings"] |= encoding << 2 * i
            weights += data
    _check(fields, "Change the layer.")
    options = _OPTIONS.pack(*(fields[name] for name, *_ in FIELDS))
    return options, weights + cell.bias.astype("<i2").tobytes()


def unpack(options, weights):
    """Reads what `pack()` wrote, and refuses what the C kernel's `fastgrnn_init()` refuses.

    Returns:
        `(IntegerCell, flags)`, flags as keyword arguments of `pack()`.

    Raises:
        ValueError: if a block is of another version or size, or any field out of its range.
    """
    damaged = "The file is damaged: export the model again."
    if options[:1] and options[0] != VERSION:
        raise ValueError(
            f"The options block is of version {options[0]}; this package reads version {VERSION}. "
            "Export the model again."
        )
    if len(options) != SIZE:
        raise ValueError(f"The options block has {len(options)} bytes, not {SIZE}. {damaged}")
    fields = dict(zip((name for name, *_ in FIELDS), _OPTIONS.unpack(options), strict=True))
    _check(fields, damaged)
    units, gated = fields["units"], fields["cell"] == 1
    position = 0

    def read(size, dtype=np.int8):
        nonlocal position
        size *= np.dtype(dtype).itemsize
        if position + size > len(weights):
            raise ValueError(
                f"The weights block has {len(weights)} bytes; its cell needs at least "
                f"{position + size}. {damaged}"
            )
        position += size
        return np.frombuffer(weights[position - size : position], dtype)

    def matrix(i, rows, cols):
        size, encoding = rows * cols, fields["encodings"] >> 2 * i & 3
        if encoding == DENSE:
            values = read(size)
        elif encoding == BITMAP:
            bits = np.unpackbits(read(-(-size // 8), np.uint8), bitorder="little").astype(bool)
            if bits[size:].any():
                raise ValueError(f"A bitmap has bits set past its {size} weights. {damaged}")
            values = np.zeros(size, np.int8)
            values[bits[:size]] = read(int(bits.sum()))
        else:
            values = np.zeros((rows, cols), np.int8)
            for row, count in enumerate(read(rows, np.uint8).tolist()):
                pairs = read(2 * count).reshape(count, 2)
                index = pairs[:, 0].astype(np.uint8)
                if (index >= cols).any() or (np.diff(index.astype(int)) <= 0).any():
                    raise ValueError(
                        f"The columns of row {row} do not ascend below {cols}. {damaged}"
                    )
                values[row, index] = pairs[:, 1]
        return Matrix(values.reshape(rows, cols), fields[_SHIFTS[i]])

    def matrices(i, inputs, rank):
        if rank == 0:
            return (matrix(i + 1, units, inputs),)
        return (matrix(i, rank, inputs), matrix(i + 1, units, rank))

    cell = IntegerCell(
        kernel=matrices(0, fields["features"], fields["kernel_rank"]),
        recurrent_kernel=matrices(2, units, fields["recurrent_rank"]),
        bias=read((1 + gated) * units, "<i2").reshape(-1, units),
        activation=ACTIVATIONS[fields["activation"]],
        recurrent_activation=ACTIVATIONS[fields["recurrent_activation"]] if gated else None,
        **{name: fields[name] for name in _SCALARS},
    )
    if position != len(weights):
        raise ValueError(
            f"The weights block has {len(weights)} bytes; its cell needs {position}. {damaged}"
        )
    return cell, {name: bool(fields["flags"] >> i & 1) for i, name in enumerate(_FLAGS)}


def _check(fields, advice):
    """Raises ValueError for a field out of its range; `fastgrnn_init()` draws the same lines."""

    def require(name, low, high):
        if not low <= fields[name] <= high:
            raise ValueError(
                f"{name} is {fields[name]}; the kernel takes {low} to {high} (docs/format.md). "
                f"{advice}"
            )

    for name, _, low, high in FIELDS:
        require(name, low, high)
    gate = ACTIVATIONS[fields["recurrent_activation"]]
    if fields["cell"] == 0:
        require("recurrent_activation", 0, 0)
        require("zeta", 0, 0)
        gate = None
    else:
        require("beta", 0, 0)
    require("gate_shift", 0, 15 - fields["fraction_bits"] if gate == "relu" else 0)
    for i, rank, inputs in ((0, "kernel_rank", "features"), (2, "recurrent_rank", "units")):
        encodings = [fields["encodings"] >> 2 * j & 3 for j in (i, i + 1)]
        cols = [fields[inputs], fields[rank] or fields[inputs]]
        if fields[rank] == 0:
            require(_SHIFTS[i], 0, 0)
            cols[0] = -1 if encodings[0] else 0
        for encoding, most in zip(encodings, cols, strict=True):
            if encoding > PAIRS or most < 0 or (encoding == PAIRS and most > MAX_PAIRS):
                raise ValueError(
                    f"encodings is {fields['encodings']:#x}, which is not for {rank}={fields[rank]}"
                    f" and {inputs}={fields[inputs]}. {advice}"
                )
    # zeta (1 - z) + nu, rounded to its upper half, is at most 32767.
    one_minus_z = 65536 if gate in ("tanh", "quant_tanh") else 32768 >> fields["gate_shift"]
    require("zeta", 0, MAX_MIX // one_minus_z)
    require("nu", 0, MAX_MIX - fields["zeta"] * one_minus_z)


def _pack_matrix(values, optimize):
    """Returns `(encoding, bytes)`."""
    nonzero = values != 0
    encoded = {DENSE: values.tobytes()}
    encoded[BITMAP] = np.packbits(nonzero, bitorder="little").tobytes() + values[nonzero].tobytes()
    if values.shape[1] <= MAX_PAIRS:
        pairs = np.stack([nonzero.nonzero()[1], values[nonzero]], axis=1)
        counts = nonzero.sum(axis=1)
        encoded[PAIRS] = counts.astype(np.uint8).tobytes() + pairs.astype(np.uint8).tobytes()
    if optimize == "speed":
        fast = PAIRS in encoded and nonzero.mean() <= FAST_DENSITY
        encoding = PAIRS if fast else DENSE
    elif optimize in encoded:
        encoding = optimize
    else:
        encoding = min(encoded, key=lambda encoding: len(encoded[encoding]))
    return encoding, encoded[encoding]


def _rank(matrices):
    return len(matrices[0].values) if len(matrices) == 2 else 0


def _slots(matrices):
    """The two places of a kernel in the options block; the first is empty at full rank."""
    return list(matrices) if len(matrices) == 2 else [None, *matrices]
