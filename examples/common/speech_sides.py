"""Speech and noise to train on, to choose by, and to state, of any folder of words."""

import collections
import pathlib

import numpy as np
import scipy.sparse

from examples.common import data, speech_commands
from examples.common.classifier import Split
from examples.common.clips import Clips, Side, folds, joined, near_duplicates, ragged, tied
from examples.common.front_end import SAMPLE_RATE
from examples.common.recordings import SUFFIXES, everything, files, listed, read_all
from examples.common.speakers import takes
from examples.common.speech_commands import REMEDY, SILENCE

NOISE = "_background_noise_"
# A keyword is shorter; a longer recording of other speech is cut into clips of this length.
LONGEST = 3 * SAMPLE_RATE
SHORTEST = SAMPLE_RATE // 10  # of a word
# A recording of noise is cut into three sides at these places. The sound around a cut is left out:
# what rings or repeats there is on one side alone.
TRAIN, VALIDATION = 0.6, 0.8
GAP = SAMPLE_RATE
# Shorter recordings of noise are dealt out whole.
SHORT = 10 * SAMPLE_RATE
# With fewer speakers of the keyword, each is needed for training or for the choice of a threshold.
SPEAKERS_TO_TEST = 20


def load(data_dir=None, keywords=(), noise=None, speakers=None, tell=lambda line: None):
    """Reads speech and noise: one folder for each word, one file for each clip.

    Without the lists of the official archive, the sides are `folds()` by speaker.

    Args:
        data_dir: the folder of the words; that of the official archive, unpacked; or one that has
            it as `speech_commands`. `testing_list.txt` may be missing where `gsc12.npz` has the
            clips for testing. By default as in `data.folder()`.
        keywords: the words to detect. All others are what must not be heard.
        noise: folder of recordings of noise, by default `_background_noise_` of the data.
        speakers: table of `speakers.takes()`.
        tell: function that hears, a line at a time, how the sides were found.

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
    found = takes(folder, speakers)
    if not found:
        raise ValueError(f"No speech in {str(folder)!r}: {REMEDY}")
    _tell_of_files(folder, found, tell)
    clips, take = _read(found, keywords, tell)
    side = _official(folder, [found[i] for i in take], np.isin(clips.word, keywords))
    official = side is not None
    if not official:
        side = _by_speaker(clips, keywords, [found[i].path for i in take], tell)
    sides = [clips.take(side == i) for i in range(3)]
    noises = noise_sides(read_all(files(pathlib.Path(noise or folder / NOISE))))
    if official and not (folder / "testing_list.txt").is_file() and more.is_file():
        sides[2] = joined([sides[2], _read_npz(more, noises)])
    if official:
        tell("Sides: those of the official lists.")
    made = [Side(*pair) for pair in zip(sides, noises, strict=True)]
    return Split(*made[:2], made[2] if len(made[2].clips.word) else None)


def noise_sides(recordings):
    """`Split` of lists of recordings, cut apart in time; short ones are dealt out whole."""
    sides = Split([], [], [])
    dealt = 0
    for sound in recordings:
        if len(sound) >= SHORT:
            first, second = (int(at * len(sound)) for at in (TRAIN, VALIDATION))
            sides.train.append(sound[: first - GAP // 2])
            sides.validation.append(sound[first + GAP // 2 : second - GAP // 2])
            sides.test.append(sound[second + GAP // 2 :])
        elif len(sound):
            # Three of five train, as of the speakers.
            sides[(0, 1, 2, 0, 0)[dealt % 5]].append(sound)
            dealt += 1
    return sides


def _tell_of_files(folder, found, tell):
    """Says who the speakers are, and which files have none."""
    by = collections.defaultdict(set)
    for take in found:
        by[take.by].add(take.speaker)
    ways = {
        "table": "by the table",
        "folder": "by the folder in that of the word",
        "name": 'by file name, its text before the first "_" or "-"',
    }
    told = [f"{len(by[way]):,} {text}" for way, text in ways.items() if by[way]]
    tell(f"Speakers: {'; '.join(told)}.")
    used = {take.path for take in found}
    others = [
        path
        for path in everything(folder)
        if path not in used and not path.relative_to(folder).parts[0].startswith("_")
    ]
    unread = [path for path in others if path.suffix.lower() not in SUFFIXES]
    unread = [path for path in unread if path.parent != folder]  # lists, and the archive's text
    if unread:
        tell(f"Left out, as no sound by name: {len(unread):,} files:{listed(unread)}")
    wordless = [path for path in others if path.suffix.lower() in SUFFIXES]
    if wordless:
        tell(f"Left out, as in no word's folder: {len(wordless):,} files:{listed(wordless)}")


def _read(found, keywords, tell):
    """`Clips` of takes, and for each clip the index of its take."""
    sounds = read_all([take.path for take in found])
    long = [
        f"{take.path}: {len(sound) / SAMPLE_RATE:.1f} s"
        for take, sound in zip(found, sounds, strict=True)
        if take.word in keywords and len(sound) > LONGEST
    ]
    if long:
        raise ValueError(
            f"{len(long):,} recordings of the keyword take more than "
            f"{LONGEST / SAMPLE_RATE:.0f} s; cut the word out of each:{listed(long)}"
        )
    parts, index, empty = [], [], []
    for i, sound in enumerate(sounds):
        heard = [
            part
            for part in np.split(sound, range(LONGEST, len(sound), LONGEST))
            if len(part) >= SHORTEST and (part != part[0]).any()
        ]
        parts.extend(heard)
        index.extend([i] * len(heard))
        if not heard:
            empty.append(found[i].path)
    if empty:
        tell(
            f"Left out, as silent or shorter than {SHORTEST / SAMPLE_RATE} s: {len(empty):,} "
            f"files:{listed(empty)}"
        )
    word = np.array([found[i].word for i in index], str)
    speaker = np.array([found[i].speaker for i in index], str)
    return Clips(ragged(parts), word, speaker), index


def _official(folder, found, said):
    """The side of each clip by the official lists, or `None` if they do not help to choose by."""
    if not (folder / "validation_list.txt").is_file():
        return None
    lists = (folder / f"{side}_list.txt" for side in ("validation", "testing"))
    validation, test = map(speech_commands.listed, lists)
    names = [take.path.relative_to(folder).with_suffix("").as_posix() for take in found]
    side = np.array([(name in validation) + 2 * (name in test) for name in names])
    return side if not said.any() or (side[said] == 1).any() else None


def _by_speaker(clips, keywords, paths, tell):
    """The side of each clip by `folds()`."""
    said = np.isin(clips.word, keywords)
    count = 5 if len(np.unique(clips.speaker[said])) >= SPEAKERS_TO_TEST else 3
    duplicates = near_duplicates(clips.audio)
    (keyword,), (other,) = np.nonzero(said), np.nonzero(~said)
    together = [
        paths[i]
        for part in (keyword, other)
        for i in part[tied(clips.take(part), duplicates[part][:, part])]
    ]
    if together:
        tell(
            f"Sides by speaker alone: {len(together):,} clips of different speakers share parts of "
            "recordings, and would put most clips on one side. If they are copies of the same "
            f"recordings, all figures below are too good:{listed(together)}"
        )
        duplicates = scipy.sparse.csr_matrix(duplicates.shape, dtype=bool)
    else:
        tell("Sides by speaker; clips that share a part of a recording stay together.")
    # Three sides train, or two; the next is for validation, and the last, if any, for testing.
    side = np.array([0, 0, 0, 1, 2] if count == 5 else [0, 0, 1])
    return side[folds(clips, count, keywords, duplicates)]


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
