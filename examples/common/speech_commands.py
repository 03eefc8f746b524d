"""Google Speech Commands: one-second clips of people who say a word.

P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209.
Read from the folder of the official archive, or from `gsc12.npz`, which holds 3,989 of its clips.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import soundfile

from examples.common import data
from examples.common.front_end import SAMPLE_RATE

ARCHIVE = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
REMEDY = f"unpack {ARCHIVE} into a folder, and name that by --data_dir or KERAS_FASTGRNN_DATA."
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
CLASSES = (SILENCE, UNKNOWN, *KEYWORDS)


class Clips(NamedTuple):
    """`audio (n, 16000)` int16; `word (n,)`, of `CLASSES`; `speaker (n,)`, "" if nobody speaks."""

    audio: np.ndarray
    word: np.ndarray
    speaker: np.ndarray

    def take(self, index):
        """The clips of an index or a mask."""
        return Clips(*(array[index] for array in self))


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
    if (folder / "_background_noise_").is_dir():
        return _read_archive(folder)
    if (folder / "gsc12.npz").is_file():
        return _read_npz(folder / "gsc12.npz")
    raise ValueError(f"No speech in {str(folder)!r}: {REMEDY}")


def files(folder, pattern="*"):
    """The .wav and .flac files of a folder, sorted."""
    return sorted(path for path in folder.glob(pattern) if path.suffix in (".wav", ".flac"))


def read(path, dtype):
    """The samples of a file `(n,)`: int16, or float in -1..1.

    Raises:
        ValueError: if it is not mono sound of 16 kHz.
        RuntimeError: if it is no sound.
    """
    sound, rate = soundfile.read(path, dtype=dtype)
    if rate != SAMPLE_RATE or sound.ndim != 1:
        raise ValueError(
            f"{str(path)!r} has {rate:,} Hz and the shape {sound.shape}; it has to be mono of "
            "16,000 Hz."
        )
    return sound


def _read_npz(path):
    with np.load(path) as arrays:
        words = arrays["classes"][arrays["label"]]
        return Clips(arrays["audio"], words, arrays["speaker"])


def _read_archive(folder, seed=0):
    """All clips of the keywords; as many of other words, and of silence, as of one keyword."""
    rng = np.random.default_rng(seed)
    words = {path.name: files(path) for path in folder.iterdir() if path.is_dir()}
    noise = words.pop("_background_noise_")
    keywords = [path for word in KEYWORDS for path in words.pop(word, [])]
    if not keywords:
        raise ValueError(f"None of the folders {', '.join(KEYWORDS)} is in {str(folder)!r}.")
    count = len(keywords) // len(KEYWORDS)
    others = [path for word in sorted(words) for path in words[word]]
    others = [others[i] for i in rng.permutation(len(others))[:count]]
    audio, word, speaker = [], [], []
    for path in keywords + others:
        samples = read(path, "int16")[:SAMPLE_RATE]
        audio.append(np.pad(samples, (0, SAMPLE_RATE - len(samples))))
        word.append(path.parent.name if path.parent.name in KEYWORDS else UNKNOWN)
        speaker.append(path.name.partition("_")[0])
    for samples in (read(path, "int16") for path in noise):
        for _ in range(count // len(noise)):
            start = rng.integers(0, len(samples) - SAMPLE_RATE)
            audio.append(samples[start : start + SAMPLE_RATE])
            word.append(SILENCE)
            speaker.append("")
    return Clips(np.array(audio), np.array(word), np.array(speaker))


def folds(clips, count=5):
    """Cuts the clips into sides: no speaker is on two of them, nor a recording.

    Clips that share a part of a recording stay together, whatever their speakers: the archive's
    silence is cut at random from a few recordings, and half of these clips overlap another.

    Args:
        clips: `Clips`.
        count: number of sides.

    Returns:
        int64 `(n,)`, the side of each clip. The sides are as equal as the speakers allow.
    """
    key = [
        speaker or hashlib.sha256(audio.tobytes()).hexdigest()
        for speaker, audio in zip(clips.speaker, clips.audio, strict=True)
    ]
    _, person = np.unique(key, return_inverse=True)
    clip = np.arange(len(key))
    owner = scipy.sparse.csr_matrix((np.ones(len(key)), (clip, person)))
    together = near_duplicates(clips.audio) + owner @ owner.T
    _, group = scipy.sparse.csgraph.connected_components(together, directed=False)
    sizes = np.bincount(group)
    side = np.zeros(len(sizes), np.int64)
    filled = np.zeros(count, np.int64)
    for i in np.argsort(-sizes, kind="stable"):  # the largest first; the small ones fill the gaps
        side[i] = filled.argmin()
        filled[side[i]] += sizes[i]
    return side[group]


def near_duplicates(audio, length=24, at_least=25):
    """Finds clips that share a part of a recording, even if one is shifted or louder.

    Neither changes the distances between zero crossings. Every run of `length` distances is hashed,
    and one hash in eight is kept; two clips with `at_least` of these in common are near duplicates.

    Args:
        audio: int16 `(n, samples)`.

    Returns:
        Sparse bool matrix `(n, n)`.
    """
    hashes = [_crossing_hashes(samples, length) for samples in audio]
    clip = np.repeat(np.arange(len(audio)), [len(h) for h in hashes])
    _, column, seen = np.unique(np.concatenate(hashes), return_inverse=True, return_counts=True)
    rare = (seen[column] > 1) & (seen[column] < 50)  # many clips have the hum of the mains
    clip, column = clip[rare], column[rare]
    has = scipy.sparse.csr_matrix(
        (np.ones(len(clip), np.int32), (clip, column)), (len(audio), len(seen))
    )
    return has @ has.T >= at_least


def _crossing_hashes(samples, length):
    runs = np.diff(np.flatnonzero(np.diff(samples > 0))).astype(np.uint64)
    if len(runs) < length:
        return np.empty(0, np.uint64)
    hashes = np.zeros(len(runs) - length + 1, np.uint64)
    for i in range(length):  # FNV-1a of all windows at once
        hashes = (hashes ^ runs[i : i + len(hashes)]) * np.uint64(0x100000001B3)
    hashes ^= hashes >> np.uint64(32)
    return np.unique(hashes[hashes % np.uint64(8) == 0])
