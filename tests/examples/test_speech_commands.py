"""The clips, their sides, and the streams that play them."""

import numpy as np
import pytest
from speech import archive, word

from examples.common import speech_sides
from examples.common.clips import Clips, folds, joined, near_duplicates
from examples.common.front_end import SAMPLE_RATE
from examples.common.speech_commands import SILENCE, read_npz
from examples.common.speech_streams import noise_of, silence, stream, streams, word_limits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    archive(folder)
    return folder


@pytest.fixture(scope="module")
def clips(folder):
    """Everything that is said, and nine clips of silence."""
    sides = speech_sides.load(folder)
    quiet = silence(sides.train.noise, 9, np.random.default_rng(0))
    return joined([*(side.clips for side in sides if side), quiet])


def test_npz(clips, tmp_path):
    classes, label = np.unique(clips.word, return_inverse=True)
    audio = np.stack(clips.audio)
    path = tmp_path / "gsc12.npz"
    np.savez(path, audio=audio, label=label, classes=classes, speaker=clips.speaker)
    read = read_npz(path)
    np.testing.assert_array_equal(read.audio, audio)
    np.testing.assert_array_equal(read.word, clips.word)
    np.testing.assert_array_equal(read.speaker, clips.speaker)


def test_folds(clips):
    side = folds(clips)
    for speaker in np.unique(clips.speaker[clips.speaker != ""]):
        assert len(np.unique(side[clips.speaker == speaker])) == 1
    assert np.ptp(np.bincount(side)) <= np.unique(clips.speaker, return_counts=True)[1].max()
    duplicates = near_duplicates(clips.audio).tocoo()
    assert (side[duplicates.row] == side[duplicates.col]).all()
    order = np.random.default_rng(0).permutation(len(side))
    assert np.bincount(folds(clips.take(order))).tolist() == np.bincount(side).tolist()


def test_a_recording_of_two_speakers_is_on_one_side(clips):
    audio = clips.audio.copy()
    people = np.unique(clips.speaker)[1:3]
    first, second = (np.flatnonzero(clips.speaker == name)[0] for name in people)
    audio[second] = np.roll(audio[first] // 2, 1000)
    side = folds(Clips(audio, clips.word, clips.speaker))
    assert len(np.unique(side[np.isin(clips.speaker, people)])) == 1


def test_near_duplicates():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2000, 3 * SAMPLE_RATE)
    copies = [noise[:SAMPLE_RATE], noise[8000:24000], 0.5 * noise[:SAMPLE_RATE]]
    others = [rng.normal(0, 2000, SAMPLE_RATE), word("yes", 300, rng), word("yes", 250, rng)]
    silent = [np.zeros(SAMPLE_RATE), np.zeros(SAMPLE_RATE)]
    found = near_duplicates(np.array(copies + others + silent).astype(np.int16)).toarray()
    expected = np.zeros((8, 8), bool)
    expected[:3, :3] = True  # silence has no crossing, and so no duplicate
    np.testing.assert_array_equal(found, expected)


def test_word_limits():
    audio = np.zeros(SAMPLE_RATE, np.int16)
    audio[4800:8000] = 3000 * np.sin(np.arange(3200))
    start, end = word_limits(audio)
    assert (start, end) == (15, 25)


def test_stream(clips):
    """The features are louder between the start and the end of each word than elsewhere."""
    loud = clips.take(clips.word != SILENCE)
    noise = clips.audio[clips.word == SILENCE][:0]
    features, spoken = stream(loud, noise, np.random.default_rng(0))
    assert features.shape == (spoken.last[-1], 40)
    said = np.zeros(len(features), bool)
    for first, start, end, last in zip(*spoken[1:], strict=True):
        assert first <= start < end <= last
        said[start:end] = True
    assert features[said].mean() > features[~said].mean() + 20


def test_streams(clips):
    noise = clips.audio[:3]
    features, spoken = streams(clips, noise, np.random.default_rng(0), frames=160)
    count = -(-len(clips.word) // 3)  # each stream has room for three
    assert features.shape == (count, 160, 40) and spoken.word.shape == (count, 3)
    assert sorted(spoken.word[spoken.word != ""]) == sorted(clips.word)
    again, _ = streams(clips, noise, np.random.default_rng(0), frames=160)
    np.testing.assert_array_equal(features, again)


def test_noise():
    rng = np.random.default_rng(0)
    recordings = np.full((2, SAMPLE_RATE), 100, np.int16)
    made = [noise_of(recordings, 50_000, rng) for _ in range(50)]
    assert all(len(noise) == 50_000 for noise in made)
    white = np.array([np.std(np.diff(noise[:1000])) > 0 for noise in made])
    assert 0.05 < white.mean() < 0.4  # one in five
