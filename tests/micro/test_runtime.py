import importlib.metadata
import os
import subprocess
import sys

import pytest

from keras_fastgrnn.micro.host import runtime


@pytest.fixture
def fresh_runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runtime.load.cache_clear()
    yield tmp_path
    runtime.load.cache_clear()


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
    with pytest.raises(ImportError, match=r'pip install "keras-fastgrnn\[micro\]"'):
        runtime.load()


def test_the_version_is_the_extras():
    requirements = importlib.metadata.requires("keras-fastgrnn")
    assert f'tflite_micro=={runtime.VERSION}; extra == "micro"' in requirements


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
    code = "from keras_fastgrnn.micro.host import runtime; runtime.load()"
    command, env = [sys.executable, "-c", code], os.environ | {"CC": str(waiting)}
    processes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (library,) = (fresh_runtime / "cache" / "keras-fastgrnn").iterdir()
    assert library.suffix == ".so"


def test_the_glue_compiles_without_warnings():
    warnings = "-fsyntax-only -Wall -Wextra -Wconversion -Wpedantic -Werror"
    command = ["gcc", *warnings.split(), *runtime._FLAGS.split()]
    subprocess.run(command, cwd=runtime._SOURCES, check=True)
