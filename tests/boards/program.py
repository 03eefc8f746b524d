"""A model as C in a whole program, on emulated microcontrollers."""

import contextlib
import pathlib
import re
import tempfile
from typing import NamedTuple

import numpy as np

from examples.common import detector as detectors
from keras_fastgrnn.export import c_source
from tests.boards import FOLDER, compiler, emulate, execute


class Detector(NamedTuple):
    """Arguments of `examples.common.detector.Detector`; the threshold is an int8 logit."""

    threshold: int
    smoothing: int
    refractory: int


class Figures(NamedTuple):
    """Bytes of stack, and the target's count for a step and for a prediction."""

    stack: int
    step: float
    predict: float


@contextlib.contextmanager
def as_c(tflite, **arguments):
    """A temporary folder with the C of a .tflite file; `arguments` of `c_source()`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for path, text in c_source(tflite, **arguments).items():
            (folder / path).write_text(text)
        yield folder


def replay(target, folder, x, y, detector=None, detected=None):
    """Runs a program that checks its outputs.

    Args:
        target: `Target`.
        folder: has `model.c` and `model.h`.
        x: int8 or int16 `(n, timesteps, features)`.
        y: int8 or int16 `(n, outputs)`, what the model gives.
        detector: `Detector` that reads the model's only output, or `None`.
        detected: bool `(n,)`, whether that hears the keyword.

    Returns:
        `Figures`. The stack is the program's. With one time step a sequence, the step is in the
        prediction, and so is a detector.

    Raises:
        RuntimeError: with what the compiler or the program said, if a byte is wrong or one fails.
        subprocess.TimeoutExpired: if it did not end in two minutes.
    """
    program = build_replay(target, folder, x, y, detector, detected)
    lines = emulate(target, program)
    found = dict(line.split() for line in lines if re.fullmatch(r"[a-z]+ \d+", line))
    steps = x.shape[0] * x.shape[1]
    return Figures(
        int(found["stack"]), int(found["steps"]) / steps, int(found["predictions"]) / len(x)
    )


def build_replay(target, folder, x, y, detector=None, detected=None):
    """Builds the program of `replay()`. Returns its path."""
    best = y.argmax(axis=1) if detector is None else np.asarray(detected)
    expected = np.concatenate([best[:, None].astype(y.dtype), y], axis=1)
    (folder / "sequences.h").write_text(
        f"enum {{ SEQUENCES = {len(x)} }};\n"
        "static const FLASH INPUT inputs[SEQUENCES][MODEL_TIMESTEPS][MODEL_FEATURES] = "
        f"{initializer(x)};\n"
        "static const FLASH OUTPUT outputs[SEQUENCES][1 + MODEL_OUTPUTS] = "
        f"{initializer(expected)};\n"
    )
    return _build(target, folder, "replay.elf", detector, "-DREPLAY", str(FOLDER / "replay.c"))


def sizes(target, folder, detector=None):
    """The bytes of flash and static RAM of a program with a model, and perhaps a detector."""
    program = _build(target, folder, "program.elf", detector)
    text, data, bss = _size(target, program)
    return text + data, data + bss


def kernel_size(target, folder):
    """The bytes of a model's code and tables on any target, without the model's own constants."""
    model = folder / "m.o"
    execute([*compiler(target, "-Os", folder), "-c", str(folder / "model.c"), "-o", str(model)])
    text, _, _ = _size(target, model)
    return text - int(re.search(r"Flash: (\d+) bytes", (folder / "model.h").read_text())[1])


def _size(target, file):
    """The bytes of code with constants, of initialised variables, and of other variables."""
    line = execute([f"{target.toolchain}size", str(file)]).splitlines()[1]
    return [int(size) for size in line.split()[:3]]


def _build(target, folder, name, detector, *more):
    header = (folder / "model.h").read_text()
    input = re.search(r"model_step\(.* const (\w+)\* x\)", header)[1]
    output = re.search(r"model_predict\(.* (\w+)\* y\)", header)[1]
    if detector:
        ((path, text),) = detectors.header("keyword", **detector._asdict()).items()
        (folder / path).write_text(text)
        more += (f'-DDETECTOR="{path}"',)
    execute(
        [
            *compiler(target, "-Os", folder, FOLDER),
            *("-Wl,--gc-sections", str(FOLDER / "program.c"), str(folder / "model.c")),
            *(str(FOLDER / target.board), *more, f"-DINPUT={input}", f"-DOUTPUT={output}"),
            *("-o", str(folder / name)),
        ]
    )
    return folder / name


def initializer(array):
    """An array in C."""
    if array.ndim == 0:
        return str(array)
    return "{" + ",\n"[: 1 + (array.ndim > 1)].join(map(initializer, array)) + "}"
