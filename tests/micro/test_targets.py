"""Every microcontroller, under its emulator, gives the bytes of the NumPy integer model."""

import dataclasses
import functools
import itertools
import os

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from kernel import STATUSES
from random_cells import (
    Shape,
    extremes,
    float_cell,
    integer_cell,
    integer_cells,
    quantize,
    sequences,
)
from tools import require

from examples.common import hapt
from keras_fastgrnn.export.cell import blocks as options
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.calibrate import calibrate
from keras_fastgrnn.export.cell.encodings import BITMAP, BLOCKS, PAIRS
from keras_fastgrnn.micro.affine import choose_affine
from tests.boards import TARGETS, Case, build, check, run

FLAGS = ("return_sequences", "go_backwards", "reverse_output", "stateful")
ALL_FLAGS = [
    dict(zip(FLAGS, values, strict=True)) for values in itertools.product((False, True), repeat=4)
]
# `make test-all` runs ten times as many random cells and recorded windows.
MORE = 10 if "KERAS_FASTGRNN_TEST_ALL" in os.environ else 1
# The portable version of chips that have a faster one, which has to equal it.
PORTABLE = [
    dataclasses.replace(
        target, name=f"{target.name} portable", flags=(*target.flags, "-DFASTGRNN_PORTABLE")
    )
    for target in TARGETS
    if target.name in ("Cortex-M0", "Cortex-M4", "Cortex-M55", "RV32IMC")
]
ENCODINGS = ("size", "speed", BLOCKS)
SMALL = Shape(timesteps=128, density=0.5)


@pytest.fixture(params=[*TARGETS, *PORTABLE], ids=lambda target: target.name)
def target(request):
    target = request.param
    require(target.packages, *target.tools)
    return target


def case(cell, x, state=None, optimize="size", **flags):
    """A cell, `x (calls, timesteps, features)`, and the outputs of the integer model."""
    state = start = np.zeros(cell.units, np.int16) if state is None else state
    order = {name: value for name, value in flags.items() if name != "stateful"}
    y = []
    for sequence in x:
        before = state[None] if flags.get("stateful") else None
        outputs, states = reference.run(cell, sequence[None], before, **order)
        y.append(outputs[0])
        state = states[0]
    return Case(*options.pack(cell, optimize=optimize, **flags), x, start, np.stack(y), state)


def is_tiny(target):
    """Whether a chip has 2 KB of RAM, or less."""
    return target.memory < 2048


def largest(tiny, small, large):
    """A size for a tiny chip, and one for the others."""
    return small if tiny else large


