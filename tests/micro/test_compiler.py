"""The commands that compile the kernel: GCC's, Clang's and Microsoft's."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from random_cells import Shape, integer_cell
from test_interpreter import CELL, model_of, random_int8
from tflite_models import fastgrnn_model
from tools import require, write

from keras_fastgrnn import litert
from keras_fastgrnn.export.c_source import Interpreter, c_source
from keras_fastgrnn.export.cell import blocks as options
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.micro.host import compiler, runtime

LIBRARIES = {
    "micro": (runtime.SOURCES, []),
    "litert": (litert._SOURCES, ["KERAS_FASTGRNN_LITERT_ABI"]),
}


ZIG = f"{sys.executable} -m ziglang cc -target"  # Clang, for any machine
COMPILERS = {
    "gcc": "gcc",
    "clang": f"{ZIG} x86_64-linux-gnu",
    "macos": f"{ZIG} aarch64-macos",
    "windows": f"{ZIG} x86_64-windows-gnu",
}


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("sources, defines", LIBRARIES.values(), ids=LIBRARIES)
def test_no_warnings(name, sources, defines, tmp_path):
    """With each system's headers. docs/support.md says which of them were run too."""
    warnings = "-Wall -Wextra -Wconversion -Wpedantic -Werror"
    given = f"{COMPILERS[name]} -std=c11 -O2 {warnings} -Iinclude -Itflm -Ilitert -Ihost -x c -c"
    for source in sources:
        command = [
            *given.split(),
            source,
            "-o",
            tmp_path / "object.o",
            *("-D" + d for d in defines),
        ]
        subprocess.run(command, cwd=compiler.FOLDER, check=True)


def test_clang_s_library(monkeypatch):
    """Loads and runs, as GCC's does."""
    monkeypatch.setenv("CC", COMPILERS["clang"])
    model, x = model_of(), random_int8(1, 20, 3)
    np.testing.assert_array_equal(Interpreter(model).invoke(x), reference.run(CELL, x)[0])


# Without a C library, which Zig would compile for a minute.
ARM_LINUX = """
#include "model.c"
void _start(void) {
  register long exit __asm__("x8") = 93;
  register long status __asm__("x0") = model_selftest();
  __asm__ volatile("svc 0" ::"r"(exit), "r"(status));
}
"""


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_program_for_arm_linux(dtype, tmp_path):
    """The exported C on a 64-bit Arm (a Raspberry Pi), under QEMU, checks its own bytes."""
    require(["qemu-user"], "qemu-aarch64")
    cell, *_ = integer_cell(Shape(input_dtype=dtype, output_dtype=dtype))
    files = c_source(fastgrnn_model(options.pack(cell), timesteps=20))
    write(tmp_path, files | {"main.c": ARM_LINUX})
    build = f"{ZIG} aarch64-linux-gnu -O2 -static -nostdlib -DMODEL_SELFTEST main.c -o main"
    subprocess.run(build.split(), cwd=tmp_path, check=True)
    assert subprocess.run(["qemu-aarch64", tmp_path / "main"], check=False).returncode == 0


def test_microsoft_s_flags(monkeypatch):
    for name in "cl", r"C:\LLVM\bin\clang-cl.exe":
        monkeypatch.setenv("CC", f"'{name}'")
        command = compiler.command(["a.c"], pathlib.PureWindowsPath("out", "kernel.dll"), ["ABI"])
        assert command[0] == name
        assert {"/LD", "/std:c11", "/DABI", "/Iinclude", r"/Fe:out\kernel.dll"} <= {*command}
        assert command[-1] == "a.c"
