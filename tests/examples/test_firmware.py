"""The folder of C of a wake word, on this machine; test_audio_front_end.py has the chips."""

import re
import shlex
import subprocess

import numpy as np
import pytest
from speech import GLIDES, word, write
from tools import require_front_end

from benchmarks.audio_front_end import expected, random_detector, synthetic
from examples import listen
from examples.common import firmware
from examples.common.detector import Detector
from examples.common.front_end import FRAME
from examples.common.front_end_tables import tables
from examples.common.listener import Listener
from tests.boards import execute

STRICT = "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"
SANITIZE = "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"


@pytest.fixture(scope="module")
def tflite():
    return random_detector(units=6, kernel_rank=3, recurrent_rank=None)


@pytest.fixture(scope="module")
def sound():
    """int16 `(frames, 320)`: words, noise, samples that clip, a second of silence, and more."""
    rng = np.random.default_rng(0)
    words = [word(name, pitch, rng) for name in GLIDES for pitch in (200, 350)]
    loud = np.clip(20.0 * words[0], -32768, 32767).astype(np.int16)
    noise = rng.normal(0, 3000, 16000).astype(np.int16)
    parts = [*words, loud, noise, np.zeros(16000, np.int16), *words[:3], synthetic().ravel()]
    return np.concatenate(parts).reshape(-1, FRAME)


@pytest.fixture(scope="module")
def detector(tflite, sound):
    """`expected()`: logits, `program.Detector` and decisions."""
    logits, detector, detected = expected(tflite, sound)
    assert len(set(logits.tolist())) > 100 and detected.sum() > 5
    return logits, detector, detected


@pytest.fixture(scope="module")
def folder(tflite, detector, tmp_path_factory):
    require_front_end()
    folder = tmp_path_factory.mktemp("firmware")
    threshold_q, smoothing, refractory = detector[1]
    paths = firmware.write(
        folder, tflite, threshold_q=threshold_q, smoothing=smoothing, refractory=refractory
    )
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(paths) == written
    return folder


def build(folder, program, source):
    """Compiles a C file of the tests with a folder: ours without a warning, and the front end's."""
    gcc = ("gcc", "-std=c99", "-O2", *SANITIZE, f"-I{folder}", f"-isystem{folder}/microfrontend")
    objects = []
    for path in (folder / "microfrontend").rglob("*.c"):
        objects.append(f"{program}_{path.stem}.o")
        execute([*gcc, "-w", "-c", str(path), "-o", objects[-1]])
    own = map(str, folder.glob("*.c"))
    execute([*gcc, *STRICT, source, *own, *objects, "-lm", "-o", str(program)])


def run(command, sound):
    result = subprocess.run(command, input=sound.tobytes(), capture_output=True, check=False)
    assert not result.returncode and not result.stderr, result.stderr.decode()
    return result.stdout.decode().splitlines()


def test_same_logits(folder, sound, detector, tmp_path):
    logits, _, detected = detector
    build(folder, tmp_path / "logits", "tests/examples/firmware_logits.c")
    lines = run([tmp_path / "logits", str(FRAME)], sound)
    found = np.array([line.split() for line in lines], int)
    np.testing.assert_array_equal(found, np.stack([logits, detected], axis=1))

    for n in (1, 160, 257, 1000):
        calls = [int(line.split()[1]) for line in run([tmp_path / "logits", str(n)], sound)]
        last_samples = (np.flatnonzero(detected) + 1) * FRAME - 1
        last_samples = last_samples[last_samples < len(calls) * n]
        assert len(last_samples) > 5
        np.testing.assert_array_equal(calls, np.bincount(last_samples // n, minlength=len(calls)))


def test_program_hears_what_listen_does(folder, tflite, sound, detector, tmp_path, capsys):
    (command,) = re.findall(r"gcc .*", (folder / "wake_word.h").read_text())
    execute(["sh", "-c", f"cd {shlex.quote(str(folder))} && {command}"])
    heard = run([folder / "hear"], np.append(sound.ravel(), sound[0, 1:]))

    write(tmp_path / "a.wav", sound.ravel())
    listen.listen(Listener(tflite), str(tmp_path / "a.wav"), Detector(**detector[1]._asdict()))
    lines = capsys.readouterr().out.splitlines()
    assert heard == [re.search(r"\d+\.\d\d s", line)[0] for line in lines]
    assert len(heard) == detector[2].sum()
    (folder / "hear").unlink()


def test_tables_are_those_of_tflite_micro(folder, tmp_path):
    """They are in the archive, in files that a firmware does without."""
    lib = "tensorflow/lite/experimental/microfrontend/lib"
    names = "window_util", "filterbank_util", "pcan_gain_control_util"
    for name in names:
        (tmp_path / lib).mkdir(parents=True, exist_ok=True)
        for source, suffix in ((".h", ".h"), (".cc", ".c")):
            text = firmware.read(require_front_end(), f"{lib}/{name}{source}")
            (tmp_path / lib / f"{name}{suffix}").write_text(text)
    includes = f"-I{tmp_path}", f"-I{folder}/microfrontend"
    sources = "tests/examples/front_end_tables.c", *(f"{tmp_path / lib / name}.c" for name in names)
    program = str(tmp_path / "tables")
    execute(["gcc", "-std=c99", "-w", *includes, *sources, "-lm", "-o", program])
    found = {}
    for line in execute([program]).splitlines():
        name, *values = line.split()
        found[name] = list(map(int, values))
    # C leaves the unused fourth of each row of gains as it was.
    found["gains"][5::4] = [0] * len(found["gains"][5::4])
    assert found == {name: np.ravel(values).tolist() for name, values in tables().items()}


def test_without_a_network(tflite, tmp_path, monkeypatch, capsys):
    def no_network(path, *arguments, instead):
        raise ValueError(f"pip cannot download it (no network): put {instead}.")

    monkeypatch.setattr(firmware.pypi, "fetch", no_network)
    arguments = {"threshold_q": 0, "smoothing": 3, "refractory": 50}
    paths = firmware.write(tmp_path / "c", tflite, **arguments, name="hey", cache_dir=tmp_path)
    assert {"hey.h", "hey.c", "hey_model.c", "front_end.c", "host/main.c"} < set(paths)
    assert not any("microfrontend" in path for path in paths)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}/c lacks the folder microfrontend: pip cannot download")
    assert f"put its source archive from PyPI at {tmp_path}/pymicro-features-2.0.2.tar.gz." in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold_q": 128}, r"threshold_q=128 is not in -128\.\.127"),
        ({"smoothing": 0}, r"smoothing=0 is not in 1\.\.255"),
        ({"refractory": 65536}, r"refractory=65536 is not in 0\.\.65535"),
        ({"name": "hey you"}, "name='hey you' is not supported"),
        ({"tflite": b""}, "damaged"),
    ],
)
def test_refuses(tflite, tmp_path, arguments, message):
    good = {"tflite": tflite, "threshold_q": 0, "smoothing": 3, "refractory": 50}
    with pytest.raises(ValueError, match=message):
        firmware.write(tmp_path / "c", **(good | arguments))
    assert not (tmp_path / "c").exists()
