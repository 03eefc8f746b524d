"""The sdist, and the wheel built from it, installed in a virtual environment."""

import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
RUN_TIME = {
    "tensorflow",
    "tensorflow-model-optimization",
    "tf_keras",
    "numpy",
    "absl-py",
    "flatbuffers",
}

USE = """
import sys

# As if no extra were installed: importing one of these fails.
EXTRAS = "tflite_micro ai_edge_litert pymicro_features matplotlib hypothesis pytest"
sys.modules.update(dict.fromkeys(EXTRAS.split()))

import keras_fastgrnn
import keras_fastgrnn.edgeml, keras_fastgrnn.export, keras_fastgrnn.micro, keras_fastgrnn.pruning
import keras_fastgrnn.interpreters, keras_fastgrnn.litert

assert keras_fastgrnn.__file__.startswith(sys.prefix), keras_fastgrnn.__file__
import keras
import numpy as np

x = np.random.default_rng(0).normal(size=(20, 12, 3)).astype("float32")
model = keras.Sequential([keras.layers.Input((12, 3)), keras_fastgrnn.FastGRNN(8)])
data = keras_fastgrnn.export.convert(model, representative_dataset=x)
del sys.modules["tflite_micro"], sys.modules["ai_edge_litert"]
y = keras_fastgrnn.micro.Interpreter(data).predict(x)
assert np.array_equal(keras_fastgrnn.litert.Interpreter(data).predict(x), y)
# One int8 step of the output, plus the rounding of the input and the weights.
assert np.abs(y - model.predict(x, verbose=0)).max() < 0.02
"""


CHECKOUT = """
import contextlib, os, runpy, sys
import keras_fastgrnn, keras_fastgrnn.export, keras_fastgrnn.micro, keras_fastgrnn.micro.host

for name, module in sys.modules.items():
    if name.startswith("keras_fastgrnn"):
        assert os.path.commonpath([os.getcwd(), module.__file__]) == os.getcwd(), module.__file__
sys.argv = ["keras_fastgrnn.export", "--help"]
with contextlib.suppress(SystemExit):
    runpy.run_module("keras_fastgrnn.export", run_name="__main__")

import pytest

tests = ["-q", "-p", "no:cacheprovider", "tests/export/test_options.py", "-k", "pairs"]
sys.exit(pytest.main(tests))
"""


def run(*command, cwd):
    """Runs a command that must succeed. Returns its output."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: a build leaves folders behind, and two builds could collide.
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", source, cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    (wheel,) = built.glob("*.whl")
    return wheel


def test_fit_for_the_registry(built):
    printed = run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir(), cwd=built)
    assert printed.count("PASSED") == 2


def test_sdist_holds_tests_and_docs(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for_the_repository_alone = {".ci/run", ".gitignore", ".pre-commit-config.yaml"}
    assert {name for name in files if (ROOT / name).is_file()} - names == for_the_repository_alone


def test_holds_the_c_sources_the_templates_and_nothing_of_the_tests(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        "keras_fastgrnn/" + str(path.relative_to(base))
        for base, folder in (
            (ROOT / "keras_fastgrnn", ROOT / "keras_fastgrnn"),
            (ROOT, ROOT / "export"),
            (ROOT, ROOT / "micro"),
        )
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert names == expected


def test_depends_only_on_runtime_packages(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    lines = archive.read(metadata).decode().split("\n\n")[0].splitlines()
    requires = [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line]
    always = {r.split("<")[0].split(">")[0] for r in requires if "extra ==" not in r}
    assert always == RUN_TIME


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of a virtual environment that has the wheel installed."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet")
    run(*pip, wheel, cwd=folder)
    # It takes its dependencies from this environment; a .pth file read in this way does not bring
    # along the editable install of the package.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    # Another project's folder, where a checkout has ours.
    (packages / "pyproject.toml").touch()
    for name in ("export", "micro"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("raise AssertionError('of another project')")
    return python


def test_works_where_it_is_installed(python, tmp_path):
    run(python, "-c", USE, cwd=tmp_path)


def test_the_root_of_a_checkout_has_the_whole_package(python):
    """Although Python imports the folder there in place of the installed package."""
    printed = run(python, "-c", CHECKOUT, cwd=ROOT)
    assert "--samples" in printed and " passed" in printed
