"""The files of a folder for a build system, from templates/.

A layout is a folder there, with the paths of the files that it writes. All layouts include
templates/source; templates/parts has the pieces that only some models need. `fill()` replaces each
name between @, in texts and paths, by its value.
"""

import importlib.resources
import re

LAYOUTS = ("c", "cmake", "arduino", "platformio", "esp-idf", "zephyr")
_TEMPLATES = importlib.resources.files(__package__) / "templates"


def layout_files(layout):
    """The paths and texts of a layout, before `fill()`, and its folder of C files."""
    folder = "" if layout == "c" else "src/"
    files = {} if layout == "c" else dict(_read(_TEMPLATES / layout))
    return files | {f"{folder}{path}": text for path, text in _read(_TEMPLATES / "source")}, folder


def part(name):
    """The text of a piece, without its last newline."""
    return (_TEMPLATES / "parts" / name).read_text("utf-8").removesuffix("\n")


def fill(text, values):
    """Replaces each name by its value, and leaves out a line that holds only an empty value."""

    def line(match):
        return match[0] if str(values[match[1]]) else ""

    text = re.sub(r"^ *@(\w+)@\n", line, text, flags=re.M)
    while re.search(r"@\w+@", text):  # a value may hold names of others
        text = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)
    return text


def _read(folder, path=""):
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry.read_text("utf-8")
