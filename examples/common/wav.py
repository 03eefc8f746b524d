"""Sound as the front end takes it, 16 kHz, mono and 16 bit, from .wav files and from pipes.

Python's module `wave` needs the length of the sound, which a pipe does not have.
"""

import math
import struct

import numpy as np

from examples.common.front_end import FRAME, SAMPLE_RATE

_ENCODINGS = {1: "integer", 3: "float", 6: "A-law", 7: "mu-law"}
_EXTENSIBLE = 0xFFFE  # the encoding is further behind

# From here on a number of bytes is one that was written before anybody knew it, as 0 is.
_UNKNOWN = 0x7FFF0000

_CONVERT = "convert it with `ffmpeg -i in.wav -ar 16000 -ac 1 -c:a pcm_s16le out.wav`"


def read_wav(path):
    """All of a file: int16 `(samples,)`.

    Raises:
        ValueError: if it is not a .wav file of 16 kHz, mono and 16 bit, is cut or has no sound.
        OSError: if it can not be read.
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
        int16 `(160,)`, at the end what is left.

    Raises:
        ValueError: if it is not a .wav file of 16 kHz, mono and 16 bit, or has no sound. If it is
            cut, when all that is there has been read.
    """
    start = file.read(4)
    if start != b"RIFF":
        problem = f"begins with {start!r}, not with b'RIFF'" if start else "is empty"
        raise ValueError(f"is not a .wav file: it {problem}; {_CONVERT}.")
    yield from _wav(file)


def stream_chunks(file):
    """As `wav_chunks()`, also of samples without a header: 16 kHz, mono, 16 bit, little-endian."""
    start = file.read(4)
    yield from _wav(file) if start == b"RIFF" else _samples(file, start)


def _wav(file):
    size = _read_header(file)
    heard = 0
    for samples in _samples(file, size=size):
        heard += len(samples)
        yield samples
    if math.isfinite(size) and heard < size // 2:
        raise ValueError(
            f"is cut: it has {heard / SAMPLE_RATE:.2f} of {size / 2 / SAMPLE_RATE:.2f} seconds; "
            "only these were heard."
        )


def _read_header(file):
    """From behind "RIFF" to the samples; returns how many bytes they have, maybe infinity."""
    found = None
    if file.read(8)[4:] != b"WAVE":
        raise ValueError(f"is not a .wav file: it has no 'WAVE' at byte 8; {_CONVERT}.")
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data" and found:
            _check_format(*found)
            return size if 0 < size < _UNKNOWN else math.inf
        body = file.read(min(size, 40))
        if name == b"fmt " and len(body) >= 16:
            encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if encoding == _EXTENSIBLE and len(body) == 40:
                (encoding,) = struct.unpack_from("<H", body, 24)
            found = rate, channels, bits, encoding
        left = size + size % 2 - len(body)
        while left and (skipped := file.read(min(left, 4096))):
            left -= len(skipped)
    raise ValueError(
        f"has {'no samples' if found else 'no format'}: it ends within its header. Record it again."
    )


def _check_format(rate, channels, bits, encoding):
    if (rate, channels, bits, encoding) != (SAMPLE_RATE, 1, 16, 1):
        raise ValueError(
            f"is {rate:,} Hz, {channels}-channel, {bits}-bit "
            f"{_ENCODINGS.get(encoding, f'encoding {encoding}')}; needed is 16,000 Hz, 1-channel, "
            f"16-bit integer: {_CONVERT}."
        )


def _samples(file, start=b"", size=math.inf):
    """Yields the samples of a file whose first bytes have been read."""
    data = start + file.read(min(2 * FRAME, size) - len(start))
    if len(data) < 2:
        raise ValueError("is empty: it has no sound.")
    while data:
        yield np.frombuffer(data, "<i2", len(data) // 2).astype(np.int16)
        size -= len(data)
        data = file.read(min(2 * FRAME, size))
