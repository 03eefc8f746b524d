"""A model in TFLite Micro on a Cortex-M4 under QEMU: built against a tree of its sources, run,
checked and measured."""

import pathlib
import re
import shutil
import subprocess
import textwrap
from typing import NamedTuple

from tests.boards import FOLDER, TARGETS, execute

(_TARGET,) = (target for target in TARGETS if target.name == "Cortex-M4")
TOOLS = ("cmake", f"{_TARGET.toolchain}g++", _TARGET.emulator[0])
PACKAGES = ("cmake", "gcc-arm-none-eabi", "libstdc++-arm-none-eabi-newlib", "qemu-system-arm")
_ARENA_SIZE = 8192


class Measurement(NamedTuple):
    """The cost of a firmware whose bytes were all right.

    Attributes:
        text: bytes of code and constants, the model with them, the windows without.
        data: bytes of static variables, the arena without.
        arena: bytes of the arena in use.
        windows_equal: count of the windows, all of them equal.
        instructions: the mean of an inference.
        recurrent_instructions: of these, those of FASTGRNN.
        commit: of the tree of TFLite Micro, "-dirty" behind it if it was changed; `None` if the
            tree has no history.
    """

    text: int
    data: int
    arena: int
    windows_equal: int
    instructions: int
    recurrent_instructions: int
    commit: str | None


def configure(tflm_dir, folder):
    """Prepares a build of the firmware.

    Args:
        tflm_dir: path of a tree of TFLite Micro that holds its built library (docs/tflm.md).
        folder: where to build.

    Raises:
        ValueError: if `tflm_dir` is `None` or holds no such tree or library, with the commands to
            get it.
        RuntimeError: if a tool is missing.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} not found; in Debian: apt-get install {' '.join(PACKAGES)}"
        )
    source = FOLDER / "tflm"
    command = [
        *("cmake", "--log-level=ERROR", f"-DTFLM_DIR={_absolute(tflm_dir)}"),
        *("-DCMAKE_BUILD_TYPE=MinSizeRel", f"-DCMAKE_TOOLCHAIN_FILE={source / 'cortex_m4.cmake'}"),
        *("-S", str(source), "-B", str(folder)),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        ours = re.search(r"\(message\):\n(.*?)\n\n\n", result.stderr, re.DOTALL)
        if ours is None:
            raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
        raise ValueError(textwrap.dedent(ours[1]))


def run(tflm_dir, model, x, recurrent, y, folder):
    """Builds a firmware, runs it and compares each byte.

    Args:
        tflm_dir, folder: see `configure()`.
        model: bytes of a .tflite file: FASTGRNN, then FULLY_CONNECTED, all of it int8 or int16.
        x: `(n, timesteps, features)`, in the type of the model's input.
        recurrent: `(n, ...)`, what FASTGRNN has to make of each.
        y: `(n, ...)`, what the model has to.

    Returns:
        A `Measurement`.

    Raises:
        ValueError: see `configure()`.
        RuntimeError: if a tool is missing or fails; or with what the firmware said, if a byte is
            wrong or TFLite Micro refuses the model.
        subprocess.TimeoutExpired: if the firmware did not end in two minutes.
    """
    configure(tflm_dir, folder)
    firmware = pathlib.Path(folder, "firmware")
    firmware.with_name("windows.h").write_text(header(model, x, recurrent, y))
    execute(["cmake", "--build", str(folder)])
    output = execute([*_TARGET.emulator, str(firmware)], timeout=120)
    figures = dict(line.split() for line in output.splitlines())
    sections = execute([f"{_TARGET.toolchain}size", "-A", str(firmware)]).splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in sections if line.startswith(".")}
    return Measurement(
        text=sizes[".text"],
        data=sizes.get(".data", 0) + sizes[".bss"] - _ARENA_SIZE,
        **{name: int(value) for name, value in figures.items()},
        commit=_commit(_absolute(tflm_dir)),
    )


def header(model, x, recurrent, y):
    """The C++ of windows.h: a model, its inputs and the expected outputs."""
    arrays = {"x": x, "recurrent": recurrent, "y": y}
    arrays = {name: array.reshape(len(x), -1) for name, array in arrays.items()}
    fields = (f"{a.dtype}_t {name}[{a.shape[1]}];" for name, a in arrays.items())
    rows = zip(*(array.tolist() for array in arrays.values()), strict=True)
    windows = (f"  {{{{{'}, {'.join(map(_numbers, row))}}}}}" for row in rows)
    return (
        f"constexpr int kArenaSize = {_ARENA_SIZE};\n"
        f"alignas(16) const uint8_t kModel[] = {{{_numbers(model)}}};\n"
        f"struct Window {{ {' '.join(fields)} }};\n"
        f'__attribute__((section(".windows"))) const Window kWindows[{len(x)}] = {{\n'
        + ",\n".join(windows)
        + "\n};\n"
    )


def _numbers(values):
    return ",".join(map(str, values))


def _absolute(tflm_dir):
    return "" if tflm_dir is None else pathlib.Path(tflm_dir).resolve()


def _commit(tree):
    # Given --git-dir, git does not mistake a repository around the tree for the tree's own.
    command = ["git", f"--git-dir={tree / '.git'}", f"--work-tree={tree}"]
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run([*command, *describe], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
