"""The wheel, installed in a virtual environment of its own and used from there."""

import pathlib
import subprocess
import sys
import sysconfig
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
import importlib.util
import sys

# As if no extra were installed: an import of one of these fails.
EXTRAS = ("tflite_micro", "pymicro_features", "matplotlib", "hypothesis", "pytest")
sys.modules.update(dict.fromkeys(EXTRAS))

import keras_fastgrnn
import keras_fastgrnn.edgeml, keras_fastgrnn.export, keras_fastgrnn.micro, keras_fastgrnn.pruning

assert keras_fastgrnn.__file__.startswith(sys.prefix), keras_fastgrnn.__file__
for name in ("export", "micro"):
    assert importlib.util.find_spec(name) is None, f"a second copy is importable as {name}"

import keras
import numpy as np

x = np.random.default_rng(0).normal(size=(20, 12, 3)).astype("float32")
model = keras.Sequential([keras.layers.Input((12, 3)), keras_fastgrnn.FastGRNN(8)])
data = keras_fastgrnn.export.convert(model, representative_dataset=x)
del sys.modules["tflite_micro"]
y = keras_fastgrnn.micro.Interpreter(data).predict(x)
# One step of int8 at the output, and the rounding of the input and the weights.
assert np.abs(y - model.predict(x, verbose=0)).max() < 0.02
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: a build leaves folders behind, and two could meet.
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
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_holds_the_c_sources_and_nothing_of_the_tests(wheel):
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
        if path.suffix in (".py", ".c", ".cc", ".h", ".ld", ".sh", ".cmake", ".txt")
    }
    assert names == expected


def test_depends_on_the_run_time_packages_alone(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    lines = archive.read(metadata).decode().split("\n\n")[0].splitlines()
    requires = [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line]
    always = {r.split("<")[0].split(">")[0] for r in requires if "extra ==" not in r}
    assert always == RUN_TIME


def test_works_where_it_is_installed(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--no-deps", "--quiet", wheel],
        check=True,
        capture_output=True,
    )
    # Its dependencies are those of this environment, whose own editable install of the package
    # a .pth file read in this way does not bring along.
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    result = subprocess.run(
        [python, "-c", USE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
