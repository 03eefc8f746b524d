"""Integer cell <-> the two blocks of bytes a kernel reads (docs/format.md)."""

import struct

import numpy as np

from keras_fastgrnn.export.cell.encodings import BLOCKS, DAMAGED, DENSE, ENCODINGS, PAIRS
from keras_fastgrnn.export.cell.reference import ACTIVATIONS, IntegerCell, Matrix

MAX_DIM = 511  # of units, features and ranks: docs/numerics.md, "No overflow"
MAX_MIX = 0x7FFF7FFF  # what rounds to 32767 in the upper half of an int32

# The fractions of weights and of blocks, not zero, below which pairs and blocks beat dense in time.
FAST_DENSITY = 0.25
FAST_BLOCKS = 0.6

# The options block of version 2 in its order, little-endian: name, struct code, least, most.
_INT8_FIELDS = (
    ("version", "B", 2, 2),
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
# By version. The third names the types of its ends, has 4 bits for the encoding of a matrix, and
# blocks among the encodings.
FIELDS = {
    2: _INT8_FIELDS,
    3: (
        ("version", "B", 3, 3),
        *_INT8_FIELDS[1:5],
        ("types", "B", 0, 3),
        *_INT8_FIELDS[6:],
        ("encodings", "H", 0, 0x3333),
    ),
}
_STRUCTS = {
    version: struct.Struct("<" + "".join(code for _, code, _, _ in fields))
    for version, fields in FIELDS.items()
}
SIZES = {version: block.size for version, block in _STRUCTS.items()}
_ENCODING_BITS = {2: 2, 3: 4}
_ENCODINGS = {2: ENCODINGS[:3], 3: ENCODINGS}

_FLAGS = ("return_sequences", "go_backwards", "reverse_output", "stateful")  # from bit 0 up
# The four places for a matrix; the first of a kernel is empty at full rank.
_SLOTS = ("kernel_a", "kernel", "recurrent_kernel_a", "recurrent_kernel")
# The fields that are integers of an IntegerCell by the same name.
_SCALARS = [
    name
    for name, *_ in FIELDS[2]
    if name in IntegerCell.__dataclass_fields__ and not name.endswith("activation")
]


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
        optimize: `"size"`: each matrix takes its smallest encoding. `"speed"`: pairs or
            blocks where few of them are nonzero, else dense. Or one of `ENCODINGS`, for all of
            them.

    Returns:
        `(options, weights)`: bytes.

    Raises:
        ValueError: if units, features or a rank is above 511, or any field out of its range.
    """
    gated = cell.recurrent_activation is not None
    flags = (return_sequences, go_backwards, reverse_output, stateful)
    types = sum(
        (dtype == "int16") << i for i, dtype in enumerate((cell.input_dtype, cell.output_dtype))
    )
    encoded = {
        slot: _choose_encoding(matrix.values, optimize)
        for slot, matrix in slots(cell).items()
        if matrix is not None
    }
    version = 3 if types or BLOCKS in encoded.values() else 2
    fields = {
        "version": version,
        "cell": int(gated),
        "activation": ACTIVATIONS.index(cell.activation),
        "recurrent_activation": ACTIVATIONS.index(cell.recurrent_activation) if gated else 0,
        "flags": sum(bool(flag) << i for i, flag in enumerate(flags)),
        "types": types,
        "encodings": 0,
        "units": cell.units,
        "features": cell.features,
        "kernel_rank": _rank(cell.kernel),
        "recurrent_rank": _rank(cell.recurrent_kernel),
    }
    fields |= {name: getattr(cell, name) for name in _SCALARS}
    weights = b""
    for i, (slot, matrix) in enumerate(slots(cell).items()):
        fields[f"{slot}_shift"] = 0 if matrix is None else matrix.shift
        if matrix is not None:
            fields["encodings"] |= encoded[slot].code << _ENCODING_BITS[version] * i
            weights += encoded[slot].pack(matrix.values)
    _check(fields, "Change the layer.")
    options = _STRUCTS[version].pack(*(fields[name] for name, *_ in FIELDS[version]))
    return options, weights + cell.bias.astype("<i2").tobytes()


def unpack(options, weights):
    """Reads what `pack()` wrote, and refuses what the C kernel's `fastgrnn_init()` refuses.

    Returns:
        `(IntegerCell, flags)`, flags as keyword arguments of `pack()`.

    Raises:
        ValueError: if a block is of another version or size, or any field out of its range.
    """
    fields = read_options(options)
    reader, units, gated = _Reader(weights), fields["units"], fields["cell"] == 1
    encoded = encodings(fields)
    matrices = {
        slot: Matrix(encoded[slot].unpack(reader.take, *shape), fields[f"{slot}_shift"])
        for slot, shape in _shapes(fields).items()
    }
    cell = IntegerCell(
        kernel=tuple(matrices[slot] for slot in _SLOTS[:2] if slot in matrices),
        recurrent_kernel=tuple(matrices[slot] for slot in _SLOTS[2:] if slot in matrices),
        bias=reader.take((1 + gated) * units, "<i2").reshape(-1, units),
        activation=ACTIVATIONS[fields["activation"]],
        recurrent_activation=ACTIVATIONS[fields["recurrent_activation"]] if gated else None,
        input_dtype="int16" if fields["types"] & 1 else "int8",
        output_dtype="int16" if fields["types"] & 2 else "int8",
        **{name: fields[name] for name in _SCALARS},
    )
    reader.end()
    return cell, {name: bool(fields["flags"] >> i & 1) for i, name in enumerate(_FLAGS)}


def read_options(options):
    """The fields of the options block: a dict of the names in `FIELDS`, and `types` in any version.

    Raises:
        ValueError: as `unpack()`.
    """
    version = options[0] if options else 2
    if version not in FIELDS:
        raise ValueError(
            f"The options block is of version {version}; this package reads versions "
            f"{' and '.join(map(str, FIELDS))}. Export the model again."
        )
    if len(options) != SIZES[version]:
        raise ValueError(
            f"The options block has {len(options)} bytes, not {SIZES[version]}. {DAMAGED}"
        )
    names = (name for name, *_ in FIELDS[version])
    fields = {"types": 0} | dict(zip(names, _STRUCTS[version].unpack(options), strict=True))
    _check(fields, DAMAGED)
    return fields


def slots(cell):
    """The matrices of a cell by their names in docs/format.md, in their order in the weights block;
    `None` where there is none, as a kernel of full rank has one."""
    matrices = []
    for kernel in (cell.kernel, cell.recurrent_kernel):
        matrices += kernel if len(kernel) == 2 else (None, *kernel)
    return dict(zip(_SLOTS, matrices, strict=True))


def encodings(fields):
    """The `Encoding` of each slot, from the fields of the options block."""
    return dict(zip(_SLOTS, (ENCODINGS[code] for code in _codes(fields)), strict=True))


def _codes(fields):
    bits = _ENCODING_BITS[fields["version"]]
    return [fields["encodings"] >> bits * i & (1 << bits) - 1 for i in range(len(_SLOTS))]


class _Reader:
    """Takes arrays off the weights block, one after another."""

    def __init__(self, weights):
        self._weights, self._position = weights, 0

    def take(self, size, dtype):
        end = self._position + size * np.dtype(dtype).itemsize
        if end > len(self._weights):
            raise ValueError(
                f"The weights block has {len(self._weights)} bytes; its cell needs at least {end}. "
                f"{DAMAGED}"
            )
        data, self._position = self._weights[self._position : end], end
        return np.frombuffer(data, dtype)

    def end(self):
        if self._position != len(self._weights):
            raise ValueError(
                f"The weights block has {len(self._weights)} bytes; its cell needs "
                f"{self._position}. {DAMAGED}"
            )


def _shapes(fields):
    """The `(rows, cols)` of each matrix by its slot, from the fields of the options block."""
    shapes = {}
    for slot, inputs, rank in zip(
        _SLOTS[1::2], ("features", "units"), ("kernel_rank", "recurrent_rank"), strict=True
    ):
        inputs, rank = fields[inputs], fields[rank]
        if rank:
            shapes[f"{slot}_a"] = rank, inputs
        shapes[slot] = fields["units"], rank or inputs
    return shapes


def _check(fields, advice):
    """Raises ValueError for a field out of its range; `fastgrnn_init()` draws the same lines."""

    def require(name, low, high):
        if not low <= fields[name] <= high:
            raise ValueError(
                f"{name} is {fields[name]}; the kernel takes {low} to {high} (docs/format.md). "
                f"{advice}"
            )

    for name, _, low, high in FIELDS[fields["version"]]:
        require(name, low, high)
    for bit, name in ((1, "input_zero_point"), (2, "output_zero_point")):
        if fields["types"] & bit:
            require(name, 0, 0)
    gate = ACTIVATIONS[fields["recurrent_activation"]]
    if fields["cell"] == 0:
        require("recurrent_activation", 0, 0)
        require("zeta", 0, 0)
        gate = None
    else:
        require("beta", 0, 0)
    require("gate_shift", 0, 15 - fields["fraction_bits"] if gate == "relu" else 0)
    shapes, known = _shapes(fields), _ENCODINGS[fields["version"]]
    for slot, code in zip(_SLOTS, _codes(fields), strict=True):
        _, cols = shapes.get(slot, (0, 0))
        if not cols:  # the slot is empty, and all that says so is 0
            require(f"{slot}_shift", 0, 0)
        if (code and not cols) or code >= len(known) or cols > known[code].max_cols:
            raise ValueError(
                f"encodings is {fields['encodings']:#x}, whose {code} is not for {slot} of "
                f"{cols} columns. {advice}"
            )
    # zeta (1 - z) + nu, rounded to its upper half, is at most 32767.
    one_minus_z = 65536 if gate in ("tanh", "quant_tanh") else 32768 >> fields["gate_shift"]
    require("zeta", 0, MAX_MIX // one_minus_z)
    require("nu", 0, MAX_MIX - fields["zeta"] * one_minus_z)


def _choose_encoding(values, optimize):
    fitting = [encoding for encoding in ENCODINGS if values.shape[1] <= encoding.max_cols]
    if optimize in fitting:
        return optimize
    if optimize == "speed":
        times = {
            PAIRS: np.mean(values != 0) / FAST_DENSITY,
            BLOCKS: np.mean(BLOCKS.nonzero(values)) / FAST_BLOCKS,
            DENSE: 1.0,
        }
        return min((encoding for encoding in times if encoding in fitting), key=times.get)
    # Blocks take version 3 of the options block, which has 2 bytes more.
    return min(fitting, key=lambda encoding: len(encoding.pack(values)) + 2 * (encoding is BLOCKS))


def _rank(matrices):
    return len(matrices[0].values) if len(matrices) == 2 else 0
