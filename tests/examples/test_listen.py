"""The command that listens, with a click as the keyword."""

import contextlib
import io
import os
import re
import select
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
import soxr
from absl import app, flags
from absl.testing import flagsaver
from hypothesis import given
from hypothesis import strategies as st

from examples import listen
from examples.common.detector import Detector
from examples.common.front_end import BANDS, FRAME, SAMPLE_RATE, FrontEnd, to_float
from examples.common.listener import Listener
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.micro import Interpreter

CLICKS = (1.0, 2.5, 4.0)  # seconds
# A click of 0.2 s is short for a mean over 60 ms.
FLAGS = ("--smoothing=20", "--threshold=0.1")


def model(features=BANDS, outputs=1, timesteps=50, activation=None, **arguments):
    """A model that measures loudness: the state follows the features, the logit the state."""
    layer = FastGRNN(4, return_sequences=True, nu_initializer=-100.0)
    dense = keras.layers.Dense(outputs, activation=activation)
    loud = keras.Sequential([keras.Input((timesteps, features)), layer, dense])
    kernel, recurrent_kernel, bias = (np.zeros_like(w) for w in layer.get_weights()[:3])
    kernel += 0.03
    bias[0] -= 4.0  # the gate is open, for a loud frame too
    layer.set_weights([kernel, recurrent_kernel, bias, *layer.get_weights()[3:]])
    dense.set_weights([np.full((4, outputs), 4.0), np.full(outputs, -2.0)])
    x = np.linspace(-128, 127, 50 * features).reshape(-1, timesteps, features).astype(np.int8)
    arguments = {"streaming": True, "input_type": "int8", "output_type": "int8"} | arguments
    return convert(loud, representative_dataset=to_float(x), **arguments)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "click.tflite"
    path.write_bytes(model())
    return path


@pytest.fixture(scope="module")
def listener(path):
    return Listener(path.read_bytes())


@pytest.fixture(scope="module")
def clicks():
    audio = np.zeros(5 * SAMPLE_RATE)
    rng = np.random.default_rng(0)
    for second in CLICKS:
        start = int(second * SAMPLE_RATE)
        audio[start : start + SAMPLE_RATE // 5] = rng.normal(0, 3000, SAMPLE_RATE // 5)
    return audio.astype(np.int16)


def wav(samples, rate=SAMPLE_RATE, channels=1):
    file = io.BytesIO()
    soundfile.write(file, samples.reshape(-1, channels), rate, "PCM_16", format="WAV")
    return file.getvalue()


@pytest.fixture
def run(path, capsys, monkeypatch):
    """Runs the command: `(exit code or message, lines, errors)`."""

    def run(*arguments, flags_=FLAGS, sound=b"", model=path):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sound)))
        with flagsaver.flagsaver():
            command = ["listen", f"--tflite={model}", *flags_, "--", *map(str, arguments)]
            code = listen.main(flags.FLAGS(command))
        return code, *(text.splitlines() for text in capsys.readouterr())

    return run


