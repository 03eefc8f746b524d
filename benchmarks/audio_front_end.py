"""TFLite Micro's audio front end on chips, compared with pymicro-features on this machine.

    python -m benchmarks.audio_front_end --tflm_dir=...

docs/audio_front_end.md says how to get the tree. The command compares every integer of two seconds
of synthetic audio, and fails at the first that differs.
"""

import numpy as np

from benchmarks.tflm_tree import TFLM_DIR
from examples.common import command
from examples.common.front_end import HOP, SAMPLE_RATE, FrontEnd, to_int8
from tests.boards import TARGETS, front_end

CHIPS = ("Cortex-M0", "Cortex-M4")


def synthetic(frames=200, seed=0):
    """Silence, a bang, tones that glide and swell in noise, and samples that saturate.

    Returns:
        int16 `(frames * 160,)`.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(frames * HOP) / SAMPLE_RATE
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
    return np.clip(np.round(audio), -32768, 32767).astype(np.int16)


def measure(tflm_dir, target, audio):
    """`front_end.run()` of int16 `(160 * frames,)`."""
    integers = FrontEnd().integers(audio)
    return front_end.run(tflm_dir, target, audio.reshape(-1, HOP), integers, to_int8(integers))


def main():
    audio, rows = synthetic(), []
    columns = "frame", "most", "start", "memory", "stack", "text"
    for chip in CHIPS:
        (target,) = (target for target in TARGETS if target.name == chip)
        with command.one_line():
            figures = measure(TFLM_DIR.value, target, audio)
        rows.append([chip, *(f"{figures[c]:,}" if figures[c] is not None else "" for c in columns)])
    title = f"{len(audio) // HOP} frames of 10 ms, every integer equal"
    command.show(title, ("chip", *columns), rows)


if __name__ == "__main__":
    command.run(main)
