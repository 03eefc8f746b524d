"""The C kernel gives the bytes of the NumPy integer model, and refuses or survives any blocks."""

import dataclasses
import struct

import kernel as kernel_process
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cells import (
    Shape,
    extremes,
    integer_cell,
    integer_cells,
    sequences,
    shapes,
)
from tools import TEST_ALL

from keras_fastgrnn.export.cell import blocks as options
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.encodings import BLOCKS
from keras_fastgrnn.export.cell.reference import Matrix

FLAGS = st.fixed_dictionaries(
    {
        name: st.booleans()
        for name in ("return_sequences", "go_backwards", "reverse_output", "stateful")
    }
)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    program = kernel_process.build(tmp_path_factory.mktemp("kernel"))
    with kernel_process.Kernel(program) as kernel:
        yield kernel


OPTIMIZE = st.sampled_from(["size", "speed", BLOCKS])


def assert_equal_bytes(kernel, cell, flags, optimize, x, state):
    blocks = options.pack(cell, **flags, optimize=optimize)
    y, next_state = kernel.run(*blocks, x, state)
    flags = dict(flags)
    start = state if flags.pop("stateful") else None
    expected_y, expected_state = reference.run(cell, x, start, **flags)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(next_state, expected_state)
    return next_state


@settings(max_examples=200 if TEST_ALL else 50)
@given(shape=shapes(), flags=FLAGS, optimize=OPTIMIZE)
def test_quantized_cell(kernel, shape, flags, optimize):
    cell, _, input, _ = integer_cell(shape)
    x = input.quantize(sequences(shape))
    state = np.zeros((len(x), cell.units), np.int16)
    # Twice: from a state of 0, and from the state that the first sequence left.
    for _ in range(2):
        state = assert_equal_bytes(kernel, cell, flags, optimize, x, state)


@settings(max_examples=200 if TEST_ALL else 120)
@given(
    cell=integer_cells(),
    flags=FLAGS,
    optimize=OPTIMIZE,
    timesteps=st.integers(1, 12),
    seed=st.integers(0, 999),
)
def test_any_accepted_cell(kernel, cell, flags, optimize, timesteps, seed):
    rng = np.random.default_rng(seed)
    x = extremes(rng, cell.input_dtype, (2, timesteps, cell.features))
    state = extremes(rng, np.int16, (2, cell.units))
    assert_equal_bytes(kernel, cell, flags, optimize, x, state)


@settings(max_examples=8)
@given(cell=integer_cells(options.MAX_DIM, options.MAX_DIM), seed=st.integers(0, 999))
def test_largest_cell(kernel, cell, seed):
    rng = np.random.default_rng(seed)
    ends = np.iinfo(cell.input_dtype)
    x = rng.choice(np.array([ends.min, ends.max], ends.dtype), (2, 2, cell.features))
    state = np.full((2, cell.units), -32768, np.int16)
    assert_equal_bytes(kernel, cell, {"stateful": True}, "size", x, state)


def test_no_timesteps(kernel):
    cell, *_ = integer_cell(Shape())
    x = np.zeros((1, 0, cell.features), np.int8)
    state = extremes(np.random.default_rng(0), np.int16, (1, cell.units))
    y, next_state = kernel.run(*options.pack(cell, stateful=True), x, state)
    np.testing.assert_array_equal(y, reference.output(cell, state))
    np.testing.assert_array_equal(next_state, state)
    y, _ = kernel.run(*options.pack(cell, stateful=True, return_sequences=True), x, state)
    assert y.size == 0


# ---- Bad input ----


def blocks(**shape):
    return options.pack(integer_cell(Shape(**shape))[0])


def with_field(block, name, value):
    """The options block with one field changed."""
    offset = 0
    for other, code, *_ in options.FIELDS[block[0]]:
        if other == name:
            changed = bytearray(block)
            struct.pack_into("<" + code, changed, offset, value)
            return bytes(changed)
        offset += struct.calcsize("<" + code)
    raise KeyError(name)


def test_accepts_the_cells_before_their_damage(kernel):
    for activation in (None, "sigmoid", "tanh", "relu"):
        assert kernel.init(*blocks(recurrent_activation=activation)) == "OK"


OUT_OF_RANGE = [
    (version, name, value)
    for version, fields in options.FIELDS.items()
    for name, code, low, high in fields
    for value in (low - 1, high + 1)
    # The version has its own status, and a zero point may be any int8.
    if name != "version" and code != "b" and 0 <= value < 256 ** struct.calcsize("<" + code)
]
DTYPE_OF_VERSION = {2: "int8", 3: "int16"}


@pytest.mark.parametrize(("version", "name", "value"), OUT_OF_RANGE)
def test_field_out_of_range(kernel, version, name, value):
    block, weights = blocks(
        recurrent_activation=None if name == "beta" else "sigmoid",
        input_dtype=DTYPE_OF_VERSION[version],
    )
    assert block[0] == version
    assert kernel.init(with_field(block, name, value), weights) == "ERROR_OPTIONS"


