"""Speech and noise to train on, to choose by, and to state, of any folder of words."""

import numpy as np

from examples.common import data
from examples.common.classifier import Split
from examples.common.clips import Clips, Side, folds, joined, near_duplicates, ragged
from examples.common.front_end import SAMPLE_RATE
from examples.common.speech_commands import REMEDY, SILENCE, files, read

NOISE = "_background_noise_"
# A keyword is shorter; a longer recording of other speech is cut into clips of this length.
LONGEST = 3 * SAMPLE_RATE
# A recording of noise is cut into three sides at these places. The sound around a cut is left out:
# what rings or repeats there is on one side alone.
TRAIN, VALIDATION = 0.6, 0.8
GAP = SAMPLE_RATE
# Shorter recordings of noise are dealt out whole.
SHORT = 10 * SAMPLE_RATE
# With fewer speakers of the keyword, each is needed for training or for the choice of a threshold.
SPEAKERS_TO_TEST = 20


def load(data_dir=None, keywords=(), noise=None):
    """Reads speech and noise: one folder for each word, one file for each clip.

    Without the lists of the official archive, the sides are `folds()` by speaker.

    Args:
        data_dir: the folder of the words; that of the official archive, unpacked; or one that has
            it as `speech_commands`. `testing_list.txt` may be missing where `gsc12.npz` has the
            clips for testing. By default as in `data.folder()`.
        keywords: the words to detect. All others are what must not be heard.
        noise: folder of recordings of noise, by default `_background_noise_` of the data.

    Returns:
        `Split` of `Side`; `test` is `None` if there are too few speakers. No person speaks on two
        sides, and no stretch of noise is on two.

    Raises:
        ValueError: if the data is missing or malformed.
    """
    folder = data.folder(data_dir)
    more = folder / "gsc12.npz"
    if (folder / "speech_commands").is_dir():
        folder = folder / "speech_commands"
    paths = files(folder, "[!_.]*/*")
    if not paths:
        raise ValueError(f"No speech in {str(folder)!r}: {REMEDY}")
    clips, name = _read(paths, keywords)
    official = _official(folder, name, np.isin(clips.word, keywords))
    if official is None:
        count = 5 if _speakers(clips, keywords) >= SPEAKERS_TO_TEST else 3
        # Three sides train, or two; the next is for validation, and the last, if any, for testing.
        side = np.array([0, 0, 0, 1, 2] if count == 5 else [0, 0, 1])
        side = side[folds(clips, count, keywords)]
    else:
        side = official
    sides = [clips.take(side == i) for i in range(3)]
    noises = noise_sides([read(path, "int16") for path in files(noise or folder / NOISE)])
    if official is not None and not (folder / "testing_list.txt").is_file() and more.is_file():
        sides[2] = joined([sides[2], _read_npz(more, noises)])
    made = [Side(*pair) for pair in zip(sides, noises, strict=True)]
    return Split(*made[:2], made[2] if len(made[2].clips.word) else None)


def noise_sides(recordings):
    """`Split` of lists of recordings, cut apart in time; short ones are dealt out whole."""
    sides = Split([], [], [])
    dealt = 0
    for sound in recordings:
        if len(sound) < SHORT:
            # Three of five train, as of the speakers.
            sides[(0, 1, 2, 0, 0)[dealt % 5]].append(sound)
            dealt += 1
            continue
        first, second = (int(at * len(sound)) for at in (TRAIN, VALIDATION))
        sides.train.append(sound[: first - GAP // 2])
        sides.validation.append(sound[first + GAP // 2 : second - GAP // 2])
        sides.test.append(sound[second + GAP // 2 :])
    return sides


def _read(paths, keywords):
    """`Clips` of files, and the name of each in the official lists."""
    audio, word, speaker, names = [], [], [], []
    for path in paths:
        name = path.parent.name
        sound = read(path, "int16")
        if name in keywords and len(sound) > LONGEST:
            raise ValueError(
                f"{str(path)!r} has {len(sound) / SAMPLE_RATE:.1f} s; a keyword takes at most "
                f"{LONGEST / SAMPLE_RATE:.0f} s. Cut the word out, or put the file into another "
                "folder, as speech without the keyword."
            )
        for part in np.split(sound, range(LONGEST, len(sound), LONGEST)):
            audio.append(part)
            word.append(name)
            speaker.append(path.name.partition("_")[0])
            names.append(f"{name}/{path.stem}")
    return Clips(ragged(audio), np.array(word), np.array(speaker)), names


def _official(folder, names, said):
    """The side of each clip by the official lists, or `None` if they do not help to choose by."""
    path = folder / "validation_list.txt"
    if not path.is_file():
        return None
    validation, test = (_listed(folder / f"{side}_list.txt") for side in ("validation", "testing"))
    side = np.array([(name in validation) + 2 * (name in test) for name in names])
    return side if not said.any() or (side[said] == 1).any() else None


def _listed(path):
    """The names in a list of .wav files, without the suffix: ours may be .flac files."""
    text = path.read_text() if path.is_file() else ""
    return {line.rpartition(".")[0] for line in text.splitlines()}


def _read_npz(path, noise):
    """`Clips` of the archive's testing side, without the silence that trains or chooses."""
    with np.load(path) as arrays:
        word = arrays["classes"][arrays["label"]]
        clips = Clips(ragged(arrays["audio"]), word, arrays["speaker"])
    # The archive cut its silence at random from its noise.
    heard = [*noise.train, *noise.validation]
    (silent,) = np.nonzero(word == SILENCE)
    shared = near_duplicates([*heard, *clips.audio[silent]])[len(heard) :, : len(heard)]
    return clips.take(np.setdiff1d(np.arange(len(word)), silent[shared.getnnz(axis=1) > 0]))


def _speakers(clips, keywords):
    return len(np.unique(clips.speaker[np.isin(clips.word, keywords)]))
