"""What the folder of C of a wake word takes of chips: audio front end, model and detector.

    make bench-audio-front-end

The firmware hears six seconds of synthetic sound; the command fails at the first logit or decision
that is not this machine's. The model has the size of the detector of examples.wake_word and random
weights. Writes benchmarks/results/audio_front_end.json.
"""

import keras
import numpy as np

from benchmarks import record
from examples.common import command, keyword_training
from examples.common.detector import Detector
from examples.common.front_end import BANDS, FRAME, SAMPLE_RATE
from examples.common.keyword_evaluation import DETECTOR
from examples.common.listener import Listener
from tests.boards import TARGETS, program, wake_word

CHIPS = {"m0": "Cortex-M0", "m4": "Cortex-M4"}


def synthetic(frames=300, seed=0):
    """Silence, a bang, tones that glide and swell in noise, and samples that saturate.

    Returns:
        int16 `(frames, 320)`.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(frames * FRAME) / SAMPLE_RATE
    audio = sum(
        amplitude * np.sin(2 * np.pi * (start + slope * t) * t) * np.sin(np.pi * rate * t) ** 2
        for amplitude, start, slope, rate in zip(
            (9000, 6000, 15000), (180, 900, 3000), (90, 400, 900), (1.5, 2.3, 0.7), strict=True
        )
    )
    audio += rng.normal(0, 300, len(t)) * (1 + np.sin(2 * np.pi * t))
    audio[: SAMPLE_RATE // 5] = 0
    audio[SAMPLE_RATE // 5 :][: SAMPLE_RATE // 10] *= 20
    audio[-SAMPLE_RATE // 5 :] *= 4
    audio = np.clip(np.round(audio), -32768, 32767).astype(np.int16)
    return audio.reshape(frames, FRAME)


def random_detector(units=24, kernel_rank=7, recurrent_rank=8):
    """The .tflite file of a detector that has learnt nothing; its logits reach most of int8."""
    keras.utils.set_random_seed(0)
    recurrent = keyword_training.fast_grnn(units, kernel_rank, recurrent_rank)
    model = keras.Sequential([keras.Input((None, BANDS)), recurrent, keras.layers.Dense(1)])
    rng = np.random.default_rng(0)
    for weight in recurrent.cell.weights:
        if "kernel" in weight.name or "bias" in weight.name:
            weight.assign(weight + rng.normal(0, 0.15, weight.shape))
    features = np.clip(rng.normal(-40, 60, (20, 50, BANDS)), -128, 127).astype(np.int8)
    return keyword_training.to_int8(model, features)


def expected(tflite, sound):
    """What a chip has to give for int16 `(frames, 320)`.

    Returns:
        int8 `(frames,)`, the logits, with 0 for the first frame, which fills the front end;
        `program.Detector`, with a threshold that a quarter of the logits reach; bool `(frames,)`,
        its decisions.
    """
    logits = np.array([logit or 0 for logit in Listener(tflite).listen(sound)], np.int8)
    detector = program.Detector(int(np.percentile(logits, 75)), **DETECTOR)
    detect = Detector(**detector._asdict())
    return logits, detector, np.array([False, *map(detect, logits[1:].tolist())])


def measure(target, tflite, sound):
    """`wake_word.Figures` of int16 `(frames, 320)`."""
    logits, detector, detected = expected(tflite, sound)
    return wake_word.run(target, tflite, detector, sound, logits, detected)


def main():
    tflite, sound, figures = random_detector(), synthetic(), {}
    for name, chip in CHIPS.items():
        (target,) = (target for target in TARGETS if target.name == chip)
        with command.one_line():
            found = measure(target, tflite, sound)
        figures |= {f"{name}_{figure}": value for figure, value in found._asdict().items()}
    record.figures("audio_front_end.json", {"frames": len(sound)} | figures)


if __name__ == "__main__":
    command.run(main)
