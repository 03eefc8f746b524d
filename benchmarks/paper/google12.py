"""Google-12: ten words, other words and silence, at the size of the paper's task.

`speech_commands_mel40.npz` holds the ten words and the 25 others of Speech Commands 0.02 as images
of 98 frames by 40 bands, on the sides of the archive. Silence comes from the archive's recordings
of noise, through the formula of the images. `gsc12.npz` has the sound of the testing side.

A step of the models is the mean of two frames, 20 ms.
"""

import io

import keras
import numpy as np
import PIL.Image
import scipy.signal

from examples.common import keyword_training, speech_commands, training
from examples.common.classifier import Data, Split
from examples.common.front_end import SAMPLE_RATE
from examples.common.recordings import files, read_all
from examples.common.speech_commands import CLASSES, KEYWORDS, NOISE, SILENCE, UNKNOWN
from examples.common.speech_sides import noise_sides

IMAGES, SOUND = "speech_commands_mel40.npz", "gsc12.npz"
BANDS = 40
HIGHEST = 4_000  # Hz
MEAN, DEVIATION = np.float32(85), np.float32(50)  # of the images
BATCH_SIZE = 128
SHIFT = 2  # steps


def mel_bank():
    """The weights `(257, 40)` of triangles, evenly spaced in mel from 0 Hz to `HIGHEST`."""
    top = 2595 * np.log10(1 + HIGHEST / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)[:, np.newaxis]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    return np.maximum(np.minimum(rising, falling), 0)


MEL = mel_bank()
HANN = scipy.signal.windows.hann(480, sym=False)


