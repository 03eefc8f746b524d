"""Clips of speech, and their division into sides."""

import hashlib
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph


class Clips(NamedTuple):
    """Arrays `(n,)` of clips.

    Attributes:
        audio: int16 arrays, each of its own length, at 16 kHz.
        word: the name of the word.
        speaker: the name of the person; "" if nobody speaks.
    """

    audio: np.ndarray
    word: np.ndarray
    speaker: np.ndarray

    def take(self, index):
        """The clips of an index or a mask."""
        return Clips(*(array[index] for array in self))


class Side(NamedTuple):
    """`Clips` of people who are on no other side, and a list of recordings of noise, int16."""

    clips: Clips
    noise: list

    def renamed(self, words, name):
        """The side with one name for several words."""
        word = self.clips.word.astype(object)
        word[np.isin(self.clips.word, words)] = name
        return self._replace(clips=self.clips._replace(word=word.astype(str)))


def ragged(arrays):
    """An array `(n,)` of arrays, each of its own length."""
    made = np.empty(len(arrays), object)
    for i, array in enumerate(arrays):
        made[i] = array
    return made


def joined(parts):
    """`Clips` of several ones, in a row."""
    return Clips(*map(np.concatenate, zip(*parts, strict=True)))


def folds(clips, count=5, keywords=(), duplicates=None):
    """Cuts the clips into sides: no speaker is on two of them, nor a recording.

    Clips that share a part of a recording stay together, whatever their speakers: the archive's
    silence is cut at random from a few recordings, and half of these clips overlap another.

    Args:
        clips: `Clips`.
        count: number of sides.
        keywords: words to deal out first, so that each side has as many clips of them.
        duplicates: sparse matrix; by default `near_duplicates()`.

    Returns:
        int64 `(n,)`, the side of each clip. The sides are as equal as the speakers allow.
    """
    if duplicates is None:
        duplicates = near_duplicates(clips.audio)
    group = _groups(clips, duplicates)
    sizes = np.stack([np.bincount(group, np.isin(clips.word, keywords)), np.bincount(group)])
    side = np.zeros(sizes.shape[1], np.int64)
    filled = np.zeros((2, count))
    for i in np.lexsort(-sizes[::-1]):  # the largest first; the small ones fill the gaps
        says_it = sizes[0, i] > 0
        side[i] = np.lexsort(filled[::-1] if says_it else filled[1:])[0]
        filled[:, side[i]] += sizes[:, i]
    return side[group]


def tied(clips, duplicates):
    """The clips by which near duplicates tie more than half of all clips to each other.

    Args:
        clips: `Clips`.
        duplicates: of `near_duplicates()`.

    Returns:
        int64 `(n,)`, the clips that have a near duplicate of another speaker; none if the largest
        group of clips that have to stay together takes at most half, or has one speaker.
    """
    if not len(clips.word):
        return np.empty(0, np.int64)
    group = _groups(clips, duplicates)
    sizes = np.bincount(group)
    pairs = duplicates.tocoo()
    here = group[pairs.row] == sizes.argmax()
    here &= clips.speaker[pairs.row] != clips.speaker[pairs.col]
    return np.unique(pairs.row[here]) if 2 * sizes.max() > len(group) else np.empty(0, np.int64)


def _groups(clips, duplicates):
    """int32 `(n,)`, the same for clips of a speaker, and for near duplicates."""
    key = [
        speaker or hashlib.sha256(audio.tobytes()).hexdigest()
        for speaker, audio in zip(clips.speaker, clips.audio, strict=True)
    ]
    _, first, person = np.unique(key, return_index=True, return_inverse=True)
    clip = np.arange(len(key))
    owner = scipy.sparse.csr_matrix((np.ones(len(key)), (clip, first[person])), duplicates.shape)
    _, group = scipy.sparse.csgraph.connected_components(duplicates + owner, directed=False)
    return group


def near_duplicates(audio, length=24, at_least=25):
    """Finds clips that share a part of a recording, even if one is shifted or louder.

    Neither changes the distances between zero crossings. Every run of `length` distances is hashed,
    and one hash in eight is kept; two clips with `at_least` of these in common are near duplicates.

    Args:
        audio: int16 arrays of any lengths.

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
