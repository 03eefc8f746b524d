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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((12, 3)), FastGRNN(8, name="r"), layers.Dense(5)])
    model.save(folder / "model.keras")
    np.save(folder / "x.npy", X)
    np.save(folder / "nan.npy", X * np.nan)
    (folder / "damaged.keras").write_bytes(b"PK" + bytes(100))
    return folder


def test_writes_what_convert_gives(folder):
    result = subprocess.run(
        [
            *(sys.executable, "-m", "keras_fastgrnn.export", "--model=model.keras"),
            *("--samples=x.npy", "--output=model.tflite", "--output_type=int8"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    model = keras.models.load_model(folder / "model.keras")
    expected = convert(model, representative_dataset=X, output_type="int8")
    data = (folder / "model.tflite").read_bytes()
    assert data == expected
    Interpreter(data)
    modes = [(folder / name).stat().st_mode for name in ("model.tflite", "x.npy")]
    assert modes[0] == modes[1]  # the rights of any new file
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


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"samples": ["nan.npy"]}, "hold NaN or infinity"),
        ({"samples": ["missing.npy"]}, "missing.npy"),
        ({"model": "missing.keras"}, "missing.keras"),
        ({"model": "damaged.keras"}, "damaged.keras"),
        ({"output": "missing/model.tflite"}, "missing"),
    ],
)
def test_error_is_one_message_and_no_file(folder, monkeypatch, flags, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    flags = {"model": "model.keras", "samples": ["x.npy"], "output": "refused.tflite", **flags}
    if not absl_flags.FLAGS.is_parsed():
        absl_flags.FLAGS(["command", "--model=", "--samples=", "--output="])
    with flagsaver.flagsaver(**flags), pytest.raises(SystemExit, match=message):
        main(["command"])
    assert sorted(folder.iterdir()) == before
