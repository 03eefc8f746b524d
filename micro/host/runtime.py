"""The interpreter of the package tflite_micro, with the C kernel loaded beside it.

The kernel is compiled at first use, by the system's C compiler, into the user's cache.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import shlex
import subprocess
import tempfile

VERSION = "0.dev20261023182759"  # tflm_abi.h is true of this one; pyproject.toml pins the same
REGISTERER = "keras_fastgrnn_register"

_SOURCES = pathlib.Path(__file__).parent.parent
_FLAGS = (
    "-std=c11 -O2 -fPIC -shared -fvisibility=hidden -Iinclude -Itflm -Ihost "
    "-x c src/fastgrnn.c tflm/fastgrnn_op.cc host/registerer.c"
)
_FUNCTIONS = {  # of tflm_abi.h: their names in the interpreter's library
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


@functools.cache
def load():
    """Returns the module `tflite_micro.runtime`, whose interpreter then takes `REGISTERER`.

    Raises:
        ImportError: if tflite_micro is not installed, or in another version.
        RuntimeError: if the kernel can not be compiled.
    """
    try:
        installed = importlib.metadata.version("tflite_micro")
    except importlib.metadata.PackageNotFoundError:
        raise ModuleNotFoundError(
            "keras_fastgrnn.micro.Interpreter needs the package tflite_micro: "
            'pip install "keras-fastgrnn[micro]"'
        ) from None
    if installed != VERSION:  # before anything of it is loaded: another layout ends in a crash
        raise ImportError(
            f"keras_fastgrnn.micro.Interpreter needs tflite_micro {VERSION}, and {installed} is "
            f'installed: pip install "tflite_micro=={VERSION}"'
        )
    from tflite_micro import runtime

    kernel = ctypes.CDLL(str(_build()), ctypes.RTLD_GLOBAL)  # the interpreter searches there
    interpreter = ctypes.CDLL(runtime._runtime.__file__)
    for name, symbol in _FUNCTIONS.items():
        address = ctypes.cast(interpreter[symbol], ctypes.c_void_p)
        ctypes.c_void_p.in_dll(kernel, name).value = address.value
    return runtime


def _build():
    """Returns the path of the shared library, compiled unless the cache has it."""
    digest = hashlib.sha256(_FLAGS.encode())
    for path in sorted(_SOURCES.glob("*/*.[ch]*")):
        digest.update(path.read_bytes())
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    library = folder / "keras-fastgrnn" / f"kernel-{digest.hexdigest()[:16]}.so"
    if library.exists():
        return library

    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=library.parent)
    except OSError as error:
        raise RuntimeError(
            f"The compiled kernel can not be kept in {library.parent}: {error.strerror}. "
            "Set XDG_CACHE_HOME to a folder that can be written."
        ) from error
    with temporary:
        output = os.path.join(temporary.name, library.name)
        command = [*shlex.split(os.environ.get("CC", "cc")), *_FLAGS.split(), "-o", output]
        try:
            subprocess.run(command, cwd=_SOURCES, check=True, capture_output=True, text=True)
        except OSError as error:
            raise RuntimeError(
                f"The C kernel is compiled at first use, and the compiler '{command[0]}' can not "
                f"be run: {error.strerror}. Install one (on Debian and Ubuntu: apt install gcc "
                "libc6-dev) or name yours in the environment variable CC."
            ) from error
        except subprocess.CalledProcessError as error:
            raise RuntimeError(
                f"The C kernel could not be compiled: {shlex.join(command)} said\n{error.stderr}"
                "A compiler without its C headers says this (on Debian and Ubuntu: apt install "
                "gcc libc6-dev)."
            ) from error
        os.replace(output, library)  # at once: another process may be doing the same
    return library
