"""Loads the interpreter of the package tflite_micro, and the C kernel for it.

The system's C compiler compiles the kernel at first use in a process, in less than a second.
No compiled library is kept: what another user could write, this process would run.
"""

import ctypes
import functools
import importlib.metadata
import os
import pathlib
import shlex
import subprocess
import tempfile
import threading

VERSION = "0.dev20261023182759"  # tflm_abi.h describes this version; pyproject.toml pins it
REGISTERER = "keras_fastgrnn_register"

_SOURCES = pathlib.Path(__file__).parent.parent
_FLAGS = (
    "-std=c11 -O2 -fPIC -shared -fvisibility=hidden -Iinclude -Itflm -Ihost "
    "-x c src/fastgrnn.c src/fastgrnn_init.c tflm/fastgrnn_op.cc host/registerer.c"
)
_FUNCTIONS = {  # from tflm_abi.h to their names in the interpreter's library
    "MicroContextAllocatePersistentBuffer": (
        "_ZN6tflite5micro36MicroContextAllocatePersistentBufferEPNS0_13TfLiteContextEm"
    ),
    "MicroContextRequestScratchBufferInArena": (
        "_ZN6tflite5micro39MicroContextRequestScratchBufferInArenaEPNS0_13TfLiteContextEmPi"
    ),
    "MicroContextGetScratchBuffer": (
        "_ZN6tflite5micro28MicroContextGetScratchBufferEPNS0_13TfLiteContextEi"
    ),
    "MicroContextGetEvalTensor": (
        "_ZN6tflite5micro25MicroContextGetEvalTensorEPKNS0_13TfLiteContextEi"
    ),
    "MicroPrintf": "_Z11MicroPrintfPKcz",
}


_lock = threading.Lock()


def load():
    """Returns the module `tflite_micro.runtime`, whose interpreter then accepts `REGISTERER`.

    Raises:
        ImportError: if tflite_micro is not installed, or has another version.
        RuntimeError: if the kernel cannot be compiled or loaded.
    """
    with _lock:  # a second thread would otherwise load an incomplete kernel
        return _load()


@functools.cache
def _load():
    try:
        installed = importlib.metadata.version("tflite_micro")
    except importlib.metadata.PackageNotFoundError:
        raise ModuleNotFoundError(
            "keras_fastgrnn.micro.Interpreter needs the package tflite_micro: "
            f'pip install "tflite_micro=={VERSION}"'
        ) from None
    if installed != VERSION:  # before loading anything: another layout would crash
        raise ImportError(
            f"keras_fastgrnn.micro.Interpreter needs tflite_micro {VERSION}, and {installed} is "
            f'installed: pip install "tflite_micro=={VERSION}"'
        )
    from tflite_micro import runtime

    kernel = _kernel()
    interpreter = ctypes.CDLL(runtime._runtime.__file__)
    for name, symbol in _FUNCTIONS.items():
        address = ctypes.cast(interpreter[symbol], ctypes.c_void_p)
        ctypes.c_void_p.in_dll(kernel, name).value = address.value
    return runtime


def _kernel():
    """Compiles the C kernel, and loads it."""
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "kernel.so")
        command = [*shlex.split(os.environ.get("CC", "cc")), *_FLAGS.split(), "-o", str(library)]
        try:
            subprocess.run(command, cwd=_SOURCES, check=True, capture_output=True, text=True)
        except OSError as error:
            raise RuntimeError(
                f"The C kernel is compiled at first use, and the compiler '{command[0]}' cannot "
                f"be run: {error.strerror}. Install one (on Debian and Ubuntu: apt install gcc "
                "libc6-dev) or name yours in the environment variable CC."
            ) from error
        except subprocess.CalledProcessError as error:
            raise RuntimeError(
                f"The C kernel could not be compiled: {shlex.join(command)} said\n{error.stderr}"
                "A compiler without its C headers says this (on Debian and Ubuntu: apt install "
                "gcc libc6-dev)."
            ) from error
        # RTLD_GLOBAL: the interpreter searches the global symbols.
        return ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
