"""The wake word from clips to a stream, on synthetic speech."""

import re
import shlex
import wave

import numpy as np
import pytest
from speech import archive, says_where_the_archive_is
from tensorflow.lite.tools import flatbuffer_utils
from tools import run_main

from examples import keywords, listen, wake_word
from examples.common import classifier, keyword_evaluation, keyword_targets, keyword_training
from examples.common.clips import Clips, ragged
from examples.common.front_end import SAMPLE_RATE, FrontEnd, to_float
from examples.common.listener import Listener
from examples.common.speech_commands import CLASSES
from examples.common.speech_streams import AFTER, BEFORE, Spoken, in_noise
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.verify import seal

WORD = "hé computer"
STATEFUL = 8  # a flag of the options block (docs/format.md)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of the files of a word of one's own, of 12 people, and what the example printed.

    The folders of the data and of the files have a space in their names, as the word has.
    """
    folder = tmp_path_factory.mktemp("wake word")
    archive(folder / "data", people=12, takes=5, noises=2)
    (folder / "data" / "yes").rename(folder / "data" / WORD)
    given = f"--data_dir={folder / 'data'}", f"--output_dir={folder}", f"--keyword={WORD}"
    return folder, run_main(wake_word.main, *given, "--passes=3", "--epochs=10")


def cells(line):
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_example(made):
    folder, printed = made
    (line,) = (line for line in printed.splitlines() if "int8 in TFLM" in line)
    _, clips, stream, _, _, size = cells(line)
    # Only this word glides upward in this set: any working model finds it.
    assert float(clips) > 0.9 and float(stream) > 0.9, printed
    tflite = (folder / "wake_word.tflite").read_bytes()
    assert int(size.replace(",", "")) == sum(classifier.constants(tflite).values()) <= 1024
    assert (folder / "wake_word.png").read_bytes().startswith(b"\x89PNG")
    assert "no side for testing" in printed


def test_the_chosen_threshold_is_everywhere(made):
    """The table, the printed command and the C agree."""
    folder, printed = made
    (line,) = (line for line in printed.splitlines() if "│ chosen" in line)
    threshold = cells(line)[0]
    assert f"--threshold={threshold} " in printed
    threshold_q = Listener((folder / "wake_word.tflite").read_bytes()).quantize(float(threshold))
    headers = (path.read_text() for path in (folder / "hé_computer_firmware").rglob("*.h"))
    assert any(re.search(rf"_THRESHOLD = {threshold_q}\b", text) for text in headers)


def test_the_printed_command_listens(made):
    folder, printed = made
    command = shlex.split(printed.splitlines()[-1])
    assert command[:3] == ["python", "-m", "examples.listen"]
    sound = next((folder / "data" / WORD).glob("*.wav"))
    other = next((folder / "data" / "seven").glob("*.wav"))
    silent, both = folder / "silent.wav", folder / "both.wav"
    for path, parts in ((silent, 4 * [other]), (both, [other, other, sound, other])):
        with wave.open(str(path), "wb") as file:
            for i, part in enumerate(parts):
                with wave.open(str(part)) as one:
                    if i == 0:
                        file.setparams(one.getparams())
                    file.writeframes(one.readframes(one.getnframes()))

    def hear():
        assert listen.main(["listen", str(silent), str(both)]) == 0

    (line,) = run_main(hear, *command[3:-1]).splitlines()
    assert line.startswith(str(both)) and 2.0 < float(line.removeprefix(str(both)).split()[0]) < 3.5


@pytest.fixture(scope="module")
def spotter(tmp_path_factory):
    """The folder of the spotter's file, and what the example printed."""
    folder = tmp_path_factory.mktemp("keywords")
    archive(folder / "data", people=20)
    given = f"--data_dir={folder / 'data'}", f"--output_dir={folder}"
    return folder, run_main(keywords.main, *given, "--epochs=6")


def test_spotter(spotter):
    folder, printed = spotter
    (line,) = (line for line in printed.splitlines() if "int8 in TFLM" in line)
    _, accuracy, size = cells(line)
    assert float(accuracy.strip("%")) > 40, printed  # of five classes
    tflite = (folder / "keywords.tflite").read_bytes()
    assert int(size.replace(",", "")) == sum(classifier.constants(tflite).values()) <= 5632


def streaming_equal(tflite, clips):
    """Whether a stream of each clip of `clips (n, frames, 40)` ends in the same bytes as the
    operator that reads the whole clip."""
    at_once, stream = Interpreter(whole_clip(tflite, clips.shape[1])), Interpreter(tflite)
    for clip in clips:
        stream.reset()
        for frame in clip:
            last = stream.invoke(frame.reshape(stream.inputs[0].shape))
        if not np.array_equal(at_once.invoke(clip[np.newaxis])[:, -1:], last):
            return False
    return True


