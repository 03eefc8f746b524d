"""Every command can be imported beside all others, and so no two define the same flag."""

import subprocess
import sys

from benchmarks.record import ROOT

COMMANDS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if '\nif __name__ == "__main__":\n' in path.read_text()
]
# Its tests import it, in the process of others.
EXPORT = "keras_fastgrnn.export.__main__"
IMPORT_ALL = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"


def test_imports():
    assert {"benchmarks.backbone", "benchmarks.paper.__main__", "examples.listen"} <= set(COMMANDS)
    command = [sys.executable, "-c", IMPORT_ALL, *COMMANDS, EXPORT]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr  # absl refuses a flag that is defined twice


def test_none_imports_another():
    """A command is read by its user alone; what others share lies in a module without flags."""
    for folder in ("benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in COMMANDS:
                package, _, module = name.rpartition(".")
                text = path.read_text()
                assert f"from {package} import {module}\n" not in text, path
                assert f"from {name} import" not in text, path
