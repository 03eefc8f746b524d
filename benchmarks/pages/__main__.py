"""The tables and pictures of README.md and docs/.

    make pages

All are made from the files of results, and nothing is measured. A page names a table where it wants
one, between the marks `<!-- name -->` and `<!-- end -->`; `TABLES` says how each is made.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks import record
from benchmarks.pages import denoise, int16, markdown, microcontrollers, paper, training, wake_word
from examples.common import command

DOCS = record.ROOT / "docs"
PAGES = record.ROOT / "README.md", *sorted(DOCS.glob("*.md"))
MARKED = re.compile(r"(<!-- (?!end)([^\n]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class MissingError(Exception):
    """What has not been measured, and the command that does."""


class Part(NamedTuple):
    """Part of a page.

    Attributes:
        command: it writes the results.
        files: names of the files of results.
        make: function of their dicts.
        section: key of the only file's dict that `make` takes in place of all of it.
    """

    command: str
    files: tuple
    make: Callable
    section: str | None = None

    def __call__(self, folder, *arguments):
        """What `make()` returns of a folder's files."""
        found = [record.read(folder / file) for file in self.files]
        for file, values in zip(self.files, found, strict=True):
            if not values:
                raise MissingError(f"{folder / file} is missing: {self.command} writes it.")
        if self.section:
            if self.section not in found[0]:
                file = folder / self.files[0]
                raise MissingError(f"{file} has no {self.section!r}: {self.command} writes it.")
            found = [found[0][self.section]]
        return self.make(*found, *arguments)


def _training(target, make, section):
    return Part(f"make bench-{target}", ("training.json",), make, section)


_int16 = partial(Part, "make bench-int16", ("int16.json",))
_chips = partial(Part, "make bench-mcu", ("microcontrollers.json",))
_word = partial(Part, "make bench-wake-word", ("wake_word.json",))
_denoise = partial(Part, "make bench-denoise", ("denoise.json",))
_paper = partial(Part, "make bench-paper", ("paper.json",))
_both = partial(Part, "make bench-paper bench-wake-word", ("paper.json", "wake_word.json"))
TABLES = {
    "front": _both(paper.front),
    "paper": _both(paper.overview),
    "tables": _paper(paper.task_tables),
    "search": Part("python -m benchmarks.paper.search", ("paper_search.json",), paper.search),
    "clips": _word(wake_word.clips),
    "streams": _word(wake_word.streams),
    "words": _word(wake_word.words),
    "wake word": _word(partial(markdown.figures, "wake_word.json")),
    "denoise": _denoise(denoise.figures),
    "gains": _denoise(denoise.ways),
    "noises": _denoise(denoise.noises),
    "chips": _chips(microcontrollers.figures),
    **{
        shape: _chips(partial(microcontrollers.steps, shape=shape))
        for shape in microcontrollers.SHAPES
    },
    "memory": _chips(microcontrollers.memory),
    "break-even": _chips(microcontrollers.break_evens),
    "sensor": _chips(microcontrollers.sensor),
    **{
        f"{timesteps} steps": _training("adding", training.adding, f"adding_{timesteps}")
        for timesteps in (200, 750)
    },
    "windows": _training("bounded-state", training.bounded_windows, "bounded_state"),
    "stream": _training("bounded-state", training.bounded_stream, "bounded_state"),
    "int16": _int16(int16.scores, "tasks"),
    "int16 differences": _int16(int16.differences, "tasks"),
    "int16 agreements": _int16(int16.agreements, "tasks"),
    "int16 chips": _int16(int16.chips, "chips"),
    "qat": _training("qat", training.quantization_aware, "qat"),
    **{
        f"{units} units, {mode}": _training(
            "training",
            partial(training.step_times, units=units, jit_compile=mode == "XLA"),
            "speed",
        )
        for units in (100, 16)
        for mode in ("XLA", "no XLA")
    },
}
PICTURES = {
    DOCS / "paper.png": _paper(paper.picture),
    DOCS / "wake_word.png": _word(wake_word.picture),
    DOCS / "microcontrollers.png": _chips(microcontrollers.picture),
}


def fill(text, folder, missing):
    """A page's text with its tables made again.

    Args:
        text: string.
        folder: path of the results.
        missing: list to which is added what has not been measured; such a table stays as it is.

    Raises:
        ValueError: if the page names a table that there is not.
    """

    def made(match):
        start, name, end = match.groups()
        if name not in TABLES:
            raise ValueError(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
        try:
            return f"{start}{TABLES[name](folder)}\n{end}"
        except MissingError as error:
            missing.append(str(error))
            return match[0]

    return MARKED.sub(made, text)


def main():
    missing = []
    for page in PAGES:
        text = page.read_text()
        if (filled := fill(text, record.FOLDER, missing)) != text:
            page.write_text(filled)
            print(f"Written: {page}")
    for path, picture in PICTURES.items():
        try:
            picture(record.FOLDER, path)
        except MissingError as error:
            missing.append(str(error))
    if missing:
        sys.exit("\n".join(dict.fromkeys(missing)))


if __name__ == "__main__":
    command.run(main)
