"""Files of sound, of any format that libsndfile reads, rate and channels, as mono of 16 kHz."""

import os
import pathlib

import numpy as np
import soundfile
import soxr

from examples.common.front_end import SAMPLE_RATE

# RAW has no header. The others are further names of OGG and AIFF files.
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats() if name != "RAW"}
SUFFIXES |= {".oga", ".opus", ".aif", ".aifc"}
FULL_SCALE = 32768
# Floats may exceed full scale by a little; far more than that is another unit.
LOUDEST = 8.0
# soundfile seeks after each read. In an MP3 a seek loses the bits that a frame takes from those
# before it, and damages it: large blocks have few.
MP3_BLOCK = 1 << 24
NAMED = 5  # files of a list in a message


def files(folder):
    """The files of sound in a folder and the folders below it, sorted, without hidden ones."""
    return [path for path in everything(folder) if path.suffix.lower() in SUFFIXES]


def everything(folder):
    """All files in a folder and the folders below it, sorted, without hidden ones."""
    found = []
    for inside, folders, names in os.walk(folder, followlinks=True):  # rglob() follows none
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(pathlib.Path(inside, name) for name in names if not name.startswith("."))
    return sorted(found)


def read(path):
    """The samples of a file, int16 `(n,)`.

    Raises:
        ValueError: if it is no sound; the message does not name the file.
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        return np.concatenate([np.empty(0, np.int16), *blocks(file, 1 << 18)])


def blocks(file, frames):
    """Yields the samples of an open file, read some frames at a time: int16 `(n,)`.

    Raises:
        ValueError: if it is no sound.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            rate = sound.samplerate
            resample = None
            if rate != SAMPLE_RATE:
                resample = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32").resample_chunk
            if sound.format == "MP3":
                frames = MP3_BLOCK
            for block in sound.blocks(frames, dtype="float32", always_2d=True):
                mono = block.mean(axis=1)
                yield _to_int16(resample(mono) if resample else mono)
            if resample:
                yield _to_int16(resample(np.empty(0, np.float32), last=True))
    except soundfile.LibsndfileError as error:
        raise ValueError(error.error_string) from error


def _to_int16(sound):
    """Floats of -1..1 as int16; those that were made of int16 become the same again."""
    if not (np.abs(sound) <= LOUDEST).all():  # NaN is not
        raise ValueError(
            f"has samples of {np.abs(sound).max():.3g}; the full scale of floats is 1.0."
        )
    return np.clip(np.round(sound * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def read_all(paths):
    """The samples of files.

    Raises:
        ValueError: if some are no sound; the message names them.
    """
    sounds, problems = [], []
    for path in paths:
        try:
            sounds.append(read(path))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise ValueError(
            f"Cannot read {counted(problems, 'file')} of {len(paths):,}. Repair or delete:"
            f"{listed(problems)}"
        )
    return sounds


def counted(items, name):
    """The number of things in a list, as text."""
    return f"{len(items):,} {name}" + "s" * (len(items) != 1)


def listed(items):
    """The first few of a list, each in a line of its own."""
    rest = len(items) - NAMED
    return "".join(f"\n  {item}" for item in items[:NAMED]) + (
        f"\n  and {rest:,} more" if rest > 0 else ""
    )