def whole_clip(tflite, frames):
    """The same operators, weights and formats for sequences, each from a state of zero."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        if list(tensor.shape[:2]) == [1, 1]:
            tensor.shape = tensor.shape.copy()
            tensor.shape[1] = frames
    options = bytearray(graph.operators[0].customOptions)
    options[4] &= ~STATEFUL
    graph.operators[0].customOptions = options
    return seal(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))


def test_stream_and_clip_say_the_same(made, spotter):
    """Equal features give equal streams, to the byte."""
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, loud, 16_000) for loud in (10, 1000, 10_000)]
    features = np.array([FrontEnd()(sound.astype(np.int16)) for sound in sounds])
    for path in (made[0] / "wake_word.tflite", spotter[0] / "keywords.tflite"):
        tflite = path.read_bytes()
        assert streaming_equal(tflite, features)
        # Another clip gives other bytes.
        at_once = Interpreter(whole_clip(tflite, 49))
        assert not np.array_equal(*(at_once.invoke(x[np.newaxis]) for x in features[:2]))


def test_int8_model_reads_the_features_as_they_are(made):
    folder, _ = made
    (tensor,) = Interpreter((folder / "wake_word.tflite").read_bytes()).inputs
    every = np.arange(-128, 128).astype(np.int8)
    np.testing.assert_array_equal(
        np.round(to_float(every) / tensor.scale) + tensor.zero_point, every
    )


def test_no_data(tmp_path):
    says_where_the_archive_is(wake_word.main, tmp_path)


SPOKEN = Spoken(
    word=np.array([["yes", "no", "_silence_"]]),
    first=np.array([[-3, 50, 100]]),
    start=np.array([[5, 60, 100]]),
    end=np.array([[25, 75, 150]]),
    last=np.array([[47, 100, 150]]),
)


def test_detector_targets():
    y, weight = keyword_targets.detector_targets(SPOKEN, 160, "yes")
    assert y.shape == (1, 160, 1) and weight.shape == (1, 160)
    assert np.flatnonzero(y[0, :, 0]).tolist() == list(range(20, 40))
    ignored = [*range(4, 20), *range(40, 48)]
    assert np.flatnonzero(weight[0] == 0).tolist() == ignored
    assert set(weight[0, 20:40]) == {3} and set(weight[0, 48:]) == {1}


def test_spotter_targets():
    y, weight = keyword_targets.spotter_targets(SPOKEN, 160, CLASSES)
    assert y.shape == (1, 160, 12)
    for name, frames in (
        ("yes", range(26, 47)),
        ("no", range(76, 100)),
        ("_silence_", range(148, 150)),
    ):
        assert np.flatnonzero(y[0, :, CLASSES.index(name)]).tolist() == list(frames)
    np.testing.assert_array_equal(weight, y.sum(axis=2))
    _, weight = keyword_targets.spotter_targets(SPOKEN, 160, CLASSES, late=4.0)
    late = np.flatnonzero(weight[0] == 4)
    assert late.tolist() == [44, 45, 46, 97, 98, 99, 148, 149]  # silence has two frames in all
    np.testing.assert_array_equal(np.minimum(weight, 1), y.sum(axis=2))


def test_warp():
    """A hump moves up in some streams and down in others, alike in all frames of a stream."""
    hump = np.exp(-((np.arange(40) - 20.0) ** 2) / 18)
    x = np.tile(hump.astype(np.float32), (50, 3, 1))
    warped = keyword_training.warp(x, np.random.default_rng(0))
    np.testing.assert_array_equal(warped, warped[:, :1] + 0 * warped)
    peak = warped[:, 0].argmax(axis=-1)
    # Band 20 is read at (20 +- 0.5) / (0.88 to 1.12).
    assert 17 <= peak.min() < 19 and 21 < peak.max() <= 24
    assert abs(warped.max() - 1) < 0.02  # interpolation keeps the top of a hump as wide as this


def test_in_noise():
    """A clip is heard as it is, whatever the length of the others."""
    rng = np.random.default_rng(0)
    short, long = (rng.normal(0, 1000, samples).astype(np.int16) for samples in (12_345, 40_000))
    clips = Clips(ragged([short, long]), np.array(["yes", "no"]), np.array(["a", "b"]))
    quiet = [np.ones(SAMPLE_RATE // 3, np.int16)]
    features = in_noise(clips, quiet, rng)
    assert features.shape == (2, BEFORE + 125 + AFTER, 40) and features.dtype == np.int8
    alone = in_noise(clips.take([0]), quiet, rng)
    np.testing.assert_array_equal(features[:1, : BEFORE + 39 + AFTER], alone)


def test_clip_scores():
    """Frames before the clip, and long after it, do not count."""
    smoothing, end = keyword_evaluation.SMOOTHING, BEFORE + 50
    logits = np.zeros((2, end + AFTER, 1))
    logits[0, :BEFORE] = 9
    logits[1, BEFORE + 20 :][:smoothing] = 3
    logits[:, -1] = 7 * smoothing
    scores = [
        keyword_evaluation.clip_scores(logits, np.array([last] * 2)) for last in (end - 1, end)
    ]
    np.testing.assert_allclose(scores, [[0, 3], [7, 7]], atol=1e-12)


def test_best_threshold():
    said = np.array([True, True, False, True, False, False])
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    threshold = keyword_evaluation.best_threshold(said, scores)
    assert threshold == 1.5  # three hits and one false alarm: F1 6 / 7
    assert keyword_evaluation.f1(said, scores >= threshold) == pytest.approx(6 / 7)
