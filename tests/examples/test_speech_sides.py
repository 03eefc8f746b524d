"""The sides of any folder of words: who speaks on which, and which noise is heard there."""

import numpy as np
import pytest
from speech import archive, word, write

from examples.common.clips import near_duplicates
from examples.common.front_end import SAMPLE_RATE
from examples.common.speech_commands import SILENCE
from examples.common.speech_sides import GAP, load, noise_sides


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    archive(folder, people=20)
    return folder


def test_folder_of_one_s_own(folder):
    sides = load(folder, ["yes"])
    clips = [side.clips for side in sides]
    assert sum(len(c.word) for c in clips) == 20 * 4 * 2
    speakers = [set(c.speaker) for c in clips]
    assert [len(s) for s in speakers] == [12, 4, 4] and len(set.union(*speakers)) == 20
    assert [np.sum(c.word == "yes") for c in clips] == [24, 8, 8]
    assert all(set(c.word) == {"yes", "no", "go", "seven"} for c in clips)
    assert [len(side.noise) for side in sides] == [3, 3, 3]


def test_few_speakers_leave_none_for_testing(tmp_path):
    archive(tmp_path, people=6)
    sides = load(tmp_path, ["yes"])
    assert sides.test is None
    assert [len(set(side.clips.speaker)) for side in sides[:2]] == [4, 2]


def listed(folder, name, people):
    """Writes an official list of what some people say."""
    names = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.glob("[!_]*/*"))
        if int(path.name[:8], 16) in people
    ]
    (folder / name).write_text("\n".join(names) + "\n")


def test_official_lists(tmp_path):
    archive(tmp_path, people=6)
    listed(tmp_path, "validation_list.txt", [1])
    listed(tmp_path, "testing_list.txt", [2, 5])
    sides = load(tmp_path, ["yes"])
    people = [sorted({int(name, 16) for name in side.clips.speaker}) for side in sides]
    assert people == [[0, 3, 4], [1], [2, 5]]
    (tmp_path / "testing_list.txt").unlink()
    assert load(tmp_path, ["yes"]).test is None


def test_gsc12_is_the_testing_side(tmp_path):
    """Without the silence that is cut from what the other sides hear."""
    folder = tmp_path / "speech_commands"
    archive(folder, people=4)
    listed(folder, "validation_list.txt", [1])
    noise = load(tmp_path).train.noise[0]
    rng = np.random.default_rng(0)
    fresh = np.cumsum(rng.normal(0, 30, SAMPLE_RATE)).astype(np.int16)
    np.savez(
        tmp_path / "gsc12.npz",
        audio=[word("yes", 300, rng), noise[8000 : 8000 + SAMPLE_RATE], fresh],
        label=np.array([1, 0, 0]),
        classes=np.array([SILENCE, "yes"]),
        speaker=np.array(["a", "", ""]),
    )
    test = load(tmp_path, ["yes"]).test
    assert test.clips.word.tolist() == ["yes", SILENCE]
    np.testing.assert_array_equal(test.clips.audio[1], fresh)


def test_a_word_that_the_lists_do_not_know(tmp_path):
    """Nobody in the official list says it: the sides are by speaker."""
    archive(tmp_path, people=6)
    (tmp_path / "validation_list.txt").write_text("no/00000000_nohash_0.wav\n")
    assert len(set(load(tmp_path, ["yes"]).validation.clips.speaker)) == 2
    assert len(load(tmp_path, ["no"]).validation.clips.word) == 1


def test_clips_of_any_length(tmp_path):
    """A keyword is whole, whatever its length; other speech is cut."""
    archive(tmp_path, people=6)
    rng = np.random.default_rng(0)
    lengths = {"yes": 40_000, "talk": 7 * SAMPLE_RATE}
    for name, samples in lengths.items():
        sound = rng.normal(0, 1000, samples).astype(np.int16)
        write(tmp_path / name / "00000000_nohash_9.wav", sound)
    clips = [audio for side in load(tmp_path, ["yes"])[:2] for audio in side.clips.audio]
    assert sorted(map(len, clips))[-4:] == [16_000, 40_000, 48_000, 48_000]
    message = r"1 recording of the keyword: more than 3 s; cut .*:\n  .*talk/0.*wav: 7.0 s"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, ["talk"])


def test_noise_sides():
    """No side hears another's noise, nor what is about a cut."""
    rng = np.random.default_rng(0)
    long = [rng.normal(0, 1000, seconds * SAMPLE_RATE).astype(np.int16) for seconds in (20, 31)]
    sides = noise_sides(long)
    assert [len(side) for side in sides] == [2, 2, 2]
    for parts, whole in zip(zip(*sides, strict=True), long, strict=True):
        assert sum(map(len, parts)) == len(whole) - 2 * GAP
        found = near_duplicates([*parts, whole]).toarray()
        assert not found[0, 1:3].any() and not found[1, 2] and found[3].all()
    short = [np.full(5 * SAMPLE_RATE, i, np.int16) for i in range(6)]
    assert [[one[0] for one in side] for side in noise_sides(short)] == [[0, 3, 4, 5], [1], [2]]
