"""The interpreter of the package tflite_micro, with the C kernel loaded beside it.

The kernel is compiled at first use, by the system's C compiler, into the user's cache. What the
cache holds runs in this process: it is loaded only if nobody else can have changed it, and if it is
whole.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import secrets
import shlex
import stat
import subprocess
import tempfile
import threading

VERSION = "0.dev20261023182759"  # tflm_abi.h is true of this one; pyproject.toml pins the same
REGISTERER = "keras_fastgrnn_register"

_DIGEST_SIZE = hashlib.sha256().digest_size
_SOURCES = pathlib.Path(__file__).parent.parent
_FLAGS = (
    "-std=c11 -O2 -fPIC -shared -fvisibility=hidden -Iinclude -Itflm -Ihost "
    "-x c src/fastgrnn.c src/fastgrnn_init.c tflm/fastgrnn_op.cc host/registerer.c"
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


_lock = threading.Lock()


def load():
    """Returns the module `tflite_micro.runtime`, whose interpreter then takes `REGISTERER`.

    Raises:
        ImportError: if tflite_micro is not installed, or in another version.
        RuntimeError: if the kernel can not be compiled or loaded.
    """
    with _lock:  # of two threads, one would take the other's kernel before it is complete
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
    if installed != VERSION:  # before anything of it is loaded: another layout ends in a crash
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
    """Loads the shared library, compiled unless the cache has it."""
    path = _path()
    with _open_folder(path.parent) as folder:
        library = _read(path, folder)
        if library is None:
            library = _compile()
            _keep(library, path, folder)
    # From memory: the very bytes that were checked, whatever becomes of the file.
    with open(os.memfd_create(path.name), "wb", buffering=0) as file:
        file.write(library)
        # By the number of the process: under /proc/self/ another library may have had this name,
        # and would be taken for it. The interpreter searches among the global symbols.
        return ctypes.CDLL(f"/proc/{os.getpid()}/fd/{file.fileno()}", ctypes.RTLD_GLOBAL)


def _path():
    """Where the cache has the library of these sources, for this kind of machine."""
    digest = hashlib.sha256(f"{_FLAGS} {platform.machine()}".encode())
    for path in sorted(_SOURCES.glob("*/*.[ch]*")):
        digest.update(path.read_bytes())
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return folder / "keras-fastgrnn" / f"kernel-{digest.hexdigest()[:16]}.so"


@contextlib.contextmanager
def _open_folder(path):
    """The descriptor of the cache's folder, made unless it is there, and checked."""
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _no_cache(path, error) from error
    try:
        _refuse_strangers(path, os.fstat(folder))
        yield folder
    finally:
        os.close(folder)


def _refuse_strangers(path, status):
    """Raises a RuntimeError if another user than root may write what `status` is of."""
    if status.st_uid not in (0, os.geteuid()):
        wrong = f"belongs to another user, whose number is {status.st_uid}"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = f"can be written by other users, its mode being {stat.S_IMODE(status.st_mode):o}"
    else:
        return
    raise RuntimeError(
        f"The compiled kernel is not loaded from the cache: {path} {wrong}, and might be their "
        "code. Delete it, or set XDG_CACHE_HOME to a folder that is yours."
    )


def _read(path, folder):
    """The bytes of the library, or `None` unless they are there as they were written: the file ends
    with their digest."""
    try:
        # Neither through a link nor, if it is a pipe, until somebody writes.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(path.name, flags, dir_fd=folder), "rb") as file:
            _refuse_strangers(path, os.fstat(file.fileno()))
            data = file.read()
    except OSError:
        return None
    library, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    return library if digest == hashlib.sha256(library).digest() else None


def _keep(library, path, folder):
    """Writes the library and its digest into the cache, at once: another process may be doing the
    same."""
    part = f".{secrets.token_hex(8)}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(part, flags, 0o644, dir_fd=folder), "wb") as file:
            file.write(library + hashlib.sha256(library).digest())
        os.replace(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise _no_cache(path.parent, error) from error


def _no_cache(folder, error):
    return RuntimeError(
        f"The compiled kernel can not be kept in {folder}: {error.strerror}. Set XDG_CACHE_HOME to "
        "a folder that can be written."
    )


def _compile():
    """The bytes of the shared library."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "kernel.so")
        command = [*shlex.split(os.environ.get("CC", "cc")), *_FLAGS.split(), "-o", str(output)]
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
        return output.read_bytes()
