"""Loads the interpreter of the package tflite_micro, and the C kernel for it."""

import ctypes
import functools
import importlib.metadata
import threading

from keras_fastgrnn.micro.host import compiler

VERSION = "0.dev20261023182759"  # tflm_abi.h describes this version; pyproject.toml pins it
REGISTERER = "keras_fastgrnn_register"

SOURCES = (*compiler.KERNEL, "tflm/fastgrnn_op.cc", "host/registerer.c")
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
            f'pip install "tflite_micro=={VERSION}"; on other machines than Linux on x86-64 use '
            "keras_fastgrnn.interpreters.interpreter()"
        ) from None
    if installed != VERSION:  # before loading anything: another layout would crash
        raise ImportError(
            f"keras_fastgrnn.micro.Interpreter needs tflite_micro {VERSION}, and {installed} is "
            f'installed: pip install "tflite_micro=={VERSION}"'
        )
    from tflite_micro import runtime

    kernel = _kernel()
    interpreter = ctypes.CDLL(runtime._runtime.__file__)
    compiler.set_functions(
        kernel, {name: interpreter[symbol] for name, symbol in _FUNCTIONS.items()}
    )
    return runtime


def _kernel():
    # RTLD_GLOBAL: the interpreter searches the global symbols.
    return compiler.library(SOURCES, mode=ctypes.RTLD_GLOBAL)