def image(sound):
    """The image of a second: 30 ms every 10 ms, 40 bands, 10 ln(1 + energy).

    Args:
        sound: int16 `(16000,)`, at 16 kHz.

    Returns:
        uint8 `(98, 40)`.
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(float), len(HANN))[::160]
    return np.round(level(np.abs(np.fft.rfft(frames * HANN, 512)) ** 2 / 512 @ MEL)).astype(
        np.uint8
    )


def level(energies):
    """The values of an image, before they are rounded."""
    # np.log1p takes six times as long, and as long as a step of training.
    return np.clip(10 * np.log(1 + energies), 0, 255)


def steps(images):
    """What the models read: uint8 `(n, 98, 40)` -> float32 `(n, 49, 40)`."""
    pairs = images.reshape(len(images), -1, 2, BANDS).astype(np.float32)
    return normal(pairs.mean(axis=2))


def normal(levels):
    """Values of images with a mean of 0 and a variance of 1."""
    return (levels - MEAN) / DEVIATION


def energy(x):
    """The energies of bands, from what `normal()` gives."""
    return np.exp((x * DEVIATION + MEAN) / 10) - 1


def load(folder):
    """`Split` of `Data`: ten words; and for ten clips of these, one of another word and one of
    silence.

    The training side has all clips of other words: `Epochs` draws some of them for each epoch.

    Raises:
        ValueError: if a file is missing.
    """
    x, word, side, tables = _read_images(folder)
    noises = _noise_sides(folder)
    rng = np.random.default_rng(0)
    sides = []
    for name in Split._fields:
        (spoken,) = np.nonzero((side == name) & np.isin(word, KEYWORDS))
        (other,) = np.nonzero((side == name) & ~np.isin(word, (*KEYWORDS, NOISE)))
        count = len(spoken) // 10
        if name != "train":
            other = rng.permutation(other)[:count]
        silence = noise(getattr(noises, name), count, rng)
        words = *word[spoken], *[UNKNOWN] * len(other), *[SILENCE] * count
        images = x[spoken], x[other], [_compressed(image(sound), tables) for sound in silence]
        sides.append(Data(steps(np.concatenate(images)), classes(words)))
    return Split(*sides)


def sound_of_test(folder):
    """`Data` of the sound of the testing side, without a JPEG between.

    Clips shorter than a second, which end in zeros, are centred as in the images.
    """
    clips = speech_commands.read_npz(_file(folder, SOUND))
    clips = clips.take(clips.word != SILENCE)
    silence = noise(_noise_sides(folder).test, len(clips.word) // 11, np.random.default_rng(0))
    x = [image(_centred(sound)) for sound in (*clips.audio, *silence)]
    return Data(steps(np.array(x)), classes([*clips.word, *[SILENCE] * len(silence)]))


def noise(parts, count, rng):
    """Seconds of recordings at any loudness: a list of int16 `(16000,)`."""
    made = []
    for i in range(count):
        part = parts[i % len(parts)]
        first = rng.integers(len(part) - SAMPLE_RATE)
        made.append((part[first:][:SAMPLE_RATE] * rng.uniform()).astype(np.int16))
    return made


def _noise_sides(folder):
    return noise_sides(read_all(files(_file(folder, "speech_commands") / NOISE)))


def classes(words):
    return np.array([CLASSES.index(word) for word in words], np.int32)


def _file(folder, name):
    if not (folder / name).exists():
        raise ValueError(f"No {name} in {str(folder)!r}: a part of Speech Commands 0.02.")
    return folder / name


def _read_images(folder):
    """Images, words, sides, and the tables of their JPEG compression."""
    with np.load(_file(folder, IMAGES)) as arrays:
        header, jpeg, offset = (arrays[name] for name in ("header", "jpeg", "offset"))
        word, side = arrays["word"].astype(str), arrays["split"].astype(str)
    opened = [
        PIL.Image.open(io.BytesIO(header.tobytes() + jpeg[start:end].tobytes()))
        for start, end in zip(offset[:-1], offset[1:], strict=True)
    ]
    return np.array([np.asarray(file) for file in opened]), word, side, opened[0].quantization


def _compressed(pixels, tables):
    """An image after a JPEG compression: silence must not differ from words by its lack."""
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", qtables=tables)
    return np.asarray(PIL.Image.open(file))


def _centred(sound):
    length = len(np.trim_zeros(sound, "b"))
    return np.roll(sound, (len(sound) - length) // 2)


class Epochs(training.Batches):
    """Batches of the training side, varied anew each time.

    An epoch has all keywords, all silence, and as many clips of other words as of silence, drawn
    from all of them. Each clip comes up to `SHIFT` steps earlier or later, at another loudness,
    from another vocal tract, and in three cases of ten in noise.

    Args:
        data: `Data`, the training side.
        seed: integer.
    """

    def __init__(self, data, seed):
        self.x, self.y = data
        self._energy = energy(self.x)
        (self._silence,) = np.nonzero(self.y == CLASSES.index(SILENCE))
        (self._unknown,) = np.nonzero(self.y == CLASSES.index(UNKNOWN))
        (self._known,) = np.nonzero(self.y != CLASSES.index(UNKNOWN))
        super().__init__(len(self.y), BATCH_SIZE, seed)

    def epoch(self):
        drawn = self.rng.permutation(self._unknown)[: len(self._silence)]
        return np.concatenate([self._known, drawn])

    def batch(self, i):
        first = self.rng.integers(-SHIFT, SHIFT + 1, (len(i), 1))
        step = np.clip(first + np.arange(self.x.shape[1]), 0, self.x.shape[1] - 1)
        x = keyword_training.warp(self._vary(self._energy[i[:, np.newaxis], step]), self.rng)
        return x, keras.utils.to_categorical(self.y[i], len(CLASSES))

    def _vary(self, energy):
        """The steps at another loudness, some in noise."""
        size = len(energy), 1, 1

        def loudness(low, high):
            return np.exp(self.rng.uniform(low, high, size)).astype(np.float32)

        noise = self._energy[self.rng.choice(self._silence, len(energy))] * loudness(-4, 0)
        heard = self.rng.random(size) < 0.3
        return normal(level(energy * loudness(-1, 1) + noise * heard))
