"""Who says which word in which file of a folder."""

import csv
import pathlib
import re
import unicodedata
from typing import NamedTuple

from examples.common.recordings import counted, files, listed

# A file's name begins with one of these, or with the word, where a recorder numbered the files.
NO_NAMES = {
    *("audio", "clip", "file", "memo", "new", "new recording", "output", "rec", "record"),
    *("recording", "sample", "sound", "take", "test", "track", "untitled", "voice", "wav"),
}


class Take(NamedTuple):
    """A file, its word and its speaker; `by` is "table", "folder" or "name"."""

    path: pathlib.Path
    word: str
    speaker: str
    by: str


def takes(folder, table=None):
    """The files of a folder that have a word, as a list of `Take`.

    The word is the folder's name, or in the table. The speaker is in the table; or else is the
    folder in that of the word; or else is the text before the first "_" or "-" of the file's name.
    A name without these, or one that begins with the word or with "rec", "audio", ..., names
    nobody: then the file is taken for a speaker of its own.

    Args:
        folder: path.
        table: path of a .csv file with the columns `file` and `speaker`, and `word` where the
            folder is not the word; or `None`.

    Raises:
        ValueError: if the table is malformed, or names files that are not there.
    """
    paths = [
        path
        for path in files(folder)
        if path.parent == folder or not path.relative_to(folder).parts[0].startswith("_")
    ]
    rows = _rows_of(paths, folder, table) if table else {}
    made = []
    for path in paths:
        parts = [_normal(part) for part in path.relative_to(folder).parts]
        row = rows.get(path, {})
        word = row.get("word") or (parts[0] if len(parts) > 1 else "")
        if not word:
            continue
        if row:
            made.append(Take(path, word, row["speaker"].casefold(), "table"))
        elif len(parts) > 2:
            made.append(Take(path, word, parts[1].casefold(), "folder"))
        else:
            name = _speaker(_normal(path.stem), word)
            made.append(Take(path, word, name.casefold(), "name"))
    return made


def _normal(text):
    """One of the two ways to write an accent in Unicode: macOS writes file names in the other."""
    return unicodedata.normalize("NFC", text)


def _speaker(stem, word):
    """The speaker in a file's name; the whole name if it names nobody."""
    speaker, official, _ = stem.partition("_nohash_")
    if official:
        return speaker
    speaker, *rest = re.split("[_-]", stem, maxsplit=1)
    speaker = speaker.strip()
    nobody = {"", word.casefold(), *NO_NAMES}
    return speaker if rest and speaker.casefold() not in nobody else stem


def _rows_of(paths, folder, table):
    """Dict from path to the row of the table, a dict of its columns."""
    named = {}
    for path in paths:
        inside = path.relative_to(folder)
        whole = {path.resolve().as_posix(), inside.as_posix(), inside.with_suffix("").as_posix()}
        for name in {*whole, path.name, path.stem}:
            named.setdefault(_normal(name), []).append(path)
    found, missing = {}, []
    for row in _read_table(table):
        name = _normal(row["file"].replace("\\", "/").removeprefix("./"))
        match = named.get(name, [])
        if len(match) > 1:
            raise ValueError(
                f"{table}: {row['file']!r} is the name of {len(match)} files in {folder}: write "
                "the folders too, as in 'computer/a.wav'."
            )
        if match:
            found[match[0]] = row
        else:
            missing.append(row["file"])
    if missing:
        raise ValueError(
            f"{table} names {counted(missing, 'file')} that {folder} does not have:"
            f"{listed(missing)}"
        )
    return found


def _read_table(path):
    """The rows of a .csv file as dicts."""
    try:
        text = pathlib.Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}.") from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}.") from error
    header, *lines = text.splitlines() or [""]
    delimiter = max(",;\t", key=header.count)
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    rows = [
        {name: (value or "").strip() for name, value in row.items() if name}
        for row in csv.DictReader(lines, columns, delimiter=delimiter)
    ]
    if not {"file", "speaker"} <= set(columns):
        raise ValueError(
            f"{path} has the columns {', '.join(columns)}; needed are file and speaker, and word "
            "for files that are not in a folder of the word's name."
        )
    for number, row in enumerate(rows, 2):
        if not (row["file"] and row["speaker"]):
            raise ValueError(f"{path}, line {number}: file or speaker is empty.")
    return rows
