import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver
from keras import layers

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.export.__main__ import main
from keras_fastgrnn.micro import Interpreter

X = np.random.default_rng(0).normal(0, 1, (20, 12, 3)).astype(np.float32)
SMALL = X * [1, 1, 1e-3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [layers.Input((12, 3), name="sensor"), FastGRNN(8, name="r"), layers.Dense(5)]
    )
    model.save(folder / "model.keras")
    np.save(folder / "x.npy", X)
    np.save(folder / "nan.npy", X * np.nan)
    np.save(folder / "small.npy", SMALL)
    np.save(folder / "objects.npy", np.array([None, "x"]))
    np.savez(folder / "other.npz", x=X)
    (folder / "x.csv").write_text("1,2,3\n")
    (folder / "empty.npy").write_bytes(b"")
    for name in ("x.npy", "other.npz"):
        path = folder / name
        (folder / f"cut{path.suffix}").write_bytes(path.read_bytes()[:1000])
    (folder / "damaged.keras").write_bytes(b"PK" + bytes(100))
    return folder


def run_main(**flags):
    if not absl_flags.FLAGS.is_parsed():
        absl_flags.FLAGS(["command", "--model=", "--samples=", "--output="])
    with flagsaver.flagsaver(**flags):
        main(["command"])


def run_module(folder, module, *flags):
    """Runs a command in a process of its own, in which TensorFlow would print all its messages."""
    return subprocess.run(
        [sys.executable, "-m", module, *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"},
    )


EXPORT = (
    *("keras_fastgrnn.export", "--model=model.keras", "--samples=small.npy"),
    *("--output=model.tflite", "--output_type=int8"),
)


@pytest.fixture(scope="module")
def exported(folder):
    return run_module(folder, *EXPORT)


def test_writes_the_bytes_of_convert(folder, exported):
    result = exported
    assert result.returncode == 0, result.stderr
    model = keras.models.load_model(folder / "model.keras")
    with pytest.warns(UserWarning, match="one step of its int8"):
        expected = convert(model, representative_dataset=SMALL, output_type="int8")
    data = (folder / "model.tflite").read_bytes()
    assert data == expected
    Interpreter(data)
    modes = [(folder / name).stat().st_mode for name in ("model.tflite", "x.npy")]
    assert modes[0] == modes[1]  # the permissions of any new file
    for part in ("written by", "FASTGRNN r", "r: matrices", f"{len(data):>5}  in all", "rms"):
        assert part in result.stdout


def test_one_stream(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    flags = {"model": "model.keras", "samples": ["x.npy"], "output": "stream.tflite"}
    if not absl_flags.FLAGS.is_parsed():
        absl_flags.FLAGS(["command", "--model=", "--samples=", "--output="])
    model = keras.models.load_model(folder / "model.keras")
    files = []
    for reset in ("sample", "never"):
        with flagsaver.flagsaver(**flags, streaming=True, reset=reset):
            main(["command"])
        files.append((folder / "stream.tflite").read_bytes())
        stream = convert(model, representative_dataset=X, streaming=True, reset=reset)
        assert files[-1] == stream
        assert "r: without a reset its state" in capsys.readouterr().out
    assert files[0] != files[1]
    (folder / "stream.tflite").unlink()


def test_is_quiet(folder, exported):
    """TensorFlow's C++ messages are hidden, from its import on; our warnings and errors are not."""
    (line,) = exported.stderr.splitlines()
    assert line.startswith("Warning: Input 'sensor': one step of its int8 is")

    c_source = "keras_fastgrnn.export.c_source"
    result = run_module(folder, c_source, "--model=none.tflite", "--output=c")
    assert result.returncode == 1
    assert result.stderr == "--model=none.tflite is not a file: name a .tflite file.\n"


@pytest.mark.test_all
def test_verbose(folder, exported):
    verbose = run_module(folder, *EXPORT, "--verbose")
    assert verbose.stdout == exported.stdout
    assert exported.stderr in verbose.stderr and "fully_quantize" in verbose.stderr


def test_samples_by_name(folder, monkeypatch):
    gyro, acc = (keras.Input((12, 3), name=name) for name in ("gyro", "acc"))
    joined = layers.Concatenate()([FastGRNN(4)(gyro), FastGRNN(4)(acc)])
    keras.Model([gyro, acc], layers.Dense(2)(joined)).save(folder / "two.keras")
    monkeypatch.chdir(folder)
    np.savez("two.npz", acc=X, gyro=10 * X)
    np.save("ten.npy", 10 * X)
    for samples in (["two.npz"], ["ten.npy", "x.npy"]):
        run_main(model="two.keras", samples=samples, output="two.tflite", input_type="int8")
        gyro, acc = Interpreter((folder / "two.tflite").read_bytes()).inputs
        assert gyro.scale == pytest.approx(10 * acc.scale)
    int16 = {"activations": "int16", "input_type": "int16"}
    run_main(model="two.keras", samples=["two.npz"], output="two.tflite", **int16)
    assert Interpreter((folder / "two.tflite").read_bytes()).inputs[0].dtype == np.int16
    for samples, message in (
        (["x.npy"], "--samples=x.npy: the model has inputs 'gyro', 'acc'"),
        (["two.npz", "x.npy"], "--samples=two.npz, x.npy: the model has inputs 'gyro', 'acc'"),
        (["other.npz"], r"inputs of the model are 'gyro', 'acc'; .* has arrays for 'x'\."),
    ):
        with pytest.raises(SystemExit, match=message):
            run_main(model="two.keras", samples=samples, output="refused.tflite")


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"samples": ["nan.npy"]}, "hold NaN or infinity"),
        ({"samples": ["missing.npy"]}, "--samples=missing.npy is not a file: name an .npy or .npz"),
        ({"samples": ["x.csv"]}, "--samples=x.csv is not an .npy or .npz file of numbers"),
        ({"samples": ["empty.npy"]}, "--samples=empty.npy is not an .npy or .npz file of numbers"),
        ({"samples": ["cut.npy"]}, "--samples=cut.npy is not an .npy or .npz file of numbers"),
        ({"samples": ["cut.npz"]}, "--samples=cut.npz is not an .npy or .npz file of numbers"),
        ({"samples": ["objects.npy"]}, "--samples=objects.npy is not .* of numbers"),
        ({"samples": ["."]}, "--samples=. is not a file: name an .npy or .npz file"),
        ({"samples": ["other.npz"]}, r"are 'sensor'; .* has arrays for 'x'\."),
        ({"samples": ["x.npy", "x.npy"]}, "--samples=x.npy, x.npy: the model has inputs 'sensor'"),
        ({"model": "missing.keras"}, "--model=missing.keras is not a file: name a .keras file"),
        ({"model": "."}, "--model=. is not a file: name a .keras file"),
        ({"model": "x.csv"}, "--model=x.csv is not a .keras file"),
        ({"model": "damaged.keras"}, "--model=damaged.keras is not a .keras file"),
        ({"model": "other.npz"}, "--model=other.npz cannot be loaded: "),
        ({"output": "missing/model.tflite"}, "--output=missing/model.tflite is in a folder that"),
        ({"output": "."}, "--output=. is a folder: name a file in it"),
        ({"output": "model.keras"}, "--output=model.keras is also the file of --model"),
    ],
)
def test_error_is_one_message_and_no_file(folder, monkeypatch, flags, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    flags = {"model": "model.keras", "samples": ["x.npy"], "output": "refused.tflite", **flags}
    with pytest.raises(SystemExit, match=message):
        run_main(**flags)
    assert sorted(folder.iterdir()) == before
