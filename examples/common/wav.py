"""Sound as the front end takes it, 16 kHz, mono and 16 bit, from .wav files and from pipes."""

import math
import wave

import numpy as np

from examples.common.front_end import FRAME, SAMPLE_RATE

# From here on a number of samples is one that was written before anybody knew it, as 0 is.
_UNKNOWN = 0x7FFF0000 // 2

_CONVERT = "convert it with `ffmpeg -i in.wav -ar 16000 -ac 1 -c:a pcm_s16le out.wav`"


def read_wav(path):
    """All of a file: int16 `(samples,)`.

    Raises:
        ValueError: if it is not a .wav file of 16 kHz, mono and 16 bit, is cut or has no sound.
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return np.concatenate(list(wav_chunks(file)))
        except ValueError as error:
            raise ValueError(f"{str(path)!r} {error}") from error


def wav_chunks(file):
    """Reads a .wav file piece by piece.

    Args:
        file: binary file, which need not be seekable, nor have an end.

    Yields:
        int16 `(320,)`, at the end what is left.

    Raises:
        ValueError: if it is not a .wav file of 16 kHz, mono and 16 bit, or has no sound. If it is
            cut, when all that is there has been read.
    """
    try:
        header = wave.Wave_read(file)  # reads no further than to the first sample
    except (wave.Error, EOFError, RuntimeError) as error:  # the last one where a size is too large
        problem = str(error) or "it ends within its header"
        raise ValueError(f"is not a .wav file of integers: {problem}; {_CONVERT}.") from error
    rate, channels, width = header.getframerate(), header.getnchannels(), header.getsampwidth()
    if (rate, channels, width) != (SAMPLE_RATE, 1, 2):
        raise ValueError(
            f"is {rate:,} Hz, {channels}-channel, {8 * width}-bit; needed is 16,000 Hz, 1-channel, "
            f"16-bit: {_CONVERT}."
        )
    count = header.getnframes()
    known, heard = 0 < count < _UNKNOWN, 0
    for samples in _samples(file, 2 * count if known else math.inf):
        heard += len(samples)
        yield samples
    if known and heard < count:
        raise ValueError(
            f"is cut: it has {heard / SAMPLE_RATE:.2f} of {count / SAMPLE_RATE:.2f} seconds; only "
            "these were heard."
        )


def stream_chunks(file):
    """As `wav_chunks()`, also of samples without a header: 16 kHz, mono, 16 bit, little-endian."""
    start = file.read(4)
    file = _PutBack(start, file)
    yield from wav_chunks(file) if start == b"RIFF" else _samples(file)


class _PutBack:
    """A binary file, with bytes that have been read from it in front again."""

    def __init__(self, start, file):
        self._start, self._file = start, file

    def read(self, size):
        start, self._start = self._start[:size], self._start[size:]
        return start + self._file.read(size - len(start))


def _samples(file, size=math.inf):
    """Yields the samples in the next `size` bytes of a file."""
    data = file.read(min(2 * FRAME, size))
    if len(data) < 2:
        raise ValueError("is empty: it has no sound.")
    while data:
        yield np.frombuffer(data, "<i2", len(data) // 2).astype(np.int16)
        size -= len(data)
        data = file.read(min(2 * FRAME, size))
