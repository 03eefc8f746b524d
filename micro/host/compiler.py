"""Compiles C of this package with the system's compiler, and loads it.

No compiled library is kept: what another user could write, this process would run. GCC and Clang
take one set of flags, Microsoft's compiler and clang-cl another.
"""

import atexit
import ctypes
import functools
import itertools
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

FOLDER = pathlib.Path(__file__).parent.parent
KERNEL = ("src/fastgrnn.c", "src/fastgrnn_init.c")
INCLUDE = ("include", "tflm", "litert", "host")


def command(sources, output, defines=(), include=INCLUDE):
    """The compiler's command, which makes a library: `output`.

    The environment variable CC names the compiler, by default `cl` on Windows, `cc` elsewhere.

    Args:
        sources: paths, absolute or in `FOLDER`, which the command is run in.
        output: path of the library.
        defines: list of names of macros.
        include: folders, absolute or in `FOLDER`.
    """
    compiler = shlex.split(os.environ.get("CC", "cl" if os.name == "nt" else "cc"))
    if pathlib.PureWindowsPath(compiler[0]).stem.lower() in ("cl", "clang-cl"):
        flags = [
            "/nologo",
            "/std:c11",
            "/O2",
            "/LD",
            "/TC",
            f"/Fe:{output}",
            f"/Fo:{output.parent}\\",
        ]
        define, folder = "/D", "/I"
    else:
        flags = ["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
        flags += ["-o", str(output), "-x", "c"]
        define, folder = "-D", "-I"
    return [
        *(*compiler, *flags, *(define + name for name in defines)),
        *(folder + str(path) for path in include),
        *map(str, sources),
    ]


def library(sources, defines=(), include=INCLUDE, mode=0):
    """Compiles and loads a library.

    Args:
        sources, defines, include: as in `command()`.
        mode: of `ctypes.CDLL`.

    Returns:
        `ctypes.CDLL`.

    Raises:
        RuntimeError: if the compiler cannot be run, or refuses the C.
    """
    path = _folder() / f"{next(_count)}{'.dll' if os.name == 'nt' else '.so'}"
    arguments = command(sources, path, defines, include)
    try:
        subprocess.run(arguments, cwd=FOLDER, check=True, capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(
            f"The C kernel is compiled at first use, and the compiler '{arguments[0]}' cannot "
            f"be run: {error.strerror}. Install one (on Debian and Ubuntu: apt install gcc "
            "libc6-dev; on macOS: xcode-select --install; on Windows: Visual Studio's Build "
            "Tools) or name yours in the environment variable CC."
        ) from error
    except subprocess.CalledProcessError as error:
        raise RuntimeError(
            f"The C kernel could not be compiled: {shlex.join(arguments)} said\n"
            f"{error.stdout}{error.stderr}A compiler without its C headers says this (on "
            "Debian and Ubuntu: apt install gcc libc6-dev)."
        ) from error
    return ctypes.CDLL(str(path), mode)


def set_functions(library, functions):
    """Sets the pointers to functions that a library has as variables.

    Args:
        library: `ctypes.CDLL`.
        functions: dict from the name of a variable to a function of another `ctypes.CDLL`.
    """
    for name, function in functions.items():
        address = ctypes.cast(function, ctypes.c_void_p)
        ctypes.c_void_p.in_dll(library, name).value = address.value


_count = itertools.count()


@functools.cache
def _folder():
    """The folder of this process's libraries, until it ends: the loader takes a new file for a
    loaded one if it has the inode of that, which a removed file gives away."""
    folder, process = tempfile.mkdtemp(), os.getpid()

    def remove():
        if os.getpid() == process:  # and not in a fork
            shutil.rmtree(folder, ignore_errors=True)  # Windows keeps a library that is loaded

    atexit.register(remove)
    return pathlib.Path(folder)
