"""How a command starts, prints a table, and ends with a message to its user."""

import contextlib
import logging
import sys

import absl.logging
from absl import app
from rich.console import Console
from rich.table import Table


def run(main):
    """Runs `main()` as a command that takes flags alone."""

    def start(argv):
        if len(argv) > 1:
            raise app.UsageError(f"Unknown argument {argv[1]!r}.")
        absl.logging.set_verbosity(absl.logging.ERROR)
        logging.getLogger("tensorflow").setLevel("ERROR")
        main()

    app.run(start)


@contextlib.contextmanager
def one_line():
    """Ends the command with the error's message alone if data, a tool or an argument is wrong."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(str(error))


def show(title, header, rows, caption=None):
    """Prints a table of texts, aligned to the right but for the first column."""
    first, *others = header
    table = Table(title=title, caption=caption)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
