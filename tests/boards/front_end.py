"""TFLite Micro's audio front end on a Cortex-M under QEMU: built from its sources, run, checked and
measured."""

import pathlib
import shutil
import tempfile

from tests.boards import FOLDER, emulate, execute

_LIB = "tensorflow/lite/experimental/microfrontend/lib"
_KISSFFT = "tensorflow/lite/micro/tools/make/downloads/kissfft"
SOURCES = (
    *("fft.cc", "fft_util.cc", "filterbank.c", "filterbank_util.c", "frontend.c"),
    *("frontend_util.c", "kiss_fft_int16.cc", "log_lut.c", "log_scale.c", "log_scale_util.c"),
    *("noise_reduction.c", "noise_reduction_util.c", "pcan_gain_control.c"),
    *("pcan_gain_control_util.c", "window.c", "window_util.c"),
)
PACKAGES = "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm"


def run(tflm_dir, target, audio, integers, features):
    """Builds the front end for a chip, runs it and compares each integer.

    Args:
        tflm_dir: path of a tree of TFLite Micro with kissfft in its downloads.
        target: `Target`, a Cortex-M.
        audio: int16 `(frames, 160)`.
        integers: uint16 `(n, bands)`, what the front end has to make of it.
        features: int8 `(n, bands)`, the same in int8.

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
        (folder / "audio.h").write_text(_header(audio, integers, features))
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


def _header(audio, integers, features):
    arrays = {
        f"int16_t audio[][{audio.shape[1]}]": audio,
        "uint16_t integers[][BANDS]": integers,
        "int8_t features[][BANDS]": features,
    }
    return f"enum {{ FRAMES = {len(audio)} }};\n" + "".join(
        f'__attribute__((section(".windows"))) static const {declaration} = {{\n'
        + ",\n".join(f"{{{','.join(map(str, row))}}}" for row in array.tolist())
        + "\n};\n"
        for declaration, array in arrays.items()
    )
