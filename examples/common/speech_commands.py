"""Google Speech Commands: one-second clips of people who say a word.

P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209.
Read from the folder of the official archive, or from `gsc12.npz`, which holds 3,989 of its clips.
"""

import numpy as np

from examples.common import data
from examples.common.clips import Clips
from examples.common.front_end import SAMPLE_RATE
from examples.common.recordings import files, read, read_all

ARCHIVE = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
REMEDY = f"unpack {ARCHIVE} into a folder, and name that by --data_dir or KERAS_FASTGRNN_DATA."
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
NOISE = "_background_noise_"  # the folder of the recordings of noise
CLASSES = (SILENCE, UNKNOWN, *KEYWORDS)


def load(data_dir=None):
    """Reads the clips of ten keywords, of other words, and of silence.

    Args:
        data_dir: the folder of the official archive, unpacked, or one that holds `gsc12.npz`. By
            default the folder named by the environment variable `KERAS_FASTGRNN_DATA`, else
            `../shared/data`.

    Returns:
        `Clips`.

    Raises:
        ValueError: if the data is missing or malformed.
    """
    folder = data.folder(data_dir)
    if (folder / NOISE).is_dir():
        return _read_archive(folder)
    if (folder / "gsc12.npz").is_file():
        return read_npz(folder / "gsc12.npz")
    raise ValueError(f"No speech in {str(folder)!r}: {REMEDY}")


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


def _read_archive(folder, seed=0):
    """All clips of the keywords; as many of other words, and of silence, as of one keyword."""
    rng = np.random.default_rng(seed)
    words = {path.name: files(path) for path in folder.iterdir() if path.is_dir()}
    noise = words.pop(NOISE)
    keywords = [path for word in KEYWORDS for path in words.pop(word, [])]
    if not keywords:
        raise ValueError(f"None of the folders {', '.join(KEYWORDS)} is in {str(folder)!r}.")
    count = len(keywords) // len(KEYWORDS)
    others = [path for word in sorted(words) for path in words[word]]
    others = [others[i] for i in rng.permutation(len(others))[:count]]
    audio, word, speaker = [], [], []
    for path, sound in zip(keywords + others, read_all(keywords + others), strict=True):
        samples = sound[:SAMPLE_RATE]
        audio.append(np.pad(samples, (0, SAMPLE_RATE - len(samples))))
        word.append(path.parent.name if path.parent.name in KEYWORDS else UNKNOWN)
        speaker.append(path.name.partition("_")[0])
    for samples in map(read, noise):
        for _ in range(count // len(noise)):
            start = rng.integers(0, len(samples) - SAMPLE_RATE)
            audio.append(samples[start : start + SAMPLE_RATE])
            word.append(SILENCE)
            speaker.append("")
    return Clips(np.array(audio), np.array(word), np.array(speaker))