def test_bad_files_among_good_ones(run, clicks, tmp_path):
    good, endless = wav(clicks), bytearray(wav(clicks))
    endless[40:44] = b"\xff" * 4  # as ffmpeg writes to a pipe
    files = {
        "good": good,
        "text": b"This is no sound, but it is as long as a header of one would be.",
        "short": wav(clicks[: FRAME - 1]),
        "cut": good[: 44 + 2 * 3 * SAMPLE_RATE - 1],
        "endless": endless,
        "last": good,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    others = (tmp_path / name for name in list(files)[1:])
    code, lines, errors = run(tmp_path / "good", tmp_path / "missing", tmp_path, *others)
    assert code == 1

    heard = {name: [] for name in files}
    for line in lines:
        name, rest = re.fullmatch(rf"{tmp_path}/(\w+)  (\d+\.\d\d s  0\.\d\d)", line).groups()
        heard[name].append(rest)
    for second, rest in zip(CLICKS, heard["good"], strict=True):
        assert second < float(rest.split()[0]) < second + 0.25  # the click takes 0.2
    assert heard["endless"] == heard["last"] == heard["good"]
    assert heard["cut"] == heard["good"][:2]  # the samples before the cut are heard
    assert not any(heard[name] for name in ("text", "short"))

    said = {
        "/missing": "No such file or directory",
        "": "Is a directory",
        "/text": "Format not recognised.",
        "/short": "has less than 20 ms of sound",
    }
    for (name, problem), line in zip(said.items(), errors, strict=True):
        assert line.startswith(f"{tmp_path}{name}: {problem}")


def test_any_rate_and_channels(run, clicks, tmp_path):
    """A file that is resampled or mixed is heard at the same times."""
    both = np.stack([clicks, np.zeros_like(clicks)], axis=1)
    files = {
        "wav": (soxr.resample(clicks, SAMPLE_RATE, 44_100), 44_100),
        "flac": (soxr.resample(clicks, SAMPLE_RATE, 8000), 8000),
        "ogg": (soxr.resample(both, SAMPLE_RATE, 48_000), 48_000),
        "mp3": (clicks, SAMPLE_RATE),
    }
    for suffix, sound in files.items():
        soundfile.write(tmp_path / f"a.{suffix}", *sound)
    code, lines, errors = run(*(tmp_path / f"a.{suffix}" for suffix in files))
    assert code == 0 and not errors and len(lines) == len(files) * len(CLICKS)
    for line, second in zip(lines, len(files) * CLICKS, strict=True):
        assert second < float(line.split()[1]) < second + 0.25


def test_standard_input(run, clicks, tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(clicks))
    code, of_file, _ = run(tmp_path / "a.wav")
    assert code == 0 and len(of_file) == len(CLICKS)
    expected = [line.replace(f"{tmp_path}/a.wav", "-") for line in of_file]
    assert run("-", sound=clicks.astype("<i2").tobytes()) == (0, expected, [])
    assert run("-") == (1, [], ["-: has less than 20 ms of sound."])


class Known:
    """Hears the keyword in each frame that is not silent."""

    def listen(self, chunks):
        for i, samples in enumerate(chunks):
            yield None if i < 2 else int(samples.max())

    def probability(self, logit):
        return logit / 128


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        (1, ["1.24 s  0.94", "4.56 s  0.94"]),  # the frame that begins at 1.22 has been heard
        (3, ["1.28 s  0.94", "4.60 s  0.94"]),
        (4, ["1.28 s  0.70", "4.60 s  0.70"]),  # three of the four
    ],
)
def test_time_and_probability(smoothing, expected, tmp_path, capsys):
    sound = np.zeros(5 * SAMPLE_RATE, np.int16)
    for frame in (61, 70, 227):  # the second one comes within the refractory time
        sound[frame * FRAME : (frame + 5) * FRAME] = 120
    (tmp_path / "a.wav").write_bytes(wav(sound))
    detect = Detector(threshold=90, smoothing=smoothing, refractory=50)
    with contextlib.chdir(tmp_path):
        listen.listen(Known(), "a.wav", detect)
    assert capsys.readouterr().out.splitlines() == [f"a.wav  {line}" for line in expected]


def test_the_stream_is_the_whole(path, listener, clicks):
    """The logits of a stream are those of the model on the features of the whole sound."""
    said = list(listener.listen([*clicks.reshape(-1, FRAME), clicks[: FRAME - 1]]))
    assert said[0] is None and None not in said[1:]
    logits = Interpreter(path.read_bytes()).predict(to_float(FrontEnd()(clicks))[:, np.newaxis])
    expected = [listener.probability(logit) for logit in said[1:]]
    # float32 rounds logits of a few units.
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.ravel())), expected, rtol=1e-5)


def test_a_new_start(listener, clicks):
    """A stream that ends within a click leaves nothing in the model and the front end."""
    click = clicks[SAMPLE_RATE : SAMPLE_RATE + 6 * FRAME].reshape(-1, FRAME)
    first = list(listener.listen(click))
    assert first[-1] > first[1]
    assert list(listener.listen(click)) == first


