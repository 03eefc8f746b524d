"""The files of a folder that a build system takes, from templates/.

A layout is a folder there, its paths those of the files it writes. templates/source is in all of
them; templates/parts has the pieces that only some models need. `fill()` puts a value in the place
of each name between @, in texts and paths.
"""

import importlib.resources
import re

LAYOUTS = ("c", "cmake", "arduino", "esp-idf", "zephyr")
_TEMPLATES = importlib.resources.files(__package__) / "templates"


def layout_files(layout):
    """The paths and texts of a layout, before they are filled, and its folder of C files."""
    folder = "" if layout == "c" else "src/"
    files = {} if layout == "c" else dict(_read(_TEMPLATES / layout))
    return files | {f"{folder}{path}": text for path, text in _read(_TEMPLATES / "source")}, folder


def part(name):
    """The text of a piece, without its last newline."""
    return (_TEMPLATES / "parts" / name).read_text("utf-8").removesuffix("\n")


def fill(text, values):
    """Puts each value in its place, and leaves out the lines of empty ones."""

    def line(match):
        return match[0] if str(values[match[1]]) else ""

    text = re.sub(r"^ *@(\w+)@\n", line, text, flags=re.M)
    while re.search(r"@\w+@", text):  # a value may have places for others
        text = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)
    return text


def _read(folder, path=""):
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry.read_text("utf-8")
