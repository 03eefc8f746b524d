"""A word of one's own: which folders it is read from, what is said of them, and what is refused."""

import pathlib
import re
import shutil
import unicodedata

import numpy as np
import pytest
import soundfile
import soxr
from absl import flags
from absl.testing import flagsaver
from speech import archive, word, write

from examples import wake_word
from examples.common import speech_report, speech_sides
from examples.common.clips import joined
from examples.common.front_end import SAMPLE_RATE


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """12 people who say each of four words five times, in two noises."""
    folder = tmp_path_factory.mktemp("recordings")
    archive(folder, people=12, takes=5, noises=2)
    return folder


@pytest.fixture
def folder(recordings, tmp_path):
    """A copy of the recordings, to change."""
    return pathlib.Path(shutil.copytree(recordings, tmp_path / "copy"))


@pytest.fixture
def found(capsys):
    """Loads a folder as the command does: `(sides, what it prints)`."""

    def found(folder, *arguments, keyword="yes"):
        with flagsaver.flagsaver():
            flags.FLAGS(["wake_word", f"--data_dir={folder}", f"--keyword={keyword}", *arguments])
            sides = wake_word.load(" or ".join(wake_word._KEYWORD.value))
        return sides, capsys.readouterr().out

    return found


@pytest.fixture
def refused(found):
    """The message with which the command refuses a folder."""

    def refused(*arguments, **keywords):
        with pytest.raises(SystemExit) as error:
            found(*arguments, **keywords)
        return str(error.value)

    return refused


def numbers(printed, side):
    """The numbers of a row of the table of sides."""
    (line,) = (line for line in printed.splitlines() if f"│ {side}" in line)
    return [float(cell.replace(",", "")) for cell in line.split("│")[2:-1]]


def test_sixty_clips_of_twelve_people(recordings, found):
    sides, printed = found(recordings)
    assert sides.test is None
    assert numbers(printed, "training")[:5] == [40, 8, 120, 2.0, 8]
    assert numbers(printed, "validation")[:5] == [20, 4, 60, 1.0, 4]
    assert 'Speakers: 12 by file name, its text before the first "_" or "-".' in printed
    assert "This makes a poor detector: 60 clips of 12 people who say 'yes'," in printed


def test_how_poor_others_were(recordings, found, tmp_path, monkeypatch):
    (tmp_path / "wake_word.json").write_text('{"wakeword_small_f1": 0.791}')
    monkeypatch.setattr(speech_report, "RESULTS", tmp_path / "wake_word.json")
    _, printed = found(recordings)
    assert "One of 60 clips of 20 people reached an F1 of 0.79 on clips of others." in printed


def test_all_that_is_missing_is_said_at_once(folder, refused):
    for path in folder.glob("yes/*"):
        if int(path.name[:8], 16) > 2:
            path.unlink()
    for name in "no", "go", "_background_noise_":
        shutil.rmtree(folder / name)
    for path in sorted(folder.glob("seven/*"))[20:]:
        path.unlink()
    message = refused(folder)
    assert re.fullmatch(
        r"Too little to train on. Needed are\n"
        r"  at least 10 people who say 'yes': found 3\n"
        r"  at least 40 clips of 'yes': found 15\n"
        r"  at least 60 seconds of other speech: found 20\n"
        r"  at least 10 seconds of noise: found 0\n"
        r"Other speech is any other folder of --data_dir; noise is .*, or --noise\.",
        message,
    )


def test_one_side_lacks_something(folder, refused):
    (folder / "validation_list.txt").write_text("yes/00000001_nohash_0.wav\n")
    message = refused(folder)
    assert "at least 2 people who say 'yes' for validation: found 1 there, and 13 in all" in message
    assert "at least 5 clips of 'yes' for validation: found 1 there, and 60 in all" in message
    assert "at least 10 seconds of other speech for validation: found 0 there" in message


