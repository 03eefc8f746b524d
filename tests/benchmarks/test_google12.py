"""The task Google-12: its images, its sides and its batches."""

import io

import numpy as np
import PIL.Image
import pytest

from benchmarks.paper import google12
from examples.common import data, recordings
from examples.common.classifier import Data
from examples.common.front_end import SAMPLE_RATE
from examples.common.speech_commands import CLASSES, KEYWORDS, SILENCE, UNKNOWN
from tests.examples.speech import write

TABLES = {0: [1] * 64}  # the JPEG files of the test lose little


def tone(hertz, loud=3000):
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    return np.round(loud * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def jpeg(pixels):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", qtables=TABLES)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Words as tones, each at its own pitch; on each side 20 clips a keyword, 100 of others."""
    folder = tmp_path_factory.mktemp("google12")
    words = [*KEYWORDS * 20, *["bed"] * 50, *["cat"] * 50]
    pitch = {name: 300 * (i + 1) for i, name in enumerate((*KEYWORDS, "bed", "cat"))}
    images = {name: jpeg(google12.image(tone(hertz))) for name, hertz in pitch.items()}
    header = min(images.values(), key=len)[:100]
    assert all(image.startswith(header) for image in images.values())
    word = np.tile(words, 3)
    files = [images[name][len(header) :] for name in word]
    np.savez(
        folder / "speech_commands_mel40.npz",
        header=np.frombuffer(header, np.uint8),
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offset=np.cumsum([0, *map(len, files)]),
        word=word.astype("S20"),
        split=np.repeat(["train", "validation", "test"], len(words)).astype("S10"),
    )
    np.savez(
        folder / "gsc12.npz",
        audio=[tone(pitch.get(name, 3600)) for name in CLASSES],
        label=np.arange(len(CLASSES)),
        speaker=np.full(len(CLASSES), "a"),
        classes=np.array(CLASSES),
    )
    # A recording that grows louder: its parts tell the sides apart.
    ramp = np.linspace(1, 10_000, 20 * SAMPLE_RATE) * np.sign(tone(440))[0:1].clip(1)
    for i in range(2):
        noise = ramp * np.random.default_rng(i).choice([-1, 1], len(ramp))
        write(
            folder / "speech_commands" / "_background_noise_" / f"{i}.wav", noise.astype(np.int16)
        )
    return folder


def test_sides(folder):
    split = google12.load(folder)
    for side, others in zip(split, (100, 20, 20), strict=True):
        counts = np.bincount(side.y, minlength=12)
        assert counts.tolist() == [20, others, *[20] * 10]  # in the order of CLASSES
        assert side.x.shape == (len(side.y), 49, 40) and side.x.dtype == np.float32
    # A tone lies in the same bands on each side.
    heard = split.test.x[split.test.y == CLASSES.index("no")].mean(axis=(0, 1))
    lower = split.train.x[split.train.y == CLASSES.index("yes")].mean(axis=(0, 1))
    assert lower.argmax() < heard.argmax()


def test_no_side_hears_the_noise_of_another(folder, monkeypatch):
    """The noise is cut apart in time: here by its loudness, at full volume."""
    full = type(
        "", (), {"uniform": lambda self: 1.0, "integers": np.random.default_rng(0).integers}
    )
    parts = google12._noise_sides(folder)._asdict()
    heard = {side: google12.noise(part, 40, full()) for side, part in parts.items()}
    loudness = {side: [np.abs(sound).max() for sound in sounds] for side, sounds in heard.items()}
    assert max(loudness["train"]) < min(loudness["validation"])
    assert max(loudness["validation"]) < min(loudness["test"])
    assert len({len(sound) for sounds in heard.values() for sound in sounds}) == 1


def test_sound_is_heard_as_the_images_are(folder):
    """Each class of the testing side, from sound and from its image, differs by the JPEG alone."""
    sound, images = google12.sound_of_test(folder), google12.load(folder).test
    for name in KEYWORDS:
        (x,) = sound.x[sound.y == CLASSES.index(name)]
        # A step of 1 / 50 is one of the 255 of the image; the tables lose a few of them.
        np.testing.assert_allclose(x, images.x[images.y == CLASSES.index(name)][0], atol=6 / 50)
    assert CLASSES[0] == SILENCE and (sound.y == 0).sum() == 1


def test_image_of_a_tone():
    """A tone of the middle of a band is loudest there, and ten times the amplitude adds 46."""
    centre = google12.MEL.argmax(axis=0)[20] * SAMPLE_RATE / 512
    quiet, loud = (google12.image(tone(centre, loud)) for loud in (30, 300))
    assert quiet.shape == (98, 40) and set(quiet.argmax(axis=1)) == {20}
    # 10 ln(100), but for the 1 in the logarithm and the rounding to integers.
    assert abs(np.mean(loud[:, 20].astype(int) - quiet[:, 20]) - 46) < 1.5
    assert (google12.image(np.zeros(SAMPLE_RATE, np.int16)) == 0).all()


def test_image_is_that_of_the_data():
    """On clips of a whole second, whose sound is known, the formula is right but for the JPEG."""
    folder = data.folder()
    if not (folder / google12.IMAGES).is_file() or not (folder / "speech_commands").is_dir():
        pytest.skip(f"No {google12.IMAGES} in {folder}: KERAS_FASTGRNN_DATA names its folder")
    with np.load(folder / google12.IMAGES) as arrays:
        of_word = arrays["word"] == b"bed"
        speakers = arrays["speaker"][of_word].astype(str).tolist()
        header, offset, jpeg = arrays["header"].tobytes(), arrays["offset"], arrays["jpeg"]
    (index,) = np.nonzero(of_word)
    differences = []
    for path in sorted((folder / "speech_commands" / "bed").glob("*_nohash_0.flac")):
        sound = recordings.read(path)
        speaker = path.name.partition("_")[0]
        if speakers.count(speaker) == 1 and len(sound) == SAMPLE_RATE:
            i = index[speakers.index(speaker)]
            file = io.BytesIO(header + jpeg[offset[i] : offset[i + 1]].tobytes())
            known = np.asarray(PIL.Image.open(file)).astype(int)
            differences.append(np.sqrt(np.mean((google12.image(sound) - known) ** 2)))
    assert len(differences) > 20
    # JPEG makes 4.3 of 255; a few speakers have another take of the word.
    assert np.median(differences) < 5


def test_missing_files(tmp_path):
    with pytest.raises(ValueError, match=f"No {google12.IMAGES} in '{tmp_path}'"):
        google12.load(tmp_path)
    with pytest.raises(ValueError, match="No gsc12.npz"):
        google12.sound_of_test(tmp_path)


def test_epochs(monkeypatch):
    """Each epoch has the words once, others as often as silence, and each clip moved in time."""
    monkeypatch.setattr(google12, "energy", lambda x: x)
    monkeypatch.setattr(google12.Epochs, "_vary", lambda self, energy: energy)
    monkeypatch.setattr(google12.keyword_training, "warp", lambda x, rng: x)
    y = np.repeat(np.arange(12), 40)
    y = np.concatenate([y, np.full(200, CLASSES.index(UNKNOWN))])
    x = np.arange(49, dtype=np.float32)[:, np.newaxis] + 100 * np.arange(len(y))[:, None, None]
    epochs = google12.Epochs(Data(x, y), seed=0)
    orders = []
    for _ in range(2):
        order = epochs._order
        assert np.bincount(y[order]).tolist() == [40] * 12 and len(set(order)) == len(order)
        orders.append(order)
        epochs.on_epoch_end()
    assert set(orders[0]) != set(orders[1])  # other clips of other words
    batch, target = google12.Epochs(Data(x, y), seed=0)[0]
    clip = batch[:, 20, 0] // 100
    np.testing.assert_array_equal(target.argmax(axis=1), y[clip.astype(int)])
    moved = batch[:, 20, 0] - 100 * clip - 20
    assert set(moved) <= set(range(-google12.SHIFT, google12.SHIFT + 1)) and len(set(moved)) > 3


def test_clips_are_varied():
    """Their loudness goes up and down by a factor of e at most, and noise makes some louder still,
    in the bands of the noise alone."""
    silence, word = np.zeros((2, 49, 40), np.float32)
    silence[:, :20] = 100  # noise in the lower bands
    word[:, 20:] = 120
    images = np.stack([silence] + 999 * [word])
    y = np.array([CLASSES.index(SILENCE)] + 999 * [CLASSES.index("yes")])
    x = (images - google12.MEAN) / google12.DEVIATION
    epochs = google12.Epochs(Data(x, y), seed=0)
    varied = google12.energy(epochs._vary(epochs._energy[1:])) / epochs._energy[1].max()
    loud = varied[:, 0, 20:]
    assert np.allclose(loud, loud[:, :1]) and 0.36 < loud.min() < 0.4 and 2.5 < loud.max() < 2.72
    noisy = varied[:, 0, 0] > 1e-9  # silence is 0 but for the rounding of float32
    # 3 standard deviations of the mean of 999 draws are 0.044.
    assert abs(noisy.mean() - 0.3) < 0.044
