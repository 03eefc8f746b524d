"""Synthetic speech for the tests: words that glide, by people of any pitch."""

import types

import numpy as np
import pytest
import soundfile
from absl import flags

from examples.common import data
from examples.common.front_end import SAMPLE_RATE

# The pitch at the start and at the end of a word, relative to the person's.
GLIDES = {"yes": (1.0, 4.0), "no": (4.0, 1.0), "go": (1.0, 1.0), "seven": (3.0, 3.0)}


def word(name, pitch, rng):
    """int16 `(16000,)`: a word at a random place in its second."""
    t = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    start, end = GLIDES[name]
    phase = 2 * np.pi * pitch * (start * t + (end - start) * t**2 / 0.8)
    sound = sum(np.sin(n * phase) / n for n in range(1, 13)) * np.hanning(len(t))
    audio = rng.normal(0, 5, SAMPLE_RATE)
    at = rng.integers(SAMPLE_RATE // 8, SAMPLE_RATE // 2)
    audio[at : at + len(t)] += rng.uniform(2000, 8000) * sound
    return audio.astype(np.int16)


def archive(folder, people=15, takes=2, noises=3, seed=0):
    """Writes a folder in the layout of the archive: each person says each word a few times."""
    rng = np.random.default_rng(seed)
    for person in range(people):
        pitch = rng.uniform(200, 400)
        for name in GLIDES:
            for take in range(takes):
                write(folder / name / f"{person:08x}_nohash_{take}.wav", word(name, pitch, rng))
    for i in range(noises):
        noise = np.cumsum(rng.normal(0, 30 + 30 * i, 20 * SAMPLE_RATE))
        noise -= np.convolve(noise, np.full(400, 1 / 400), "same")  # without the lowest tones
        write(folder / "_background_noise_" / f"{i}.wav", noise.astype(np.int16))


def write(path, samples, rate=SAMPLE_RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, "PCM_16")


def says_where_the_archive_is(main, folder):
    """Checks the message of an example, whose `main()` finds no archive in a folder."""
    flags.FLAGS.mark_as_parsed()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as error:
        patch.setattr(data, "DATA_DIR", types.SimpleNamespace(value=str(folder)))
        main()
    (line,) = (line for line in str(error.value).splitlines() if str(folder) in line)
    assert "http://download.tensorflow.org" in line
