"""The tables and pictures of README.md and docs/.

    make pages

Nothing is measured: all of them come from benchmarks/results/. A page marks the place of a table
with `<!-- name -->` and `<!-- end -->`.
"""

import re
import sys
from functools import partial

from benchmarks import record
from benchmarks.pages import denoise, int16, markdown, microcontrollers, paper, training, wake_word
from examples.common import command

DOCS = record.ROOT / "docs"
PAGES = record.ROOT / "README.md", *sorted(DOCS.glob("*.md"))
MARKED = re.compile(r"(<!-- (?!end)([^\n]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# The command that writes a file of results, or a section of one.
COMMANDS = {
    "audio_front_end.json": "make bench-audio-front-end",
    "denoise.json": "make bench-denoise",
    "int16.json": "make bench-int16",
    "microcontrollers.json": "make bench-mcu",
    "paper.json": "make bench-paper",
    "paper_search.json": "python -m benchmarks.paper.search",
    "training.json/adding_200": "make bench-adding",
    "training.json/adding_750": "make bench-adding",
    "training.json/bounded_state": "make bench-bounded-state",
    "training.json/qat": "make bench-qat",
    "training.json/speed": "make bench-training",
    "wake_word.json": "make bench-wake-word",
}
# The function that makes a table, and the results that it takes.
TABLES = {
    "front": (paper.front, "paper.json"),
    "paper": (paper.overview, "paper.json"),
    "tables": (paper.task_tables, "paper.json"),
    "search": (paper.search, "paper_search.json"),
    "clips": (wake_word.clips, "wake_word.json"),
    "streams": (wake_word.streams, "wake_word.json"),
    "announcements": (wake_word.others, "wake_word.json"),
    "words": (wake_word.words, "wake_word.json"),
    "small": (wake_word.small, "wake_word.json"),
    "firmware": (wake_word.firmware, "audio_front_end.json"),
    "wake word": (partial(markdown.figures, "wake_word.json"), "wake_word.json"),
    "denoise": (denoise.figures, "denoise.json"),
    "gains": (denoise.ways, "denoise.json"),
    "noises": (denoise.noises, "denoise.json"),
    "choices": (microcontrollers.choices, "microcontrollers.json"),
    "peers": (microcontrollers.peers, "microcontrollers.json"),
    "chips": (microcontrollers.figures, "microcontrollers.json"),
    **{
        shape: (partial(microcontrollers.steps, shape=shape), "microcontrollers.json")
        for shape in microcontrollers.SHAPES
    },
    "memory": (microcontrollers.memory, "microcontrollers.json"),
    "break-even": (microcontrollers.break_evens, "microcontrollers.json"),
    "sensor": (microcontrollers.sensor, "microcontrollers.json"),
    "200 steps": (training.adding, "training.json/adding_200"),
    "750 steps": (training.adding, "training.json/adding_750"),
    "windows": (training.bounded_windows, "training.json/bounded_state"),
    "stream": (training.bounded_stream, "training.json/bounded_state"),
    "int16": (int16.scores, "int16.json"),
    "int16 differences": (int16.differences, "int16.json"),
    "int16 agreements": (int16.agreements, "int16.json"),
    "int16 chips": (int16.chips, "int16.json"),
    "qat": (training.quantization_aware, "training.json/qat"),
    **{
        f"{units} units, {mode}": (
            partial(training.step_times, units=units, jit_compile=mode == "XLA"),
            "training.json/speed",
        )
        for units in (100, 16)
        for mode in ("XLA", "no XLA")
    },
}
PICTURES = {
    DOCS / "paper.png": (paper.picture, "paper.json"),
    DOCS / "wake_word.png": (wake_word.picture, "wake_word.json"),
    DOCS / "microcontrollers.png": (microcontrollers.cost_picture, "microcontrollers.json"),
    DOCS / "sparse_cells.png": (microcontrollers.density_picture, "microcontrollers.json"),
}


class MissingError(Exception):
    """Names the results that are missing, and the command that writes them."""


def read(folder, name):
    """The dict of a file of results, or of a section of it."""
    file, _, section = name.partition("/")
    results = record.read(folder / file)
    if not results:
        raise MissingError(f"{folder / file} is missing: {COMMANDS[name]} writes it.")
    if section and section not in results:
        raise MissingError(f"{folder / file} has no {section!r}: {COMMANDS[name]} writes it.")
    return results[section] if section else results


def make(part, folder, *arguments):
    """Calls the function of a table or a picture with the results that it takes."""
    function, *names = part
    return function(*(read(folder, name) for name in names), *arguments)


def fill(text, folder, missing):
    """Makes the tables of a page again.

    Args:
        text: string, the page.
        folder: path of the results.
        missing: list; receives a line for each table whose results are missing. Such a table stays
            as it is.

    Returns:
        The page with its tables.

    Raises:
        ValueError: if the page marks a table that does not exist.
    """

    def table(match):
        start, name, end = match.groups()
        if name not in TABLES:
            raise ValueError(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
        try:
            return f"{start}{make(TABLES[name], folder)}\n{end}"
        except MissingError as error:
            missing.append(str(error))
            return match[0]

    return MARKED.sub(table, text)


def main():
    missing = []
    for page in PAGES:
        text = page.read_text()
        if (filled := fill(text, record.FOLDER, missing)) != text:
            page.write_text(filled)
            print(f"Written: {page}")
    for path, picture in PICTURES.items():
        try:
            make(picture, record.FOLDER, path)
        except MissingError as error:
            missing.append(str(error))
    if missing:
        sys.exit("\n".join(dict.fromkeys(missing)))


if __name__ == "__main__":
    command.run(main)