def quantized_cases(tiny):
    """Each pair of nonlinearities, at every kind of rank, density and flags."""
    pairs = itertools.product(reference.ACTIVATIONS, (None, *reference.ACTIVATIONS))
    ranks = itertools.cycle([(2, 8), (0, 0), (0, 5), (3, 0)])
    densities = itertools.cycle([0.5, 1.0, 0.1, 0.9, 0.0])
    dtypes = [*itertools.product(("int8", "int16"), repeat=2)]
    for i, (activation, gate) in enumerate(pairs):
        kernel_rank, recurrent_rank = next(ranks)
        shape = Shape(
            units=largest(tiny, 4 + i % 13, 1 + i * 2),
            features=1 + i % largest(tiny, 7, 35),
            kernel_rank=kernel_rank,
            recurrent_rank=recurrent_rank,
            density=next(densities),
            activation=activation,
            recurrent_activation=gate,
            timesteps=5,
            input_dtype=dtypes[i // 4 % 4][0],
            output_dtype=dtypes[i // 4 % 4][1],
            seed=i,
        )
        cell, _, input, _ = integer_cell(shape)
        x = input.quantize(sequences(shape, 3))
        yield case(cell, x, optimize=ENCODINGS[i // 5 % 3], **ALL_FLAGS[i % 16])


def extreme_cases(tiny):
    """Cells with every field, weight, state and input at its limits."""
    cells = []

    @settings(max_examples=16 * MORE, phases=[Phase.generate], database=None)
    @given(integer_cells(most_dim=largest(tiny, 9, 40)))
    def draw(cell):
        cells.append(cell)

    draw()
    for i, cell in enumerate(cells):
        rng = np.random.default_rng(i)
        x = extremes(rng, cell.input_dtype, (2, 3, cell.features))
        state = extremes(rng, np.int16, cell.units)
        yield case(cell, x, state, ENCODINGS[i % 3], **ALL_FLAGS[15 - i % 16])


def block_cases(tiny):
    """Sizes around the blocks of the faster versions: every remainder of rows and columns."""
    for i in range(largest(tiny, 8, 24)):
        units = largest(tiny, 1 + i, (1, 60, 125)[i % 3] + i // 3)
        shape = Shape(
            units=units,
            features=1 + i,
            kernel_rank=0 if i % 2 else 1 + i // 2 % 11,
            recurrent_rank=0 if i // 2 % 2 else 12 - i // 2 % 12,
            density=(1.0, 0.2, 0.5)[i % 7 % 3],
            timesteps=3,
            input_dtype=("int8", "int16")[i // 3 % 2],
            output_dtype=("int16", "int8")[i // 2 % 2],
            seed=i,
        )
        cell, _, input, _ = integer_cell(shape)
        x = input.quantize(sequences(shape, 1))
        yield case(cell, x, optimize=ENCODINGS[i // 4 % 3])


def sparse_cases(tiny):
    """Each sparse encoding, nearly empty to nearly full, of rows around 32 bits of a bitmap."""
    kinds = itertools.product((BITMAP, BLOCKS, PAIRS), (0.02, 0.3, 0.6, 0.95))
    for i, (encoding, density) in enumerate(kinds):
        shape = Shape(
            units=largest(tiny, (8, 12, 7)[i % 3], (28, 36, 100, 65)[i % 4]),
            features=largest(tiny, 8 + i, (32, 20, 68, 35, 96)[i % 5]),
            kernel_rank=0,
            recurrent_rank=0,
            density=density,
            timesteps=2,
            seed=i,
        )
        cell, _, input, _ = integer_cell(shape)
        yield case(cell, input.quantize(sequences(shape, 1)), optimize=encoding)


def whole_sequences(target, x=None):
    """Runs float `x (n, 128, 3)` through a cell that is small enough for every chip."""
    x = sequences(SMALL) if x is None else x
    input = choose_affine(x.min(), x.max())
    ranges, states = calibrate(float_cell(SMALL), x)
    output = choose_affine(states.min(), states.max())
    cell = quantize(float_cell(SMALL), ranges, input, output)
    x = input.quantize(x)
    # Step by step with the state kept, and the whole window at once.
    whole, _ = reference.run(cell, x[:1], return_sequences=True)
    yield case(cell, x[0][:, None], stateful=True)._replace(y=whole[0])
    if is_tiny(target):  # a window fits neither its memory nor its counter
        for window in x:
            yield case(cell, window.reshape(-1, 32, 3), stateful=True)
    else:
        yield case(cell, x)
        yield case(cell, x, return_sequences=True)


def bad_cases():
    def blocks(**shape):
        return options.pack(integer_cell(Shape(**shape))[0])

    good, weights = blocks()
    sparse, bitmap = blocks(units=3, features=3, kernel_rank=0, density=0.3, seed=1)
    assert sparse[5] & 15 == 4, "the kernel is a bitmap"
    changes = {
        "ERROR_OPTIONS_SIZE": [(good[:-1], weights), (good + b"\0", weights), (b"", weights)],
        "ERROR_VERSION": [(b"\1" + good[1:], weights), (b"\1", weights)],
        "ERROR_OPTIONS": [(good[:4] + b"\x10" + good[5:], weights)],  # the flags
        "ERROR_WEIGHTS_SIZE": [(good, weights[:-1]), (good, weights + b"\0"), (good, b"")],
        "ERROR_WEIGHTS": [(sparse, bitmap[:1] + bytes([bitmap[1] | 2]) + bitmap[2:])],  # bit 9 of 9
    }
    for status, pairs in changes.items():
        for pair in pairs:
            yield Case(*pair, status=STATUSES.index(status))


@functools.cache
def cases(tiny):
    """All cases of any cell. The integer model takes longer to run them than a chip."""
    kinds = quantized_cases, extreme_cases, block_cases, sparse_cases
    return [*itertools.chain(*(kind(tiny) for kind in kinds)), *bad_cases()]


def test_same_bytes(target, tmp_path):
    check(target, cases(is_tiny(target)), tmp_path)


@pytest.fixture(scope="module")
def recorded():
    """Some windows of the people for testing."""
    try:
        x, _, users = hapt.load()
    except ValueError as error:
        pytest.skip(str(error))
    x = x[np.isin(users, hapt.TEST_USERS)][:: 600 // MORE]
    assert len(x) == -(-3399 * MORE // 600)
    return x


def quick(targets, names):
    """Runs a test on targets; `make test` on those of these names."""
    cases = [
        pytest.param(
            target, id=target.name, marks=[] if target.name in names else pytest.mark.test_all
        )
        for target in targets
    ]
    return pytest.mark.parametrize("target", cases, indirect=True)


@quick([*TARGETS, *PORTABLE], [target.name for target in TARGETS])
def test_recorded_windows(target, recorded, tmp_path):
    check(target, whole_sequences(target, recorded), tmp_path)


# The firmware around the cells is the same on all chips except for the start code: `make test` runs
# one chip of each emulator.
EACH_EMULATOR = quick(TARGETS, ("Cortex-M4", "RV32IMC", "ATmega328P"))


@EACH_EMULATOR
def test_measures_the_same_again(target, tmp_path):
    firmware = build(target, list(whole_sequences(target)), tmp_path)
    assert run(target, firmware) == run(target, firmware)


def wrong(array):
    array = array.copy()
    array.flat[-1] ^= 256 if array.dtype == np.int16 else 1
    return array


@EACH_EMULATOR
def test_names_the_fault(target, tmp_path):
    good = next(whole_sequences(target))
    bad = [
        good._replace(y=wrong(good.y)),
        good._replace(next_state=wrong(good.next_state)),
        good._replace(status=3),
        good._replace(options=b"\1" + good.options[1:]),
    ]
    with pytest.raises(RuntimeError) as error:
        check(target, bad, tmp_path)
    for complaint in (
        "case 0: byte 15 of y is ",
        "case 1: byte 31 of the last state is ",
        "case 2: byte 0 of the status is 0, expected 3",
        "case 3: byte 0 of the status is 2, expected 0",
    ):
        assert complaint in str(error.value)
