import dataclasses
import pathlib
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cells import integer_cells

from keras_fastgrnn.export.cell.blocks import (
    FIELDS,
    MAX_MIX,
    SIZES,
    encodings,
    pack,
    read_options,
    unpack,
)
from keras_fastgrnn.export.cell.encodings import BITMAP, BLOCKS, DENSE, PAIRS
from keras_fastgrnn.export.cell.reference import IntegerCell, Matrix

FLAGS = ("return_sequences", "go_backwards", "reverse_output", "stateful")
FORMAT = pathlib.Path(__file__).parents[2] / "docs" / "format.md"


def assert_same_cell(a, b):
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("kernel", "recurrent_kernel"):
            assert [matrix.shift for matrix in left] == [matrix.shift for matrix in right]
            for x, y in zip(left, right, strict=True):
                np.testing.assert_array_equal(x.values, y.values)
        else:
            np.testing.assert_array_equal(left, right)


@settings(max_examples=200)
@given(
    cell=integer_cells(),
    flags=st.fixed_dictionaries({name: st.booleans() for name in FLAGS}),
    optimize=st.sampled_from(["size", "speed", BLOCKS]),
)
def test_round_trip(cell, flags, optimize):
    options, weights = pack(cell, **flags, optimize=optimize)
    version = options[0]
    assert len(options) == SIZES[version] == {2: 36, 3: 38}[version]
    assert version in (2, 3)
    is_int8 = cell.input_dtype == cell.output_dtype == "int8"
    has_blocks = BLOCKS in encodings(read_options(options)).values()
    assert version == (3 if has_blocks or not is_int8 else 2)
    read, read_flags = unpack(options, weights)
    assert_same_cell(read, cell)
    assert read_flags == flags


@pytest.mark.parametrize("version", FIELDS)
def test_the_documented_fields(version):
    """docs/format.md lists the fields of the options block with their offsets and ranges."""
    row = r"^\| (\d+) \| (u?int\d+) \| `(\w+)` \| (-?\d+)\.\.(\d+) \|(?: version (\d))?"
    rows = re.findall(row, FORMAT.read_text(), re.MULTILINE)
    rows = [fields for *fields, only in rows if only in ("", str(version))]
    types = {"B": "uint8", "b": "int8", "H": "uint16", "I": "uint32"}
    expected, offset = [], 0
    for name, code, low, high in FIELDS[version]:
        if name == "version":
            low, high = min(FIELDS), max(FIELDS)
        expected.append([str(offset), types[code], name, str(low), str(high)])
        offset += struct.calcsize("<" + code)
    assert rows == expected


CELL = IntegerCell(
    kernel=(
        Matrix(np.array([[1, 0, -1, 127, -128, 2, 3, 4, 5, 6]], np.int8), 7),
        Matrix(np.array([[16], [17]], np.int8), 8),
    ),
    recurrent_kernel=(Matrix(np.array([[0, 0], [0, 5]], np.int8), 9),),
    bias=np.array([[1, -1], [256, -32768]], np.int16),
    activation="quant_tanh",
    recurrent_activation="relu",
    input_dtype="int8",
    output_dtype="int8",
    input_zero_point=-3,
    input_multiplier=100,
    fraction_bits=11,
    gate_shift=4,
    bias_shift=5,
    mix_shift=6,
    zeta=0x1234,
    nu=0x01020304,
    beta=0,
    output_multiplier=0x5678,
    output_shift=21,
    output_zero_point=-4,
)
OPTIONS = bytes.fromhex(
    "02 01 03 02 09 40"  # version, cell, activations, flags, encodings
    "0200 0a00 0100 0000"  # units, features, ranks
    "fd 64 07 08 00 09"  # input, shifts
    "0b 04 05 06"  # fraction_bits, gate_shift, bias_shift, mix_shift
    "3412 0000 04030201"  # zeta, beta, nu
    "7856 15 fc"  # output
)
WEIGHTS = bytes.fromhex(
    "01 00 ff 7f 80 02 03 04 05 06"  # kernel_a: 2 bytes of bitmap and 9 weights would be more
    "10 11"
    "08 05"  # recurrent_kernel: a bitmap of 4 bits and its one weight
    "0100 ffff 0001 0080"  # biases
)


def test_bytes_of_a_cell():
    assert pack(CELL, return_sequences=True, stateful=True) == (OPTIONS, WEIGHTS)


def test_bytes_of_an_int16_cell():
    cell = dataclasses.replace(CELL, input_dtype="int16", input_zero_point=0)
    options = bytes.fromhex("03 01 03 02 09 01") + OPTIONS[6:14] + b"\0" + OPTIONS[15:] + b"\0\x10"
    assert pack(cell, return_sequences=True, stateful=True) == (options, WEIGHTS)
    read, _ = unpack(options, WEIGHTS)
    assert_same_cell(read, cell)


@pytest.mark.parametrize(
    ("optimize", "zeros", "encoding", "size"),
    [
        ("size", 0, DENSE, 256),
        ("size", 32, DENSE, 256),
        ("size", 33, BITMAP, 255),
        ("size", 128, BITMAP, 160),
        ("size", 240, BITMAP, 48),
        ("size", 241, PAIRS, 46),
        ("size", 256, BLOCKS, 4),
        ("speed", 191, DENSE, 256),
        ("speed", 192, PAIRS, 144),
    ],
)
def test_the_encoding_of_a_matrix(optimize, zeros, encoding, size):
    values = np.ones((16, 16), np.int8)
    values.ravel()[np.random.default_rng(0).permutation(256)[:zeros]] = 0
    assert_encoding(values, optimize, encoding, size)


