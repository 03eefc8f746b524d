"""The folder for ESP-IDF, built by ESP-IDF's own CMake for this PC: `make esp-idf IDF_PATH=...`."""

import itertools
import os
import shutil
import subprocess

import pytest
from random_cells import Shape, integer_cell
from tflite_models import fastgrnn_model
from tools import write

from keras_fastgrnn.export.c_source import c_source
from keras_fastgrnn.export.cell import blocks as options


@pytest.mark.skipif("IDF_PATH" not in os.environ, reason="IDF_PATH names no tree of ESP-IDF")
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_example_on_the_linux_target(dtype, tmp_path):
    """The program checks the bytes of two sequences against those of the integer model."""
    cell, *_ = integer_cell(Shape(input_dtype=dtype, output_dtype=dtype))
    model = fastgrnn_model(options.pack(cell), timesteps=20)
    folder = write(tmp_path / "gait", c_source(model, name="gait", layout="esp-idf"))
    example = folder / "examples" / "gait_example"
    settings = ("IDF_TARGET=linux", "PYTHON_DEPS_CHECKED=1", "CMAKE_C_FLAGS=-DGAIT_SELFTEST")
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    build = [
        "cmake",
        "-G",
        generator,
        "-B",
        "build",
        *(f"-D{setting}" for setting in settings),
        ".",
    ]
    subprocess.run(build, cwd=example, check=True)
    subprocess.run(["cmake", "--build", "build"], cwd=example, check=True)
    # Like a chip, it does not end by itself.
    with subprocess.Popen(
        [example / "build" / "gait_example.elf"], stdout=subprocess.PIPE, text=True
    ) as program:
        lines = list(itertools.takewhile(lambda line: "Returned" not in line, program.stdout))
        program.kill()
    assert "self-test: 0\n" in lines