def test_unknown_word(recordings, refused, folder):
    message = refused(recordings, keyword="yess")
    assert f"There is no sound of 'yess' in '{recordings}'; the nearest words are yes." in message
    message = refused(recordings, keyword="computer")
    assert "of 'computer' in" in message and "the words are go, no, seven, yes." in message
    (folder / "computer").mkdir()
    assert "There is no sound of 'computer'" in refused(folder, keyword="computer")
    assert "There is no sound of 'nope'" in refused(recordings, "--similar=nope")


def test_several_words_and_words_alike(recordings, found):
    sides, printed = found(recordings, "--similar=seven", keyword="yes, go")
    assert set(sides.train.clips.word) == {"yes or go", "no", "seven"}
    assert numbers(printed, "training")[:2] == [80, 8]


@pytest.mark.parametrize("name", ["hey computer", "größe", "안녕", "o'clock", "Yes & No", "a.b"])
def test_names_of_words(folder, found, name):
    (folder / "yes").rename(folder / unicodedata.normalize("NFD", name))  # as macOS writes it
    sides, printed = found(folder, keyword=name)
    assert np.sum(sides.train.clips.word == name) == 40
    assert f"people who say {name!r}" in printed


def test_files_that_are_no_clips(folder, found):
    yes = folder / "yes"
    (yes / ".DS_Store").write_bytes(b"\0")
    (yes / "._00000000_nohash_0.wav").write_bytes(b"\0")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.wav").write_bytes(b"\0")
    (folder / "LICENSE").write_text("free")
    (yes / "notes.txt").write_text("yes")
    (yes / "phone.m4a").write_bytes(b"\0")
    (folder / "empty").mkdir()
    write(folder / "no" / "0_nohash_0.wav", np.zeros(0, np.int16))
    write(folder / "no" / "0_nohash_1.wav", np.zeros(SAMPLE_RATE, np.int16))
    write(folder / "no" / "0_nohash_2.wav", np.full(1000, 7, np.int16))
    write(folder / "loose.wav", word("yes", 300, np.random.default_rng(0)))
    sides, printed = found(folder)
    assert sum(len(side.clips.word) for side in sides[:2]) == 240
    text = printed.replace(str(folder), "")
    assert "Left out: 2 files of no format that libsndfile reads" in text
    assert ":\n  /yes/notes.txt\n  /yes/phone.m4a\n" in text
    assert "Left out: 1 file in no word's folder:\n  /loose.wav\n" in text
    assert "Left out: 3 files silent or shorter than 0.1 s:\n  /no/0_nohash_0.wav\n" in text
    assert "DS_Store" not in text and "LICENSE" not in text


def test_unreadable_files_are_named(folder, refused):
    for i in range(7):
        (folder / "go" / f"{i}_nohash_9.wav").write_bytes(b"RIFF" + bytes(i))
    soundfile.write(folder / "go" / "7_nohash_9.wav", np.full(9000, np.nan), 16_000, "FLOAT")
    message = refused(folder)
    assert "Cannot read 8 files of 248. Repair or delete:" in message
    assert message.count("/go/") == 5 and message.endswith("\n  and 3 more")


