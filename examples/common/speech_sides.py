"""Speech and noise to train on, to choose by, and to state, of any folder of words."""

import collections
import difflib
import pathlib
import unicodedata

import numpy as np
import scipy.sparse

from examples.common import data, speech_commands
from examples.common.classifier import Split
from examples.common.clips import Clips, Side, folds, joined, near_duplicates, ragged, tied
from examples.common.front_end import SAMPLE_RATE
from examples.common.recordings import SUFFIXES, counted, everything, files, listed, read_all
from examples.common.speakers import takes
from examples.common.speech_commands import NOISE, REMEDY, SILENCE

# A keyword is shorter; a longer recording of other speech is cut into clips of this length.
LONGEST = 3 * SAMPLE_RATE
SHORTEST = SAMPLE_RATE // 10  # of a word
# A recording of noise is cut into three sides at these places. The sound around a cut is left out:
# what rings or repeats there is on one side alone.
TRAIN, VALIDATION = 0.6, 0.8
GAP = SAMPLE_RATE
# Many shorter recordings of noise are dealt out whole.
SHORT = 10 * SAMPLE_RATE
MANY = 5
# With fewer speakers of the keyword, each is needed for training or for the choice of a threshold.
SPEAKERS_TO_TEST = 20


def load(data_dir=None, keywords=(), similar=(), noise=None, speakers=None, tell=lambda line: None):
    """Reads speech and noise: one folder for each word, one file for each clip.

    Without the lists of the official archive, the sides are `folds()` by speaker.

    Args:
        data_dir: the folder of the words; that of the official archive, unpacked; or one that has
            it as `speech_commands`, perhaps with `keywords` beside it. `testing_list.txt` may be
            missing where `gsc12.npz` has the clips for testing. By default as in `data.folder()`.
        keywords: the words to detect. All others are what must not be heard.
        similar: others that have to be there.
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
    more, own = folder / "gsc12.npz", []
    if (folder / "speech_commands").is_dir():
        # A word of one's own may lie beside it. Other folders there are other data.
        named = {_plain(word) for word in (*keywords, *similar)}
        own = [take for take in takes(folder, speakers) if _plain(take.word) in named]
        folder, speakers = folder / "speech_commands", None
    found = takes(folder, speakers) + own
    if not found:
        raise ValueError(
            f"No speech in {str(folder)!r}: {REMEDY} A word of your own is a folder of that name "
            "in it, with recordings: docs/wake_word.md."
        )
    _tell_of_others(folder, found, tell)
    found = _as_spelt(folder, found, [*keywords, *similar])
    _tell_of_speakers(found, keywords, tell)
    clips, take = _read(found, keywords, tell)
    side = _official(folder, [found[i] for i in take], keywords)
    official = side is not None
    if not official:
        side = _by_speaker(clips, keywords, [found[i].path for i in take], tell)
    sides = [clips.take(side == i) for i in range(3)]
    if noise and not pathlib.Path(noise).is_dir():
        raise ValueError(f"There is no folder {noise!r} with recordings of noise.")
    noises = noise_sides(read_all(files(pathlib.Path(noise or folder / NOISE))))
    if official and not (folder / "testing_list.txt").is_file() and more.is_file():
        sides[2] = joined([sides[2], _read_npz(more, noises)])
    if official:
        tell("Sides: those of the official lists.")
    made = [Side(*pair) for pair in zip(sides, noises, strict=True)]
    return Split(*made[:2], made[2] if len(made[2].clips.word) else None)


def noise_sides(recordings):
    """`Split` of lists of recordings, cut apart in time; many short ones are dealt out whole."""
    sides = Split([], [], [])
    recordings = [sound for sound in recordings if len(sound) >= SHORTEST]
    short = [sound for sound in recordings if len(sound) < SHORT]
    if len(short) < MANY:
        short = []
    for i, sound in enumerate(short):
        sides[(0, 1, 2, 0, 0)[i % 5]].append(sound)  # three of five train, as of the speakers
    for sound in recordings:
        if not short or len(sound) >= SHORT:
            half = min(GAP, len(sound) // 20) // 2
            first, second = (int(at * len(sound)) for at in (TRAIN, VALIDATION))
            sides.train.append(sound[: first - half])
            sides.validation.append(sound[first + half : second - half])
            sides.test.append(sound[second + half :])
    return sides


def _as_spelt(folder, found, words):
    """The takes with these words as they are spelt here; a ValueError if a word has none."""
    known = sorted({take.word for take in found})
    spelt = {_plain(word): word for word in words}
    for word in words:
        if _plain(word) not in map(_plain, known):
            near = {_plain(name): name for name in known}
            close = [near[name] for name in difflib.get_close_matches(_plain(word), near)]
            names = ", ".join(close or known[:20]) + ", ..." * (not close and len(known) > 20)
            raise ValueError(
                f"There is no sound of {word!r} in {str(folder)!r}; "
                f"{'the nearest words' if close else 'the words'} are {names}. A word is a folder "
                f"of that name, for its recordings or for a folder for each speaker."
                f"{_deeper(folder, word)}"
            )
    return [take._replace(word=spelt.get(_plain(take.word), take.word)) for take in found]


def _deeper(folder, word):
    """How to turn folders around that have the speaker first."""
    for path in sorted(folder.glob("*/*/")):
        if _plain(path.name) == _plain(word):
            here = f"{path.parent.name}/{path.name}"
            return f" Put the word first: not {here}/, but {path.name}/{path.parent.name}/."
    return ""


def _plain(word):
    return unicodedata.normalize("NFC", word).casefold()


def _tell_of_speakers(found, keywords, tell):
    """Says how the speakers were found, and whether they look like people."""
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
    for word in keywords:
        named = [take.speaker for take in found if take.word == word and take.by == "name"]
        if len(named) > 1 and len(named) == len(set(named)):
            tell(
                f"Each file of {word!r} is taken for a speaker of its own, as by its name. If some "
                "are of one person, that person may be on two sides, and the figures below are too "
                "good: put the files into a folder for each speaker, or give --speakers."
            )


def _tell_of_others(folder, found, tell):
    """Names the files that are left out."""
    used = {take.path for take in found}
    others = [
        path
        for path in everything(folder)
        if path not in used and not path.relative_to(folder).parts[0].startswith("_")
    ]
    unread = [path for path in others if path.suffix.lower() not in SUFFIXES]
    unread = [path for path in unread if path.parent != folder]  # lists, and the archive's text
    if unread:
        tell(
            f"Left out: {counted(unread, 'file')} of no format that libsndfile reads (it reads "
            f"WAV, FLAC, Ogg, MP3 and others):{listed(unread)}"
        )
    wordless = [path for path in others if path.suffix.lower() in SUFFIXES]
    if wordless:
        tell(f"Left out: {counted(wordless, 'file')} in no word's folder:{listed(wordless)}")


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
            f"{counted(long, 'recording')} of the keyword: more than "
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
            f"Left out: {counted(empty, 'file')} silent or shorter than "
            f"{SHORTEST / SAMPLE_RATE} s:{listed(empty)}"
        )
    if not parts:
        raise ValueError("All recordings are silent, or shorter than a word.")
    word = np.array([found[i].word for i in index], str)
    speaker = np.array([found[i].speaker for i in index], str)
    return Clips(ragged(parts), word, speaker), index


def _official(folder, found, keywords):
    """The side of each clip by the official lists, or `None` if they do not know a keyword."""
    if not (folder / "validation_list.txt").is_file():
        return None
    side = speech_commands.official_sides(folder, [take.path for take in found])
    known = {take.word for take, on in zip(found, side, strict=True) if on == 1}
    return side if known >= set(keywords) else None


def _by_speaker(clips, keywords, paths, tell):
    """The side of each clip by `folds()`."""
    said = np.isin(clips.word, keywords or clips.word)
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
    # The largest groups come first: training gets the first, and validation the second.
    side = np.array([0, 1, 2, 0, 0] if count == 5 else [0, 1, 0])
    return side[folds(clips, count, keywords, duplicates)]


def _read_npz(path, noise):
    """`Clips` of the archive's testing side, without the silence that trains or chooses."""
    clips = speech_commands.read_npz(path)
    clips = clips._replace(audio=ragged(clips.audio))
    # The archive cut its silence at random from its noise.
    heard = [*noise.train, *noise.validation]
    (silent,) = np.nonzero(clips.word == SILENCE)
    shared = near_duplicates([*heard, *clips.audio[silent]])[len(heard) :, : len(heard)]
    return clips.take(np.setdiff1d(np.arange(len(clips.word)), silent[shared.getnnz(axis=1) > 0]))
