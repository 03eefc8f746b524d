"""Clips of speech, and their division into sides."""

import hashlib
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph


class Clips(NamedTuple):
    """`audio (n, 16000)` int16; `word (n,)`, of `CLASSES`; `speaker (n,)`, "" if nobody speaks."""

    audio: np.ndarray
    word: np.ndarray
    speaker: np.ndarray

    def take(self, index):
        """The clips of an index or a mask."""
        return Clips(*(array[index] for array in self))


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
