"""The cost of a wake word of your own on emulated chips; chips.py says how it is measured.

python -m benchmarks.wake_word.on_chips --file=... --features=... --threshold_q=...
"""

import pathlib

import numpy as np
from absl import flags

from benchmarks.wake_word import chips
from examples.common import command
from examples.common.keyword_evaluation import DETECTOR

_FILE = flags.DEFINE_string("file", "build/wake_word.tflite", "The .tflite file of a wake word.")
_FEATURES = flags.DEFINE_string("features", "features.npy", "A stream: int8 (frames, 40).")
_THRESHOLD = flags.DEFINE_integer("threshold_q", 0, "The detector's threshold, an int8 logit.")


def main():
    with command.one_line():
        tflite = pathlib.Path(_FILE.value).read_bytes()
        figures = chips.measure(tflite, np.load(_FEATURES.value), _THRESHOLD.value, **DETECTOR)
    command.show(
        f"{_FILE.value}: one frame, each byte as on this machine",
        ("figure", "value"),
        (
            (name, f"{value:.2%}" if "fraction" in name else f"{value:,.0f}")
            for name, value in figures.items()
        ),
    )


if __name__ == "__main__":
    command.run(main)
