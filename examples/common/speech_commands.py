"""Google Speech Commands: one-second clips of people who say a word.

P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209.
examples/common/speech_sides.py reads the folder of the official archive; `gsc12.npz` holds 3,989 of
its clips.
"""

import numpy as np

from examples.common.clips import Clips

ARCHIVE = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
REMEDY = f"unpack {ARCHIVE} into a folder, and name that by --data_dir or KERAS_FASTGRNN_DATA."
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
NOISE = "_background_noise_"  # the folder of the recordings of noise
CLASSES = (SILENCE, UNKNOWN, *KEYWORDS)


def official_sides(folder, paths):
    """The sides of files by the official lists of a folder: 0 to train on, 1 for validation, 2 for
    testing.

    Args:
        folder: path; where it lacks a list, no file is on that side.
        paths: list of paths, `<word>/<name>` of any suffix.

    Returns:
        int64 `(n,)`.
    """
    validation, test = (_names(folder / f"{side}_list.txt") for side in ("validation", "testing"))
    names = (f"{path.parent.name}/{path.stem}" for path in paths)
    return np.array([(name in validation) + 2 * (name in test) for name in names], np.int64)


def _names(path):
    """The names in an official list of .wav files, without the suffix: ours may be .flac files."""
    text = path.read_text() if path.is_file() else ""
    return {line.rpartition(".")[0] for line in text.splitlines()}


def read_npz(path):
    """`Clips` of `gsc12.npz`."""
    with np.load(path) as arrays:
        words = arrays["classes"][arrays["label"]]
        return Clips(arrays["audio"], words, arrays["speaker"])