@pytest.mark.parametrize(
    ("optimize", "rows", "encoding", "size"),
    [
        ("size", 0, BLOCKS, 4),
        ("size", 12, BLOCKS, 196),
        ("size", 13, BITMAP, 240),
        ("speed", 4, BLOCKS, 68),
        ("speed", 8, BLOCKS, 132),
        ("speed", 12, DENSE, 256),
    ],
)
def test_the_encoding_of_whole_rows(optimize, rows, encoding, size):
    values = np.zeros((16, 16), np.int8)
    values[:rows] = 1
    assert_encoding(values, optimize, encoding, size)


def assert_encoding(values, optimize, encoding, size):
    full = Matrix(np.ones((16, 16), np.int8), 8)
    bias = np.zeros((2, 16), np.int16)
    cell = dataclasses.replace(
        CELL, kernel=(Matrix(values, 8),), recurrent_kernel=(full,), bias=bias
    )
    options, weights = pack(cell, optimize=optimize)
    assert encodings(read_options(options))["kernel"] is encoding
    assert len(weights) == size + full.values.size + bias.nbytes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": (Matrix(np.ones((2, 512), np.int8), 8),)}, "features is 512; .* 1 to 511"),
        ({"input_multiplier": 128}, "input_multiplier is 128; .* 1 to 127"),
        ({"gate_shift": 5}, "gate_shift is 5; .* 0 to 4"),
        ({"beta": 1}, "beta is 1; .* 0 to 0"),
        ({"recurrent_activation": "sigmoid"}, "gate_shift is 4; .* 0 to 0"),
        ({"recurrent_activation": "sigmoid", "gate_shift": 0, "zeta": 65535}, "zeta is 65535; "),
        ({"nu": MAX_MIX - 0x1234 * 2048 + 1}, f"nu is .* 0 to {MAX_MIX - 0x1234 * 2048} "),
        ({"recurrent_activation": None, "bias": CELL.bias[:1], "gate_shift": 0}, "zeta is 4660"),
    ],
)
def test_pack_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        pack(dataclasses.replace(CELL, **changes))


def changed(block, position, value):
    return block[:position] + bytes([value]) + block[position + 1 :]


def in_pairs(recurrent_kernel):
    """The blocks of CELL, with these pairs as its recurrent kernel."""
    return changed(OPTIONS, 5, 0x80), WEIGHTS[:12] + bytes.fromhex(recurrent_kernel) + WEIGHTS[14:]


def in_blocks(recurrent_kernel):
    """The blocks of CELL, with these blocks of 4 x 4 weights as its recurrent kernel."""
    options = OPTIONS[:5] + b"\0" + OPTIONS[6:] + b"\0\x30"
    weights = WEIGHTS[:12] + bytes.fromhex(recurrent_kernel) + WEIGHTS[14:]
    return changed(options, 0, 3), weights


def test_blocks():
    """Zeros pad the matrix to a whole block; a reader ignores what is there."""
    for padding in ("00", "7f"):
        block = f"01 00 00 {2 * padding} 00 05 {10 * padding}"
        cell, _ = unpack(*in_blocks(block))
        assert_same_cell(cell, CELL)


def test_pairs():
    cell, _ = unpack(*in_pairs("00 01 01 05"))
    assert_same_cell(cell, CELL)


@pytest.mark.parametrize(
    ("options", "weights", "message"),
    [
        (
            changed(OPTIONS, 0, 1),
            WEIGHTS,
            "is of version 1; this package reads versions 2 and 3. E",
        ),
        (OPTIONS[:-1], WEIGHTS, "options block has 35 bytes, not 36. The file is damaged: export"),
        (b"", WEIGHTS, "options block has 0 bytes, not 36"),
        (OPTIONS + b"x", WEIGHTS, "options block has 37 bytes, not 36"),
        (changed(OPTIONS, 2, 5), WEIGHTS, "activation is 5; the kernel takes 0 to 4"),
        (
            changed(OPTIONS, 5, 0x50),
            WEIGHTS,
            "encodings is 0x50, whose 1 is not for recurrent_kernel_a of 0 ",
        ),
        (changed(OPTIONS, 5, 0xC0), WEIGHTS, "encodings is 192; the kernel takes 0 to 170"),
        (
            changed(OPTIONS, 5, 0x03),
            WEIGHTS,
            "encodings is 0x3, whose 3 is not for kernel_a of 10 ",
        ),
        (*in_blocks("03" + 16 * "00"), "Blocks have bits set past their 1 in four rows"),
        (OPTIONS, WEIGHTS[:-1], "weights block has 21 bytes; its cell needs at least 22"),
        (OPTIONS, WEIGHTS[:5], "weights block has 5 bytes; its cell needs at least 10"),
        (OPTIONS, WEIGHTS + b"x", "weights block has 23 bytes; its cell needs 22"),
        (OPTIONS, changed(WEIGHTS, 12, 0x18), "A bitmap has bits set past its 4 weights"),
        (*in_pairs("00 01 02 05"), "The columns of row 1 do not ascend below 2"),
        (*in_pairs("02 00 01 05 01 06"), "The columns of row 0 do not ascend below 2"),
        (*in_pairs("02 00 01 05 00 06"), "The columns of row 0 do not ascend below 2"),
    ],
)
def test_unpack_refuses(options, weights, message):
    with pytest.raises(ValueError, match=message):
        unpack(options, weights)
