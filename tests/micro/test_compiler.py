"""The commands that compile the kernel: GCC's, Clang's and Microsoft's."""

import pathlib
import subprocess

import pytest
from tools import require

from keras_fastgrnn import litert
from keras_fastgrnn.micro.host import compiler, runtime

LIBRARIES = {
    "micro": (runtime.SOURCES, []),
    "litert": (litert._SOURCES, ["KERAS_FASTGRNN_LITERT_ABI"]),
}


@pytest.mark.parametrize("name", ["gcc", "clang"])
@pytest.mark.parametrize("sources, defines", LIBRARIES.values(), ids=LIBRARIES)
def test_no_warnings(name, sources, defines, monkeypatch, tmp_path):
    require([name], name)
    warnings = "-Wall -Wextra -Wconversion -Wpedantic -Werror"
    monkeypatch.setenv("CC", f"{name} {warnings}")
    command = compiler.command(sources, tmp_path / "kernel.so", defines)
    subprocess.run(command, cwd=compiler.FOLDER, check=True)


def test_microsoft_s_flags(monkeypatch):
    for name in "cl", r"C:\LLVM\bin\clang-cl.exe":
        monkeypatch.setenv("CC", f"'{name}'")
        command = compiler.command(["a.c"], pathlib.PureWindowsPath("out", "kernel.dll"), ["ABI"])
        assert command[0] == name
        assert {"/LD", "/std:c11", "/DABI", "/Iinclude", r"/Fe:out\kernel.dll"} <= {*command}
        assert command[-1] == "a.c"
