"""Sound of files and pipes, good and bad: each is made here, byte by byte."""

import io
import os
import struct
import threading
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.common.front_end import FRAME, SAMPLE_RATE
from examples.common.wav import read_wav, stream_chunks, wav_chunks

SOUND = np.random.default_rng(0).integers(-32768, 32768, SAMPLE_RATE // 2 + 7, np.int16)
LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx" + b"\0"  # of an odd size, and so padded


def wav(
    sound=SOUND,
    *,
    encoding=1,
    channels=1,
    rate=SAMPLE_RATE,
    bits=16,
    size=None,
    extra=b"",
    chunk=b"",
):
    """A file whose header says what the arguments do: `extra` ends its format, `chunk` follows."""
    data, frame = sound.astype("<i2").tobytes(), channels * bits // 8
    form = struct.pack("<HHIIHH", encoding, channels, rate, rate * frame, frame, bits) + extra
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + chunk
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def sound_of(data, read=wav_chunks):
    chunks = list(read(io.BytesIO(data)))
    assert [len(chunk) for chunk in chunks[:-1]] == [FRAME] * (len(chunks) - 1)
    assert all(chunk.dtype == np.int16 for chunk in chunks)
    return np.concatenate(chunks)


def test_of_pythons_own_writer(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", None))
        file.writeframes(SOUND.astype("<i2").tobytes())
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav"), SOUND)


GOOD = {
    "plain": wav(),
    "another chunk first": wav(chunk=LIST),
    "another chunk behind": wav() + LIST,
    "longer format": wav(extra=b"\0\0"),
    "of ffmpeg to a pipe": wav(size=0xFFFFFFFF, chunk=LIST),
    "of arecord to a pipe": wav(size=0x80000000),
    "of sox to a pipe": wav(size=0x7FFFFFFF - 36),
    "without a length": wav(size=0),
}


@pytest.mark.parametrize("read", [wav_chunks, stream_chunks])
@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_good(data, read):
    np.testing.assert_array_equal(sound_of(data, read), SOUND)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 2 * FRAME, 2 * FRAME + 1, 2 * FRAME + 4, 9001])
def test_raw(size):
    data = wav()[44 : 44 + size]
    np.testing.assert_array_equal(sound_of(data, stream_chunks), SOUND[: size // 2])


@pytest.mark.parametrize("data", [wav(), wav()[44:]], ids=["wav", "raw"])
def test_pipe(data):
    """It gives each 20 ms when they are there, however they come, and does not wait for more."""
    read, write = os.pipe()
    heard, in_time = threading.Event(), []

    def speak():
        with open(write, "wb", buffering=0) as file:
            for i in range(60):
                file.write(data[i : i + 1])
            file.write(data[60 : 60 + 2 * FRAME])
            in_time.append(heard.wait(timeout=10))
            file.write(data[60 + 2 * FRAME :])

    speaker = threading.Thread(target=speak)
    speaker.start()
    with open(read, "rb") as file:
        chunks = stream_chunks(file)
        chunk = next(chunks)
        heard.set()
        np.testing.assert_array_equal(np.concatenate([chunk, *chunks]), SOUND)
    speaker.join()
    assert in_time == [True]


CUT = 44 + SAMPLE_RATE // 2  # a quarter of a second


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wav(rate=8000), "is 8,000 Hz, 1-channel, 16-bit; .* `ffmpeg .*-ar 16000"),
        (wav(channels=2), "is 16,000 Hz, 2-channel, 16-bit; .* `ffmpeg .*-ac 1"),
        (wav(bits=8), "8-bit; needed"),
        (wav(bits=24), "24-bit; needed"),
        (wav(bits=32, encoding=3), "is not a .wav file of integers: unknown format: 3; convert"),
        (b"", "is not a .wav file of integers: it ends within its header; convert"),
        (b"ID3\4 and more", "file does not start with RIFF id; convert"),
        (b"RIFF\x24\0\0\0AVI LIST", "not a WAVE file; convert"),
        (wav()[:12], "fmt chunk and/or data chunk missing"),
        (wav()[:30], "it ends within its header"),
        (wav()[:12] + wav()[36:], "data chunk before fmt chunk"),
        (wav()[:40], "fmt chunk and/or data chunk missing"),
        (wav(chunk=b"LIST" + b"\xff" * 4)[:60], "is not a .wav file of integers"),
        (wav()[:44], "is empty"),
        (wav(SOUND[:0]), "is empty"),
        (wav(SOUND[:0], size=0xFFFFFFFF), "is empty"),
        (wav()[:CUT], "is cut: it has 0.25 of 0.50 seconds"),
        (wav()[: CUT + 1], "is cut: it has 0.25 of 0.50 seconds"),
        (wav()[:-1], "is cut: it has 0.50 of 0.50 seconds"),
    ],
)
def test_bad(data, message, tmp_path):
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"bad.wav' .*{message}"):
        read_wav(path)


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_what_is_there_is_heard_before_the_cut(extra):
    chunks, heard = wav_chunks(io.BytesIO(wav()[: CUT + extra])), []
    with pytest.raises(ValueError, match="is cut"):
        heard.extend(chunks)  # keeps what came before the error
    np.testing.assert_array_equal(np.concatenate(heard), SOUND[: (CUT - 44 + extra) // 2])


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "missing.wav")


@given(st.integers(0, 60), st.binary(min_size=1, max_size=8))
def test_damaged(at, damage):
    """Any damage of the header is a ValueError, or leaves some sound."""
    data = bytearray(wav(SOUND[:500]))
    data[at : at + len(damage)] = damage
    try:
        sound = sound_of(bytes(data))
    except ValueError:
        return
    assert 0 < len(sound) <= len(data) // 2
