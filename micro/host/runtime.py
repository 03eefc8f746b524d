"""Loads the interpreter of the package tflite_micro, and the C kernel for it.

The system's C compiler compiles the kernel at first use, into the user's cache. The cached library
runs in this process: it is loaded only if no other user can have changed it, and if it is whole.
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

VERSION = "0.dev20261023182759"  # tflm_abi.h describes this version; pyproject.toml pins it
REGISTERER = "keras_fastgrnn_register"

_DIGEST_SIZE = hashlib.sha256().digest_size
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
        RuntimeError: if the kernel can not be compiled or loaded.
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
    """Loads the shared library, and compiles it unless it is in the cache."""
    path = _path()
    with _open_folder(path.parent) as folder:
        library = _read(path, folder)
        if library is None:
            library = _compile()
            _keep(library, path, folder)
    # Loads the checked bytes from memory, in case the file changes.
    with open(os.memfd_create(path.name), "wb", buffering=0) as file:
        file.write(library)
        # A path with the process id: under /proc/self/ the loader may know another library by this
        # name. RTLD_GLOBAL: the interpreter searches the global symbols.
        return ctypes.CDLL(f"/proc/{os.getpid()}/fd/{file.fileno()}", ctypes.RTLD_GLOBAL)


def _path():
    """Returns the cache's path for the library of these sources on this kind of machine."""
    digest = hashlib.sha256(f"{_FLAGS} {platform.machine()}".encode())
    for path in sorted(_SOURCES.glob("*/*.[ch]*")):
        digest.update(path.read_bytes())
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return folder / "keras-fastgrnn" / f"kernel-{digest.hexdigest()[:16]}.so"


@contextlib.contextmanager
def _open_folder(path):
    """Makes the cache's folder if necessary, checks it, and returns its descriptor."""
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
    """Raises a RuntimeError if users other than this one and root may write `path`."""
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
    """Returns the bytes of the library, or `None` if they are missing or do not match the digest at
    the end of the file."""
    try:
        # Does not follow a link, nor wait for a pipe's writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(path.name, flags, dir_fd=folder), "rb") as file:
            _refuse_strangers(path, os.fstat(file.fileno()))
            data = file.read()
    except OSError:
        return None
    library, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    return library if digest == hashlib.sha256(library).digest() else None


def _keep(library, path, folder):
    """Writes the library and its digest into the cache in one step: another process may do the
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
    """Compiles the shared library, and returns its bytes."""
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