@given(st.floats(0.01, 0.98))
def test_threshold(listener, probability):
    q = listener.quantize(probability)
    assert isinstance(q, int) and -128 < q <= 127
    assert listener.probability(q - 1) < probability <= listener.probability(q) + 1e-12


def random_model():
    """A model for another range of features."""
    x = np.random.default_rng(0).normal(size=(4, 50, BANDS))
    layers = [keras.Input((50, BANDS)), FastGRNN(2), keras.layers.Dense(1)]
    types = {"input_type": "int8", "output_type": "int8"}
    return convert(keras.Sequential(layers), representative_dataset=x, streaming=True, **types)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: model(features=39),
            r"reads int8 \(1, 1, 39\) .* It has to read int8 \(1, 1, 40\)",
        ),
        (lambda: model(outputs=2), r"gives int8 \(1, 1, 2\)\. It has to .* give one int8"),
        (lambda: model(streaming=False), r"reads int8 \(1, 50, 40\) .* It has to"),
        (lambda: model(streaming=False, timesteps=1), "keeps no state: convert it with streaming"),
        (lambda: model(input_type="float32"), r"reads float32 \(1, 1, 40\) .* It has to"),
        (lambda: model(output_type="float32"), r"gives float32 \(1, 1, 1\)\. It has to"),
        (lambda: model(activation="sigmoid"), "a Dense layer without an activation, .* sigmoid"),
        (random_model, r"other features: its input has scale 0\.\d+ and zero point"),
        (lambda: model()[:-20], "damaged"),
        (lambda: b"", "damaged"),
    ],
)
def test_another_model(run, tmp_path, make, message):
    (tmp_path / "other").write_bytes(make())
    text, lines, _ = run("-", model=tmp_path / "other")
    assert text.startswith(f"--tflite={tmp_path}/other: ") and not lines
    assert re.search(message, text)


def test_no_model(run, tmp_path):
    assert run("-", model=tmp_path)[0] == f"--tflite={tmp_path}: Is a directory"


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--threshold=1", "--threshold=1.0 is not a probability between 0 and 1."),
        ("--threshold=nan", "--threshold=nan is not a probability between 0 and 1."),
        ("--threshold=0.99999999", "--threshold=0.99999999 is never reached: the model's int8 .*"),
        ("--threshold=0.00000001", "--threshold=1e-08 is always reached: the model's int8 .*"),
    ],
)
def test_bad_flag(run, flag, message):
    text, lines, errors = run("-", flags_=[flag])
    assert re.fullmatch(message, text) and not lines and not errors


@pytest.mark.parametrize(
    "flag", ["--smoothing=0", "--smoothing=5101", "--refractory=-1", "--threshold=loud"]
)
def test_flag_that_absl_refuses(run, flag):
    with pytest.raises(flags.IllegalFlagValueError, match=flag.partition("=")[0].strip("-")):
        run("-", flags_=[flag])


def test_nothing_to_hear(run):
    with pytest.raises(app.UsageError, match="Name the files"):
        run()


def test_endless(path, clicks):
    """It prints before standard input ends, and ends quietly on Ctrl-C and a closed pipe."""
    command = [sys.executable, "-m", "examples.listen", f"--tflite={path}", *FLAGS, "--", "-"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    pipes["env"] = {key: os.environ[key] for key in os.environ if key != "PYTHONUNBUFFERED"}
    with (
        subprocess.Popen(command, **pipes) as interrupted,
        subprocess.Popen(command, **pipes) as unread,
    ):
        for process in (interrupted, unread):
            process.stdin.write(clicks[: 2 * SAMPLE_RATE].astype("<i2").tobytes())
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], 60)
            assert ready and re.fullmatch(rb"-  1\.\d\d s  0\.\d\d\n", process.stdout.readline())
        interrupted.send_signal(signal.SIGINT)
        unread.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # the process may end before it reads all
            unread.stdin.write(clicks.astype("<i2").tobytes())
            unread.stdin.flush()
        for process, code in ((interrupted, signal.SIGINT), (unread, signal.SIGPIPE)):
            assert process.wait(timeout=60) == -code
            assert b"Traceback" not in process.stderr.read()
