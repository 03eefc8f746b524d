"""TFLite Micro on a Cortex-M4 (QEMU): the firmware, and the messages when it cannot be built.

TFLM_DIR names a tree of TFLite Micro (docs/tflm.md); without it only the latter is tested."""

import os
import re
import subprocess
import textwrap
import types
from typing import NamedTuple

import keras
import numpy as np
import pytest
from tools import require

from benchmarks import tflm_firmware
from examples.common import hapt
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.micro import Interpreter
from tests.boards import KERNEL, tflm

WINDOWS = 50


@pytest.fixture(scope="module")
def tflm_dir():
    if "TFLM_DIR" not in os.environ:
        pytest.skip("TFLM_DIR is not set: docs/tflm.md says how to get TFLite Micro")
    return os.environ["TFLM_DIR"]


class Run(NamedTuple):
    """The arguments of `tflm.run()`."""

    model: bytes
    x: np.ndarray
    recurrent: np.ndarray
    y: np.ndarray


def expected(layers, x, dtype="int8"):
    """A model of FastGRNN and `layers`, float windows, and the expected outputs."""
    keras.utils.set_random_seed(0)
    cell = FastGRNN(16, kernel_rank=2, recurrent_rank=8)
    model = keras.Sequential([keras.Input(x.shape[1:]), cell, *layers])
    rng = np.random.default_rng(0)
    for weight in cell.weights:
        if "kernel" in weight.name:  # of a trained model's size, half of them zero
            weight.assign(rng.normal(0, 1, weight.shape) * (rng.random(weight.shape) < 0.5))
    types = dict.fromkeys(("input_type", "output_type", "activations"), dtype)
    tflite = convert(model, representative_dataset=x, **types)
    return Run(tflite, *tflm_firmware.expected(tflite, x))


