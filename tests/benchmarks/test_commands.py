"""Every command can be imported beside all others, and so no two define the same flag."""

import re
import subprocess
import sys

import pytest

from benchmarks.record import ROOT

COMMANDS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if '\nif __name__ == "__main__":\n' in path.read_text()
]
# Its tests import it, in the process of others.
EXPORT = "keras_fastgrnn.export.__main__"
IMPORT_ALL = """
import importlib, sys
from absl import flags
for name in sys.argv[1:]: importlib.import_module(name)
print(*flags.FLAGS)
"""
# A command as the docs, a docstring or the Makefile name it, with its flags.
NAMED = re.compile(
    r"python -m ((?:benchmarks|examples)(?:\.[a-z0-9_]+)+)((?:[ \\\n]+--\w+(?:=[^\s`]*)?)*)"
)


@pytest.fixture(scope="module")
def flags():
    """Names of the flags of all commands together."""
    command = [sys.executable, "-c", IMPORT_ALL, *COMMANDS, EXPORT]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr  # absl refuses a flag that is defined twice
    return set(result.stdout.split())


def test_imports(flags):
    assert {"benchmarks.backbone", "benchmarks.paper.__main__", "examples.listen"} <= set(COMMANDS)
    assert {"results_dir", "preset", "tflite", "samples"} <= flags


def test_named_commands(flags):
    """Whoever copies a command from a page can run it."""
    pages = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").glob("*.md")]
    sources = (path for room in ("benchmarks", "examples") for path in (ROOT / room).rglob("*.py"))
    found = set()
    for path in (*pages, *sources):
        text = path.read_text().replace("$(BENCHMARK)", "python -m benchmarks")
        for name, given in NAMED.findall(text):
            assert {name, f"{name}.__main__"} & set(COMMANDS), f"{path} runs {name}"
            unknown = set(re.findall(r"--(\w+)", given)) - flags
            assert not unknown, f"{path} gives {name} the flags {unknown}"
            found.add(name)
    assert {"benchmarks.training", "benchmarks.paper", "examples.listen"} <= found


def test_none_imports_another():
    """A command is read by its user alone; what others share lies in a module without flags."""
    for folder in ("benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in COMMANDS:
                package, _, module = name.rpartition(".")
                text = path.read_text()
                assert f"from {package} import {module}\n" not in text, path
                assert f"from {name} import" not in text, path
