"""A wake word's folder of C on a Cortex-M under QEMU: built, run, checked and measured."""

import pathlib
import tempfile
from typing import NamedTuple

from examples.common import firmware
from examples.common.front_end import FRAME
from tests.boards import FOLDER, compiler, emulate, execute
from tests.boards.program import initializer


class Figures(NamedTuple):
    """What a wake word takes of a chip.

    Attributes:
        start: instructions of `wake_word_init()`.
        step: those of `wake_word_hear()` for 20 ms, mean.
        most: those of the slowest 20 ms.
        front_end: mean of those of the front end alone.
        flash_bytes: code and constants.
        ram_bytes: static variables.
        stack_bytes: the deepest stack.
    """

    start: int
    step: int
    most: int
    front_end: int
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int


def run(target, tflite, detector, sound, logits, detected):
    """Builds the firmware of a wake word for a chip, runs it and compares each frame.

    Args:
        target: `Target`, a Cortex-M.
        tflite: bytes, the model.
        detector: `program.Detector`.
        sound: int16 `(frames, 320)`.
        logits: int8 `(frames,)`, what the model has to give, 0 for the first frame.
        detected: bool `(frames,)`, whether the detector hears the word.

    Returns:
        `Figures`.

    Raises:
        RuntimeError: if a tool is missing or fails; or with what the firmware said, if a byte is
            wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        threshold_q, smoothing, refractory = detector
        firmware.write(
            folder, tflite, threshold_q=threshold_q, smoothing=smoothing, refractory=refractory
        )
        (folder / "sound.h").write_text(_header(sound, logits, detected))
        compile = (
            *compiler(target, "-Os", folder, FOLDER),
            *("-isystem", str(folder / "microfrontend")),
        )
        objects = []
        for path in sorted((folder / "microfrontend").rglob("*.c")):
            objects.append(str(folder / f"{path.stem}.o"))
            # Its warnings are not ours.
            execute([*compile, "-w", "-c", str(path), "-o", objects[-1]])
        sources = *folder.glob("*.c"), FOLDER / "wake_word.c", FOLDER / target.board
        elf = folder / "wake_word.elf"
        execute(
            [
                *(*compile, *map(str, sources), *objects, "-o", str(elf)),
                *("-Wl,--gc-sections", f"-T{FOLDER / 'tflm' / 'windows.ld'}"),
            ]
        )
        found = dict(line.split() for line in emulate(target, elf) if line != "passed")
        sections = execute([f"{target.toolchain}size", "-A", str(elf)]).splitlines()
        sizes = dict(line.split()[:2] for line in sections if line.startswith("."))
    return Figures(
        *(int(found[name]) for name in ("start", "step", "most", "alone")),
        *(int(sizes[name]) for name in (".text", ".bss")),
        int(found["stack"]),
    )


def _header(sound, logits, detected):
    arrays = {
        f"int16_t sound[][{FRAME}]": sound,
        "int8_t logits[]": logits,
        "uint8_t detected[]": detected.astype(int),
    }
    return f"enum {{ FRAMES = {len(sound)} }};\n" + "".join(
        f'__attribute__((section(".windows"))) static const {name} = {initializer(array)};\n'
        for name, array in arrays.items()
    )