def test_any_format_rate_and_channels(folder, found):
    """A clip is the same from each format, but for what the format loses."""
    path = folder / "yes" / "00000000_nohash_0.wav"
    sound, _ = soundfile.read(path)
    forms = {
        "u8.wav": (sound, SAMPLE_RATE, "PCM_U8"),
        "24.wav": (sound, SAMPLE_RATE, "PCM_24"),
        "float.WAV": (sound, SAMPLE_RATE, "FLOAT"),
        "stereo.aiff": (np.stack([sound, sound], axis=1), SAMPLE_RATE, "PCM_16"),
        "cd.flac": (soxr.resample(sound, SAMPLE_RATE, 44_100), 44_100, "PCM_16"),
        "phone.wav": (soxr.resample(sound, SAMPLE_RATE, 48_000), 48_000, "ULAW"),
        "web.ogg": (soxr.resample(sound, SAMPLE_RATE, 48_000), 48_000, "VORBIS"),
        "web.mp3": (soxr.resample(sound, SAMPLE_RATE, 22_050), 22_050, "MPEG_LAYER_III"),
    }
    names = {f"00000000_nohash_{name}": form for name, form in forms.items()}
    for old in folder.glob("yes/00000000*"):
        old.unlink()
    for name, (samples, rate, subtype) in names.items():
        soundfile.write(folder / "yes" / name, samples, rate, subtype)
    sides, _ = found(folder)
    clips = joined([side.clips for side in sides[:2]])
    heard = clips.audio[(clips.speaker == "00000000") & (clips.word == "yes")]
    assert len(heard) == len(forms)
    for audio in heard:
        length = min(len(audio), len(sound))
        assert abs(len(audio) - len(sound)) < 0.1 * SAMPLE_RATE
        # MP3 shifts the sound: compare spectra.
        ours, theirs = (np.abs(np.fft.rfft(x[:length]))[:4000] for x in (audio, sound))
        assert np.corrcoef(ours, theirs)[0, 1] > 0.97


def test_a_folder_for_each_speaker(folder, found):
    for name in "yes", "no", "go", "seven":
        for path in sorted(folder.glob(f"{name}/*.wav")):
            inside = path.parent / f"Person {path.name[:8]}" / path.name[-5:]
            inside.parent.mkdir(exist_ok=True)
            path.rename(inside)
    sides, printed = found(folder)
    assert "Speakers: 12 by the folder in that of the word." in printed
    assert numbers(printed, "training")[:2] == [40, 8]
    assert "person 00000000" in {*sides.train.clips.speaker, *sides.validation.clips.speaker}


def test_a_table_of_speakers(folder, found, refused):
    """The table's word overrides the folder; files that it does not name have their own names."""
    flat = folder / "clips"
    flat.mkdir()
    lines = ["File;Speaker;Word"]
    for i, path in enumerate(sorted(folder.glob("yes/*"))):
        path.rename(flat / f"{i}.wav")
        lines.append(f"{i}.wav;Person {i // 5};yes")
    table = folder / "table.csv"
    table.write_text("\n".join(lines), "utf-8-sig")
    _, printed = found(folder, f"--speakers={table}")
    assert "Speakers: 12 by the table; 12 by file name" in printed
    assert numbers(printed, "training")[:2] == [40, 8]

    table.write_text("file,speaker\nclips/0.wav,a\nclips/lost.wav,b\n")
    message = refused(folder, f"--speakers={table}", keyword="clips")
    assert f"{table} names 1 file that {folder} does not have:\n  clips/lost.wav" in message
    table.write_text("path,client_id\n")
    message = refused(folder, f"--speakers={table}", keyword="clips")
    assert "has the columns path, client_id; needed are file and speaker" in message
    table.write_text("file,speaker\nclips/0.wav,\n")
    message = refused(folder, f"--speakers={table}", keyword="clips")
    assert "table.csv, line 2: file or speaker is empty." in message
    message = refused(folder, "--speakers=none.csv", keyword="clips")
    assert message == "none.csv: No such file or directory."


@pytest.mark.parametrize("form", ["rec_{:04}", "yes-{}", "{:04}", "Recording ({})"])
def test_files_that_name_nobody(folder, found, form):
    for i, path in enumerate(sorted(folder.glob("yes/*"))):
        path.rename(path.parent / (form.format(i) + ".wav"))
    _, printed = found(folder)
    assert "Each file of 'yes' is taken for a speaker of its own" in printed
    assert sum(numbers(printed, side)[1] for side in ("training", "validation", "testing")) == 60


