import concurrent.futures
import importlib.metadata
import subprocess
import sys
import threading

import pytest

from keras_fastgrnn.micro.host import runtime


@pytest.fixture
def fresh_runtime():
    runtime._load.cache_clear()
    yield
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
    (pinned,) = (r for r in requirements if r.endswith('extra == "micro"'))
    assert pinned.startswith(f"tflite_micro=={runtime.VERSION};")


@pytest.mark.test_all  # test_wheel.py imports the package without it
def test_import_does_not_need_tflite_micro():
    code = "import sys, keras_fastgrnn.micro; sys.exit('tflite_micro' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "compiler, message",
    [
        ("no-such-cc", "compiler 'no-such-cc' cannot be run: No such file .*apt install gcc"),
        ("gcc -Werror -DMicroPrintf", r"could not be compiled: gcc -Werror (.|\n)*error:"),
    ],
)
def test_no_compiler(fresh_runtime, monkeypatch, compiler, message):
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(RuntimeError, match=message):
        runtime.load()


def test_threads_load_one_kernel(fresh_runtime, monkeypatch):
    started, kernels, load = threading.Barrier(4), [], runtime._kernel
    monkeypatch.setattr(runtime, "_kernel", lambda: kernels.append(load()) or kernels[-1])

    def first(_):
        started.wait(timeout=60)
        return runtime.load()

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(first, range(4)))) == 1
    assert len(kernels) == 1
