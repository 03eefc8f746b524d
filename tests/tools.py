"""Skips where the machine lacks a tool, commands in this process, and `make test-all`."""

import contextlib
import io
import os
import shutil

import pytest
from absl import flags
from absl.testing import flagsaver

TEST_ALL = "KERAS_FASTGRNN_TEST_ALL" in os.environ


def require(packages, *tools):
    """Skips a test if a tool is missing, or fails it where CI requires the tools.

    Args:
        packages: names of the Debian packages with the tools.
        *tools: names of programs.
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        names = " ".join(packages)
        _skip(f"{' and '.join(missing)} not found; in Debian: apt-get install {names}")


def require_front_end():
    """The path of the archive with TFLite Micro's front end, in build/ or from PyPI.

    Skips a test, or fails it likewise, if neither has it.
    """
    from examples.common import firmware  # and with it TensorFlow

    try:
        return firmware.archive()
    except ValueError as error:
        _skip(str(error))


def _skip(message):
    # CI sets it, because there a skipped test would pass unnoticed.
    if "KERAS_FASTGRNN_REQUIRE_TARGETS" in os.environ:
        pytest.fail(message)
    pytest.skip(message)


def write(folder, files):
    """Writes files, a dict from path to text. Returns the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def run_main(main, *arguments):
    """Runs the `main()` of a command in this process, which has imported TensorFlow. Returns what
    it prints."""
    with flagsaver.flagsaver(), contextlib.redirect_stdout(io.StringIO()) as printed:
        flags.FLAGS(["command", *arguments])
        main()
    return printed.getvalue()
