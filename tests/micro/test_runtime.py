import concurrent.futures
import importlib.metadata
import os
import subprocess
import sys
import threading

import pytest

from keras_fastgrnn.micro.host import runtime


@pytest.fixture
def fresh_runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runtime._load.cache_clear()
    yield tmp_path
    runtime._load.cache_clear()


def test_another_version_of_tflite_micro(fresh_runtime, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.dev20260801")
    message = (
        f"needs tflite_micro {runtime.VERSION}, and 0.dev20260801 is installed: "
        f'pip install "tflite_micro=={runtime.VERSION}"'
    )
    with pytest.raises(ImportError, match=message):
        runtime.load()


def test_tflite_micro_is_not_installed(fresh_runtime, monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ImportError, match=f'pip install "tflite_micro=={runtime.VERSION}"'):
        runtime.load()


def test_the_version_is_the_extras():
    requirements = importlib.metadata.requires("keras-fastgrnn")
    assert f'tflite_micro=={runtime.VERSION}; extra == "micro"' in requirements


@pytest.mark.test_all  # test_wheel.py imports it where there is none
def test_import_does_not_need_tflite_micro():
    code = "import sys, keras_fastgrnn.micro; sys.exit('tflite_micro' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "compiler, message",
    [
        ("no-such-cc", "compiler 'no-such-cc' can not be run: No such file .*apt install gcc"),
        ("gcc -Werror -DMicroPrintf", r"could not be compiled: gcc -Werror (.|\n)*error:"),
    ],
)
def test_no_compiler(fresh_runtime, monkeypatch, compiler, message):
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(RuntimeError, match=message):
        runtime.load()
    assert not any((fresh_runtime / "cache" / "keras-fastgrnn").iterdir())


def test_no_cache(fresh_runtime):
    (fresh_runtime / "cache").write_text("a file")
    with pytest.raises(RuntimeError, match="can not be kept in .*Set XDG_CACHE_HOME"):
        runtime.load()


@pytest.fixture
def library(fresh_runtime):
    """The path of a library in the cache."""
    runtime._kernel()
    (path,) = (fresh_runtime / "cache" / "keras-fastgrnn").iterdir()
    return path


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [truncate, alter, empty, link, pipe])
def test_damaged_library_is_compiled_again(library, damage, monkeypatch):
    good = library.read_bytes()
    damage(library)
    runtime._kernel()
    assert library.read_bytes() == good and not library.is_symlink()
    monkeypatch.setenv("CC", "no-such-cc")
    runtime._kernel()  # it was kept


def test_damage_does_not_reach_who_has_loaded_it(library):
    kernel = runtime._kernel()
    empty(library)
    assert kernel.keras_fastgrnn_register  # a bus error, if it were mapped from the file


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077], ids=oct)
def test_the_cache_is_for_its_owner_to_write(fresh_runtime, umask):
    before = os.umask(umask)
    try:
        runtime._kernel()
    finally:
        os.umask(before)
    folder = fresh_runtime / "cache" / "keras-fastgrnn"
    assert not any(path.stat().st_mode & 0o022 for path in (folder, *folder.iterdir()))


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777], ids=oct)
@pytest.mark.parametrize("whose", ["library", "folder"])
def test_what_others_can_write_is_not_loaded(library, whose, mode):
    path = library if whose == "library" else library.parent
    path.chmod(mode)
    with pytest.raises(RuntimeError) as error:
        runtime._kernel()
    message = f"{path} can be written by other users, its mode being {mode:o}, and might be their"
    assert message in str(error.value)
    assert "Delete it, or set XDG_CACHE_HOME to a folder that is yours." in str(error.value)


@pytest.mark.parametrize("whose", ["library", "folder"])
def test_what_others_own_is_not_loaded(library, whose, monkeypatch):
    path = library if whose == "library" else library.parent
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        owner = 12345
    else:  # as another user would see it
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(
        RuntimeError, match=f"{path} belongs to another user, whose number is {owner}"
    ):
        runtime._kernel()


def test_two_processes_compile_at_once(fresh_runtime):
    waiting = fresh_runtime / "cc"  # compiles when the other process has come as far
    waiting.write_text(
        f"""#!/bin/sh
touch {fresh_runtime}/started.$$
until [ $(ls {fresh_runtime} | grep -c started) = 2 ]; do sleep 0.1; done
exec cc "$@"
"""
    )
    waiting.chmod(0o755)
    code = "from keras_fastgrnn.micro.host import runtime; runtime._kernel()"
    command, env = [sys.executable, "-c", code], os.environ | {"CC": str(waiting)}
    processes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (library,) = (fresh_runtime / "cache" / "keras-fastgrnn").iterdir()
    assert library.suffix == ".so"


def test_threads_load_one_kernel(fresh_runtime, monkeypatch):
    started, kernels, load = threading.Barrier(4), [], runtime._kernel
    monkeypatch.setattr(runtime, "_kernel", lambda: kernels.append(load()) or kernels[-1])

    def first(_):
        started.wait(timeout=60)
        return runtime.load()

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(first, range(4)))) == 1
    assert len(kernels) == 1


def test_the_glue_compiles_without_warnings():
    warnings = "-fsyntax-only -Wall -Wextra -Wconversion -Wpedantic -Werror"
    command = ["gcc", *warnings.split(), *runtime._FLAGS.split()]
    subprocess.run(command, cwd=runtime._SOURCES, check=True)
