"""Code of the kernel for AVR that the cells of test_targets.py do not reach."""

import pathlib

import numpy as np
import pytest
from random_cells import extremes, plain_cell
from test_targets import case
from tools import require

from keras_fastgrnn.export.cell.encodings import BLOCKS
from keras_fastgrnn.export.cell.reference import Matrix
from tests.boards import FOLDER, KERNEL, TARGETS, check, compiler, emulate, execute

AVR = next(target for target in TARGETS if target.counts == "cycles")


@pytest.fixture(autouse=True)
def tools():
    require(AVR.packages, *AVR.tools)


def test_arithmetic(tmp_path):
    source = pathlib.Path(__file__).parent / "avr_arithmetic.c"
    compile = compiler(AVR, "-Os", KERNEL / "include", KERNEL / "src", FOLDER)
    expected, program = str(tmp_path / "expected.o"), str(tmp_path / "program.elf")
    portable = ("-DEXPECTED", "-DFASTGRNN_PORTABLE", str(source))
    execute([*compile, *portable, "-c", "-o", expected])
    execute([*compile, str(source), expected, str(FOLDER / AVR.board), "-o", program])
    assert "passed" in emulate(AVR, program)


@pytest.mark.parametrize("density", [1.0, 0.5, 0.05])
@pytest.mark.parametrize("features", [255, 256, 260])
@pytest.mark.parametrize("encoding", ["size", BLOCKS])
def test_more_columns_than_a_byte_counts(encoding, features, density, tmp_path):
    rng = np.random.default_rng(features)
    values = np.full((3, features), -128) * (rng.random((3, features)) < density)
    cell = plain_cell(
        kernel=(Matrix(values.astype(np.int8), 22),),
        recurrent_kernel=(Matrix(extremes(rng, np.int8, (3, 3)), 9),),
        bias=rng.integers(-4000, 4000, (2, 3)),
        input_zero_point=-128,
        input_multiplier=127,
        zeta=30000,
        nu=1000,
        output_multiplier=20000,
        output_shift=18,
    )
    # An input of 1 becomes 16383, with a lower byte of 255: the largest sum of lower bytes.
    x = np.full((1, 1, features), 1, np.int8)
    check(AVR, [case(cell, x, extremes(rng, np.int16, 3), encoding)], tmp_path)
