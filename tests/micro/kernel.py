"""The C kernel in a child process, built with sanitizers: its results, or how it died."""

import pathlib
import re
import struct
import subprocess

import numpy as np

import keras_fastgrnn.micro
from keras_fastgrnn.export.cell.blocks import unpack

SOURCES = pathlib.Path(keras_fastgrnn.micro.__file__).parent
FLAGS = [
    *("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
]
HEADER = (SOURCES / "include" / "fastgrnn.h").read_text()
STATUSES = re.findall(r"^  FASTGRNN_(OK|ERROR_\w+)", HEADER, re.MULTILINE)


def build(folder):
    """Compiles the driver into `folder` and returns its path."""
    program = folder / "kernel_driver"
    driver = pathlib.Path(__file__).parent / "kernel_driver.c"
    sources = [driver, *(SOURCES / "src").glob("*.c")]
    subprocess.run(
        ["gcc", *FLAGS, f"-I{SOURCES / 'include'}", *map(str, sources), "-o", str(program)],
        check=True,
    )
    return program


class Kernel:
    """One running driver. `with Kernel(program) as kernel: ...`"""

    def __init__(self, program):
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, error = self._process.communicate()
        assert self._process.returncode == 0, error.decode()  # leaks are reported at the end

    def init(self, options, weights):
        """Returns the name of the status of `fastgrnn_init()`."""
        self._send(struct.pack("<5I", len(options), len(weights), 0, 0, 0) + options + weights)
        return STATUSES[struct.unpack("<I", self._read(4))[0]]

    def run(self, options, weights, x, state=None):
        """Runs an accepted cell over `x (n, timesteps, features)`. Returns `(y, state)`."""
        n, timesteps = x.shape[:2]
        head = struct.pack("<5I", len(options), len(weights), n, timesteps, state is not None)
        self._send(head + options + weights)
        (status,) = struct.unpack("<I", self._read(4))
        assert STATUSES[status] == "OK"
        cell, flags = unpack(options, weights)
        assert x.dtype == cell.input_dtype
        self._send(x.tobytes() + (b"" if state is None else state.tobytes()))
        shape = (n, timesteps, cell.units) if flags["return_sequences"] else (n, cell.units)
        dtype = np.dtype(cell.output_dtype)
        y = np.frombuffer(self._read(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
        return y, np.frombuffer(self._read(2 * n * cell.units), np.int16).reshape(n, cell.units)

    def _send(self, data):
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._died()

    def _read(self, size):
        data = self._process.stdout.read(size)
        if len(data) != size:
            self._died()
        return data

    def _died(self):
        raise AssertionError(f"the kernel died: {self._process.stderr.read().decode()}")
