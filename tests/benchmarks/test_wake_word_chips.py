"""A wake word on the chips gives the logits and the decisions of this machine."""

import functools

import keras
import numpy as np
import pytest
from tools import require, write

from benchmarks.wake_word import chips
from examples.common.detector import Detector
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import c_source, convert
from tests.boards import TARGETS, program

DETECTOR = program.Detector(threshold=40, smoothing=3, refractory=12)


@functools.cache
def model(limits=True, streaming=True, units=1):
    """A streaming model with random weights, and an int8 stream for it."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    layer = FastGRNN(6, kernel_rank=3, nu_initializer=-100.0, return_sequences=True)
    model = keras.Sequential([keras.Input((30, 40)), layer, keras.layers.Dense(units)])
    for weight in layer.cell.weights:
        if "kernel" in weight.name or "bias" in weight.name:
            weight.assign(rng.normal(0, 1, weight.shape))
    features = np.clip(rng.normal(-30, 60, (8, 30, 40)), -120, 120).astype(np.int8)
    if limits:
        features[0, 0], features[0, 1] = -128, 127
    tflite = convert(
        model,
        representative_dataset=(features.astype(np.float32) + 64) / 64,
        streaming=streaming,
        input_type="int8",
        output_type="int8",
    )
    return tflite, features.reshape(-1, 40)


def decisions(y):
    hears = Detector(**DETECTOR._asdict())
    return np.array([hears(int(logit)) for logit in y[:, 0]])


@pytest.fixture(params=["Cortex-M0", "Cortex-M4", "ATmega328P"])
def target(request):
    (target,) = (target for target in TARGETS if target.name == request.param)
    require(target.packages, *target.tools)
    return target


def test_same_decisions_on_a_chip(target, tmp_path):
    tflite, features = model()
    y = chips.logits(tflite, features)
    detected = decisions(y)
    # The stream has detections, and frames over the threshold that are none.
    sums = np.convolve(y[:, 0].astype(int), [1] * DETECTOR.smoothing)[: len(y)]
    over = sums >= DETECTOR.threshold * DETECTOR.smoothing
    assert over[: DETECTOR.smoothing - 1].any()
    assert 3 <= detected.sum() < over.sum() < len(y)

    write(tmp_path, c_source(tflite))
    x = features[:, np.newaxis]
    program.replay(target, tmp_path, x, y, DETECTOR, detected)

    last = np.flatnonzero(detected)[-1]
    detected[last] = False
    with pytest.raises(RuntimeError, match=f"wrong in sequence {last}\n"):
        program.replay(target, tmp_path, x, y, DETECTOR, detected)


def test_measure():
    for chip in chips.CHIPS.values():
        (target,) = (target for target in TARGETS if target.name == chip)
        require(target.packages, *target.tools)
    tflite, features = model()
    figures = chips.measure(tflite, features[:40], *DETECTOR)
    assert figures["detections"] == decisions(chips.logits(tflite, features[:40])).sum()
    assert figures["avr_frames"] == 40
    fraction = figures["m0_instructions_per_step"] / chips.M0_BUDGET
    assert figures["m0_budget_fraction"] == fraction


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(limits=False), "The model is for other features: its input has scale 0.0"),
        (dict(streaming=False), r"The model reads int8 \(1, 30, 40\)"),
        (dict(units=2), r"and gives int8 \(1, 1, 2\)"),
    ],
)
def test_refuses_a_model(arguments, message):
    tflite, features = model(**arguments)
    with pytest.raises(ValueError, match=message):
        chips.measure(tflite, features, *DETECTOR)


def test_refuses_arguments():
    tflite, features = model()
    with pytest.raises(
        ValueError, match=r"features has to be int8 \(frames, 40\); got float32 \(240"
    ):
        chips.measure(tflite, features.astype(np.float32), *DETECTOR)
    for detector, message in (
        ((128, 3, 12), "threshold_q=128 is not in -128..127"),
        ((10, 0, 12), "smoothing=0 is not in 1..255"),
        ((10, 3, 65536), "refractory=65536 is not in 0..65535"),
    ):
        with pytest.raises(ValueError, match=message):
            chips.measure(tflite, features, *detector)