def test_words_in_a_folder_for_each_speaker(folder, refused):
    for path in sorted(folder.glob("[!_]*/*")):
        inside = folder / f"person{path.name[:8]}" / path.parent.name / path.name
        inside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(inside)
    message = refused(folder)
    assert "There is no sound of 'yes'" in message
    assert "not person00000000/yes/, but yes/person00000000/." in message


def test_noise(folder, found, refused):
    noise = folder / "_background_noise_"
    shutil.move(noise, folder.parent / "street")
    sides, _ = found(folder, f"--noise={folder.parent / 'street'}")
    assert [len(side.noise) for side in sides[:2]] == [2, 2]
    assert "There is no folder 'nowhere' with recordings of noise." in refused(
        folder, "--noise=nowhere"
    )
    message = refused(folder)
    assert "at least 10 seconds of noise: found 0" in message and "--noise" in message


def test_links_to_folders(folder, found):
    """As to the words of the archive, beside a word of one's own."""
    (folder / "go").rename(folder.parent / "go")
    (folder / "go").symlink_to(folder.parent / "go")
    assert "go" in found(folder)[0].train.clips.word


def test_one_noise(folder, found):
    (folder / "_background_noise_" / "1.wav").unlink()
    sides, _ = found(folder)
    assert [len(side.noise) for side in sides[:2]] == [1, 1]


def test_nothing_but_the_word(folder, refused):
    for name in "no", "go", "seven":
        shutil.rmtree(folder / name)
    assert "at least 60 seconds of other speech: found 0\n" in refused(folder)
    for path in folder.glob("yes/*"):
        write(path, np.zeros(SAMPLE_RATE, np.int16))
    assert refused(folder) == "All recordings are silent, or shorter than a word."


def test_a_speaker_with_one_clip(folder, found):
    for path in folder.glob("*/00000003*"):
        if not (path.parent.name == "yes" and path.stem.endswith("0")):
            path.unlink()
    _, printed = found(folder)
    assert sum(numbers(printed, side)[1] for side in ("training", "validation")) == 12


def test_near_duplicates_of_everybody(folder, found):
    """One recording under twelve names does not silently go to one side."""
    sound, _ = soundfile.read(folder / "yes" / "00000000_nohash_0.wav", dtype="int16")
    for path in folder.glob("yes/*_0.wav"):
        write(path, np.roll(sound, 100 * int(path.name[:8], 16)))
    _, printed = found(folder)
    assert "Sides by speaker alone: 12 clips of different speakers share parts of" in printed
    assert "yes/00000000_nohash_0.wav" in printed
    assert numbers(printed, "training")[:2] == [40, 8]


def test_long_recordings_of_the_keyword(folder, refused):
    for i in range(2):
        sound = np.random.default_rng(i).normal(0, 900, 4 * SAMPLE_RATE).astype(np.int16)
        write(folder / "yes" / f"0_nohash_{i}.wav", sound)
    message = refused(folder)
    assert "2 recordings of the keyword: more than 3 s; cut the word out of each:" in message


def test_an_own_word_beside_the_official_folder(folder, found):
    """The words of the archive are other speech; other folders beside it are not read."""
    (folder / "speech_commands").mkdir()
    for name in "no", "go", "_background_noise_":
        (folder / name).rename(folder / "speech_commands" / name)
    (folder / "speech_commands" / "validation_list.txt").write_text("no/00000001_nohash_0.wav\n")
    sides, printed = found(folder)
    assert numbers(printed, "validation")[:2] == [20, 4]
    assert set(sides.train.clips.word) == {"yes", "no", "go"}


def test_an_own_word_in_the_official_folder(folder, found):
    """The lists do not know the word: its speakers are divided, and all others with them."""
    (folder / "validation_list.txt").write_text("no/00000001_nohash_0.wav\n")
    _, printed = found(folder)
    assert "Sides by speaker;" in printed and numbers(printed, "validation")[:2] == [20, 4]
    sides = speech_sides.load(folder, ["no"])
    assert len(sides.validation.clips.word) == 1