@pytest.mark.parametrize(
    ("shape", "name", "value"),
    [
        ({}, "beta", 1),
        ({}, "gate_shift", 1),
        ({"recurrent_activation": "relu"}, "gate_shift", 15),
        ({"recurrent_activation": None}, "zeta", 1),
        ({"recurrent_activation": None}, "recurrent_activation", 1),
        ({"recurrent_activation": "tanh"}, "zeta", 32768),
        ({"recurrent_activation": "sigmoid"}, "zeta", 65535),
        ({"recurrent_activation": "sigmoid"}, "nu", options.MAX_MIX),
        ({"kernel_rank": 0}, "kernel_a_shift", 1),
        ({"kernel_rank": 0}, "encodings", 1),
        ({"recurrent_rank": 0}, "recurrent_kernel_a_shift", 1),
        ({"recurrent_rank": 0}, "encodings", 0x10),
        ({}, "encodings", 0x03),
        ({}, "encodings", 0x30),
        ({"units": 256, "recurrent_rank": 0}, "encodings", 0x80),  # pairs, of more than 255 columns
        ({"input_dtype": "int16"}, "input_zero_point", 1),
        ({"output_dtype": "int16"}, "output_zero_point", -1),
        ({"input_dtype": "int16", "kernel_rank": 0}, "encodings", 1),
        ({"output_dtype": "int16", "recurrent_rank": 0}, "encodings", 0x100),
        ({"input_dtype": "int16"}, "encodings", 0x0004),
        ({"input_dtype": "int16"}, "encodings", 0x8000),
    ],
)
def test_fields_that_exclude_each_other(kernel, shape, name, value):
    block, weights = blocks(**shape)
    assert kernel.init(with_field(block, name, value), weights) == "ERROR_OPTIONS"


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("density", [1.0, 0.3])
def test_damaged_blocks(kernel, density, dtype):
    block, weights = blocks(density=density, input_dtype=dtype)
    assert kernel.init(with_field(block, "version", 1), weights) == "ERROR_VERSION"
    assert kernel.init(with_field(block, "version", 5 - block[0]), weights) == "ERROR_OPTIONS_SIZE"
    # A later version has its status even if its block has another size.
    assert kernel.init(with_field(block, "version", 1) + b"\0", weights) == "ERROR_VERSION"
    for size in (0, 1, len(block) - 1):
        assert kernel.init(block[:size], weights) == "ERROR_OPTIONS_SIZE"
    assert kernel.init(block + b"\0", weights) == "ERROR_OPTIONS_SIZE"
    assert kernel.init(block, weights + b"\0") == "ERROR_WEIGHTS_SIZE"
    for size in range(len(weights)):
        assert kernel.init(block, weights[:size]) == "ERROR_WEIGHTS_SIZE"


def test_damaged_bitmap(kernel):
    block, weights = blocks(units=3, features=3, kernel_rank=0, density=0.3, seed=1)
    assert block[5] & 15 == 4, "the kernel is a bitmap"
    weights = bytearray(weights)
    weights[1] |= 2  # bit 9 of 9
    assert kernel.init(block, bytes(weights)) == "ERROR_WEIGHTS"


@pytest.mark.parametrize("cols", [3, 27, 35])
def test_damaged_blocks_of_weights(kernel, cols):
    cell, *_ = integer_cell(Shape(units=5, features=cols, kernel_rank=0))
    block, weights = options.pack(cell, optimize=BLOCKS)
    assert kernel.init(block, weights) == "OK"
    blocks_a_row = -(-cols // 4)
    row_bytes = -(-blocks_a_row // 8)
    for row in (1, 2):
        damaged = bytearray(weights)
        damaged[row * row_bytes - 1] |= 1 << blocks_a_row % 8  # past the last block
        assert kernel.init(block, bytes(damaged)) == "ERROR_WEIGHTS"
    for size in range(len(weights)):
        assert kernel.init(block, weights[:size]) == "ERROR_WEIGHTS_SIZE"


@pytest.mark.parametrize("index", [0, 1, 3, 255])
def test_damaged_pairs(kernel, index):
    cell, *_ = integer_cell(Shape(units=3, features=3, kernel_rank=0))
    values = np.array([[0, 5, 6], [0, 0, 0], [0, 0, 0]], np.int8)
    cell = dataclasses.replace(cell, kernel=(Matrix(values, cell.kernel[0].shift),))
    block, weights = options.pack(cell, optimize="speed")
    assert block[5] & 15 == 8, "the kernel is in pairs"
    assert weights[:7] == bytes([2, 0, 0, 1, 5, 2, 6])
    assert kernel.init(block, weights) == "OK"
    weights = bytearray(weights)
    weights[5] = index  # 0 and 1 do not ascend; 3 and 255 lie beyond the row
    assert kernel.init(block, bytes(weights)) == "ERROR_WEIGHTS"


MUTATIONS = 2000


def test_mutated_blocks(kernel):
    """Nothing crashes, and the readers in C and Python accept the same blocks."""
    rng = np.random.default_rng(0)
    originals = [
        blocks(
            units=5,
            features=4,
            kernel_rank=kernel_rank,
            recurrent_rank=3 - kernel_rank,
            density=density,
            activation=activation,
            recurrent_activation=gate,
            input_dtype=dtype,
        )
        for dtype in ("int8", "int16")
        for kernel_rank in (0, 3)
        for density in (0.1, 0.5, 1.0)
        for activation, gate in (("tanh", "sigmoid"), ("relu", "relu"), ("tanh", None))
    ]
    accepted = 0
    for i in range(MUTATIONS):
        mutated = [bytearray(block) for block in originals[i % len(originals)]]
        for block in mutated if i % 3 == 0 else [mutated[i % 2]]:
            for position in rng.integers(1, len(block), rng.integers(1, 4)):
                block[position] = rng.choice([0, 1, 255, block[position] ^ 1, rng.integers(256)])
            if i % 20 == 0:
                del block[rng.integers(len(block)) :]
        mutated = [bytes(block) for block in mutated]
        status = kernel.init(*mutated)
        try:
            cell, flags = options.unpack(*mutated)
        except ValueError:
            assert status != "OK"
            continue
        assert status == "OK"
        accepted += 1
        x = extremes(rng, cell.input_dtype, (1, 3, cell.features))
        state = extremes(rng, np.int16, (1, cell.units))
        assert_equal_bytes(kernel, cell, flags, "size", x, state)
    assert MUTATIONS // 4 < accepted < MUTATIONS * 3 // 4
