"""TFLite Micro's audio front end on chips, against pymicro-features on this machine.

    python -m benchmarks.audio_front_end --tflm_dir=...

docs/audio_front_end.md says how to get the tree. Every integer of two seconds of synthetic audio is
compared; one that differs fails the command.
"""

import pathlib
import shutil
import tempfile

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.tflm_tree import TFLM_DIR
from examples.common import command
from examples.common.front_end import HOP, SAMPLE_RATE, FrontEnd, to_int8
from tests.boards import FOLDER, TARGETS, emulate, execute

CHIPS = ("Cortex-M0", "Cortex-M4")
_LIB = "tensorflow/lite/experimental/microfrontend/lib"
_KISSFFT = "tensorflow/lite/micro/tools/make/downloads/kissfft"
SOURCES = (
    *("fft.cc", "fft_util.cc", "filterbank.c", "filterbank_util.c", "frontend.c"),
    *("frontend_util.c", "kiss_fft_int16.cc", "log_lut.c", "log_scale.c", "log_scale_util.c"),
    *("noise_reduction.c", "noise_reduction_util.c", "pcan_gain_control.c"),
    *("pcan_gain_control_util.c", "window.c", "window_util.c"),
)
PACKAGES = "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm"


def synthetic(frames=200, seed=0):
    """Silence, a bang, tones that glide and swell in noise, and what clips.

    Returns:
        int16 `(frames * 160,)`.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(frames * HOP) / SAMPLE_RATE
    audio = sum(
        amplitude * np.sin(2 * np.pi * (start + slope * t) * t) * np.sin(np.pi * rate * t) ** 2
        for amplitude, start, slope, rate in zip(
            (9000, 6000, 15000), (180, 900, 3000), (90, 400, 900), (1.5, 2.3, 0.7), strict=True
        )
    )
    audio += rng.normal(0, 300, len(t)) * (1 + np.sin(2 * np.pi * t))
    audio[: SAMPLE_RATE // 5] = 0
    audio[SAMPLE_RATE // 5 :][: SAMPLE_RATE // 10] *= 20
    audio[-SAMPLE_RATE // 5 :] *= 4
    return np.clip(np.round(audio), -32768, 32767).astype(np.int16)


def integers(audio):
    """What the front end makes of a stream: uint16 `(frames, 40)`."""
    return FrontEnd().integers(audio)


def measure(tflm_dir, target, audio):
    """Builds the front end for a chip, runs it and compares each integer.

    Args:
        tflm_dir: path of a tree of TFLite Micro with kissfft in its downloads.
        target: `Target`, a Cortex-M.
        audio: int16 `(160 * frames,)`.

    Returns:
        dict of figures: instructions of a `frame`, the mean, of the slowest one (`most`) and of the
        `start` (`None`: more than the counter holds); bytes of `memory` and `stack`, and of `text`:
        all code and constants of the firmware but the audio and what it is compared with.

    Raises:
        ValueError: if the tree lacks a file, with the commands to get it.
        RuntimeError: if a tool is missing or fails; or with what the firmware said, if an integer
            is wrong.
    """
    tree = pathlib.Path(tflm_dir)
    sources = [tree / _LIB / name for name in SOURCES]
    for path in (*sources, tree / _KISSFFT / "kiss_fft.c"):
        if not path.is_file():
            raise ValueError(
                f"There is no {path}: docs/audio_front_end.md says how to get the tree, and name "
                "it by --tflm_dir."
            )
    compilers = {
        suffix: target.toolchain + name for suffix, name in ((".c", "gcc"), (".cc", "g++"))
    }
    missing = [name for name in (*compilers.values(), target.emulator[0]) if not shutil.which(name)]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} not found; in Debian: apt-get install {PACKAGES}"
        )
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "audio.h").write_text(_header(audio))
        options = (
            *(*target.flags, "-O2", "-ffunction-sections", "-fdata-sections", "-fno-exceptions"),
            *("-fno-rtti", "-fno-builtin-fprintf", "-DNDEBUG"),
            *(f"-I{path}" for path in (tree, tree / _KISSFFT, FOLDER, folder)),
        )
        objects = []
        for path in (*sources, FOLDER / "tflm" / "front_end.c", FOLDER / target.board):
            objects.append(str(folder / f"{path.name}.o"))
            execute([compilers[path.suffix], *options, "-c", str(path), "-o", objects[-1]])
        elf = folder / "front_end.elf"
        execute(
            [
                *(compilers[".cc"], *options, *objects, "-o", str(elf)),
                *("-Wl,--gc-sections", f"-T{FOLDER / 'tflm' / 'windows.ld'}"),
            ]
        )
        figures = dict(line.split() for line in emulate(target, elf) if line != "passed")
        sections = execute([f"{target.toolchain}size", "-A", str(elf)]).splitlines()
        (text,) = (line.split()[1] for line in sections if line.startswith(".text"))
    figures = {name: int(value) for name, value in (figures | {"text": text}).items()}
    return figures | {"start": None if figures["start"] == 2**32 - 1 else figures["start"]}


def _header(audio):
    heard = integers(audio)
    arrays = {
        f"int16_t audio[][{HOP}]": audio.reshape(-1, HOP),
        "uint16_t integers[][BANDS]": heard,
        "int8_t features[][BANDS]": to_int8(heard),
    }
    return f"enum {{ FRAMES = {len(audio) // HOP} }};\n" + "".join(
        f'__attribute__((section(".windows"))) static const {declaration} = {{\n'
        + ",\n".join(f"{{{','.join(map(str, row))}}}" for row in array.tolist())
        + "\n};\n"
        for declaration, array in arrays.items()
    )


def main():
    audio = synthetic()
    table = Table(title=f"{len(audio) // HOP} frames of 10 ms, every integer equal")
    table.add_column("chip")
    columns = ("frame", "most", "start", "memory", "stack", "text")
    for name in columns:
        table.add_column(name, justify="right")
    for chip in CHIPS:
        (target,) = (target for target in TARGETS if target.name == chip)
        with command.one_line():
            figures = measure(TFLM_DIR.value, target, audio)
        values = (figures[name] for name in columns)
        table.add_row(chip, *("" if value is None else f"{value:,}" for value in values))
    Console().print(table)


if __name__ == "__main__":
    command.run(main)
