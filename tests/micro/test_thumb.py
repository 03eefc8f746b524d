"""The assembler for a Cortex-M0 with a frame pointer, which leaves GCC few registers."""

import dataclasses

import pytest
from test_targets import block_cases
from tools import require

from tests.boards import TARGETS, check

M0 = next(target for target in TARGETS if target.name == "Cortex-M0")


@pytest.mark.parametrize("optimize", ["-O0", "-Os", "-O2"])
def test_with_a_frame_pointer(optimize, tmp_path):
    require(M0.packages, *M0.tools)
    target = dataclasses.replace(M0, flags=(*M0.flags, "-fno-omit-frame-pointer"))
    check(target, list(block_cases(target)), tmp_path, optimize)
