"""What to do where the machine lacks a tool; Python in a process of its own; `make test-all`."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TEST_ALL = "KERAS_FASTGRNN_TEST_ALL" in os.environ


def require(packages, *tools):
    """Skips a test whose tools are not all found; fails it where CI says that they have to be.

    Args:
        packages: names of Debian's packages that have the tools.
        *tools: names of programs.
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        names = " ".join(packages)
        message = f"{' and '.join(missing)} not found; in Debian: apt-get install {names}"
        # Set by CI, where what is skipped would look like what works.
        if "KERAS_FASTGRNN_REQUIRE_TARGETS" in os.environ:
            pytest.fail(message)
        pytest.skip(message)


def run_module(name, *arguments, **environment):
    """Runs `python -m name` in the root of the checkout, with more variables of the environment."""
    return subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)],
        cwd=pathlib.Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
