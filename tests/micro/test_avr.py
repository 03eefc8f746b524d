"""What the cells of test_targets.py, whose parameters are variables, do not reach on AVR."""

import pathlib

import numpy as np
import pytest
from random_cells import extremes
from test_targets import case
from tools import require

from keras_fastgrnn.export.cell.reference import IntegerCell, Matrix
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
def test_more_columns_than_a_byte_counts(features, density, tmp_path):
    rng = np.random.default_rng(features)
    values = np.full((3, features), -128) * (rng.random((3, features)) < density)
    cell = IntegerCell(
        kernel=(Matrix(values.astype(np.int8), 22),),
        recurrent_kernel=(Matrix(extremes(rng, np.int8, (3, 3)), 9),),
        bias=rng.integers(-4000, 4000, (2, 3)),
        activation="tanh",
        recurrent_activation="sigmoid",
        input_dtype="int8",
        output_dtype="int8",
        input_zero_point=-128,
        input_multiplier=127,
        fraction_bits=12,
        gate_shift=0,
        bias_shift=0,
        mix_shift=0,
        zeta=30000,
        nu=1000,
        beta=0,
        output_multiplier=20000,
        output_shift=18,
        output_zero_point=0,
    )
    # An input of 1 is 16383, whose lower byte is 255: the largest sum of lower bytes.
    x = np.full((1, 1, features), 1, np.int8)
    check(AVR, [case(cell, x, extremes(rng, np.int16, 3))], tmp_path)