@pytest.fixture(scope="module", params=["int8", "int16"])
def activities(request):
    """Recorded windows through a model of the example's shape."""
    try:
        x, _, users = hapt.load()
    except ValueError as error:
        pytest.skip(str(error))
    x = x[np.isin(users, hapt.TEST_USERS)]
    return expected([keras.layers.Dense(6)], x[:: len(x) // WINDOWS][:WINDOWS], request.param)


def test_same_bytes(tflm_dir, activities, tmp_path):
    measurement = tflm.run(tflm_dir, *activities, tmp_path)
    assert measurement.windows_equal == WINDOWS
    assert measurement.text <= 35000
    assert measurement.arena <= Interpreter(activities.model).arena_bytes  # larger pointers
    assert 0 < measurement.recurrent_instructions < measurement.instructions
    assert tflm.run(tflm_dir, *activities, tmp_path) == measurement


@pytest.mark.parametrize(("name", "where"), [("recurrent", "FASTGRNN"), ("y", "the output")])
def test_says_which_value_is_wrong(tflm_dir, activities, tmp_path, name, where):
    run = Run(activities.model, *(array[:2].copy() for array in activities[1:]))
    wrong = getattr(run, name)
    wrong[1, -1] ^= 1
    message = (
        rf"window 1: value {wrong.shape[1] - 1} of {where} is {wrong[1, -1] ^ 1}, "
        rf"expected {wrong[1, -1]}\nwindows_equal 1\n"
    )
    with pytest.raises(RuntimeError, match=message):
        tflm.run(tflm_dir, *run, tmp_path)


def test_refused_model(tflm_dir, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    run = expected([keras.layers.Dense(6), keras.layers.Softmax()], x)
    with pytest.raises(RuntimeError, match="TFLite Micro refused the model: it has operators oth"):
        tflm.run(tflm_dir, *run, tmp_path)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_expected(dtype):
    """The integer model and TFLM's own Dense layer continue each other."""
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    run = expected([keras.layers.Dense(6)], x, dtype)
    assert {array.dtype.name for array in run[1:]} == {dtype}
    np.testing.assert_array_equal(read_chain(run.model).dense.run(run.recurrent), run.y)


def test_header():
    x = np.array([[[-128], [127]], [[0], [1]]], np.int8)
    recurrent, y = np.array([[2], [-300]], np.int16), np.array([[4, 5], [6, 7]], np.int8)
    assert tflm.header(b"\0\xff", x, recurrent, y) == (
        "constexpr int kArenaSize = 8192;\n"
        "alignas(16) const uint8_t kModel[] = {0,255};\n"
        "struct Window { int8_t x[2]; int16_t recurrent[1]; int8_t y[2]; };\n"
        '__attribute__((section(".windows"))) const Window kWindows[2] = {\n'
        "  {{-128,127}, {2}, {4,5}},\n"
        "  {{0,1}, {-300}, {6,7}}\n"
        "};\n"
    )


def fake_tree(path, *builds):
    """Makes the files of a tree that CMake looks for, all empty."""
    libraries = [f"gen/{build}/lib/libtensorflow-microlite.a" for build in builds]
    for name in ("tensorflow/lite/micro/micro_interpreter.h", *libraries):
        (path / name).parent.mkdir(parents=True)
        (path / name).touch()
    return path


def trees(tmp_path):
    """Yields trees that cannot be built, and the message for each."""
    yield None, "TFLM_DIR is not set."
    missing = tmp_path / "missing"
    header = "tensorflow/lite/micro/micro_interpreter.h"
    yield missing, f"TFLM_DIR is not a tree of TFLite Micro: there is no\n\n  {missing}/{header}\n"
    tree = fake_tree(tmp_path / "tree", "linux_x86_64_default_gcc")
    library = "gen/cortex_m_generic_cortex-m4_release_gcc/lib/libtensorflow-microlite.a"
    yield tree, f"TFLite Micro is not built: there is no\n\n  {tree}/{library}\n"


def test_says_how_to_get_a_tree(tmp_path):
    require(tflm.PACKAGES, *tflm.TOOLS)
    for tree, message in trees(tmp_path):
        with pytest.raises(ValueError) as error:
            tflm.configure(tree, tmp_path / "build")
        assert str(error.value).startswith(message)
        assert "\n  git clone https://github.com/tensorflow/tflite-micro\n" in str(error.value)
        assert " TARGET=cortex_m_generic TARGET_ARCH=cortex-m4 " in str(error.value)


@pytest.mark.parametrize(
    ("builds", "message"),
    [
        ((), "TFLite Micro is not built: there is no\n\n  {}/gen/*/lib/libtensorflow-microlite.a"),
        (("a", "b"), "TFLM_DIR holds 2 libraries: set TFLM_LIBRARY to one of\n\n  {}/gen/a/lib/"),
    ],
    ids=["none", "several"],
)
def test_says_what_a_project_lacks(tmp_path, builds, message):
    require(("cmake",), "cmake")
    tree = fake_tree(tmp_path / "tree", *builds)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(user NONE)\n"
        f'set(TFLM_DIR "{tree}")\nadd_subdirectory("{KERNEL}/tflm" fastgrnn_tflm)\n'
    )
    command = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert message.format(tree) in textwrap.dedent(result.stderr.partition("(message):\n")[2])


@pytest.fixture
def no_tree(monkeypatch):
    """The command's flag is not given."""
    monkeypatch.setattr(tflm_firmware, "TFLM_DIR", types.SimpleNamespace(value=""))


def test_command_says_how_to_get_a_tree(no_tree):
    require(tflm.PACKAGES, *tflm.TOOLS)
    with pytest.raises(SystemExit, match="TFLM_DIR is not set.\n"):
        tflm_firmware.main()


def test_command_says_which_tools_are_missing(no_tree, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    tools = " and ".join(tflm.TOOLS)
    message = f"{tools} not found; in Debian: apt-get install cmake gcc-arm-none-"
    with pytest.raises(SystemExit, match=re.escape(message)):
        tflm_firmware.main()
