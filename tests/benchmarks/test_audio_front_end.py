"""The folder of C of a wake word, on chips; tests/examples/test_firmware.py has this machine."""

import pytest
from tools import require, require_front_end

pytest.importorskip("pymicro_features")
from benchmarks import audio_front_end, record  # noqa: E402
from examples.common import firmware  # noqa: E402
from examples.common.front_end import FrontEnd  # noqa: E402
from tests.boards import TARGETS, execute, wake_word  # noqa: E402


@pytest.fixture(params=audio_front_end.CHIPS)
def chip(request):
    """The name of a chip in the results, and its `Target`."""
    name = audio_front_end.CHIPS[request.param]
    (target,) = (target for target in TARGETS if target.name == name)
    require(target.packages, *target.tools)
    require_front_end()
    return request.param, target


def test_same_decisions_on_a_chip(chip):
    """And its cost is the one that is kept: QEMU counts exactly."""
    name, target = chip
    tflite, sound = audio_front_end.random_detector(), audio_front_end.synthetic()
    logits, detector, detected = audio_front_end.expected(tflite, sound)
    assert len(set(logits.tolist())) > 100 and detected.sum() > 1
    found = wake_word.run(target, tflite, detector, sound, logits, detected)
    kept = record.read(record.FOLDER / "audio_front_end.json")
    # Another compiler, or another rounding of the random weights.
    assert found._asdict() == pytest.approx(
        {figure: kept[f"{name}_{figure}"] for figure in found._fields}, rel=0.03
    )

    logits[20] += 1 if logits[20] < 127 else -1
    with pytest.raises(RuntimeError, match="wrong at frame 20\n"):
        wake_word.run(target, tflite, detector, sound[:30], logits[:30], detected[:30])


def test_headers_are_cpp_too_on_a_chip(tmp_path):
    (target,) = (target for target in TARGETS if target.name == "Cortex-M4")
    require(target.packages, "arm-none-eabi-g++")
    require_front_end()
    tflite = audio_front_end.random_detector(units=2)
    firmware.write(tmp_path, tflite, threshold_q=0, smoothing=3, refractory=50)
    (tmp_path / "main.cc").write_text('#include "wake_word.h"\nwake_word word;\n')
    includes = f"-I{tmp_path}", f"-isystem{tmp_path}/microfrontend"
    warnings = "-Wall", "-Wextra", "-Wpedantic", "-Werror"
    execute(["arm-none-eabi-g++", "-fsyntax-only", *warnings, *includes, f"{tmp_path}/main.cc"])


def test_synthetic_sound_has_everything():
    sound = audio_front_end.synthetic()
    assert (sound[0] == 0).all() and {-32768, 32767} <= set(sound.ravel().tolist())
    integers = FrontEnd().integers(sound.ravel())
    assert integers.shape == (598, 40) and integers.min() == 0
    assert integers.max() > 664  # beyond it int8 features saturate
