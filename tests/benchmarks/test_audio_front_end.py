"""The audio front end on chips, against pymicro-features.

TFLM_DIR names a tree of TFLite Micro (docs/audio_front_end.md); without it only the rest is tested.
"""

import os
import pathlib
import re
import textwrap

import pytest
from tools import require

pytest.importorskip("pymicro_features")
from benchmarks import audio_front_end  # noqa: E402
from examples.common.front_end import HOP, FrontEnd, to_int8  # noqa: E402
from tests.boards import FOLDER, TARGETS, front_end  # noqa: E402

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "audio_front_end.md").read_text()
M4 = next(target for target in TARGETS if target.name == "Cortex-M4")


@pytest.fixture
def tflm_dir():
    if "TFLM_DIR" not in os.environ:
        pytest.skip("TFLM_DIR is not set: docs/audio_front_end.md says how to get TFLite Micro")
    require(front_end.PACKAGES.split(), *M4.tools, "arm-none-eabi-g++")
    return os.environ["TFLM_DIR"]


def test_same_integers_on_a_chip(tflm_dir):
    figures = audio_front_end.measure(tflm_dir, M4, audio_front_end.synthetic(50))
    assert 0 < figures["frame"] <= figures["most"] < figures["start"]


def test_a_wrong_integer_is_found(tflm_dir):
    audio = audio_front_end.synthetic(30)
    wrong = FrontEnd().integers(audio)
    features = to_int8(wrong)
    wrong[20, 7] += 1
    with pytest.raises(RuntimeError, match="wrong integer at frame 22\n"):
        front_end.run(tflm_dir, M4, audio.reshape(-1, HOP), wrong, features)


def test_synthetic_audio_has_everything():
    audio = audio_front_end.synthetic()
    assert (audio[:160] == 0).all() and {-32768, 32767} <= set(audio.tolist())
    integers = FrontEnd().integers(audio)
    assert integers.shape == (198, 40) and integers.min() == 0
    assert integers.max() > 664  # beyond it int8 features saturate


def test_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match="There is no .*fft.cc: docs/audio_front_end.md says how"):
        audio_front_end.measure(tmp_path, M4, audio_front_end.synthetic(5))


def test_page_has_the_code_of_the_firmware():
    firmware = (FOLDER / "tflm" / "front_end.c").read_text()
    blocks = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2 and all(block in firmware for block in blocks)


def test_page_names_the_files():
    listed = re.search(r"`tensorflow/.*/lib`: (.*?)\.\n\n", PAGE, re.DOTALL)[1]
    assert textwrap.dedent(listed).replace("\n", " ").split(", ") == list(front_end.SOURCES)
