"""Where the benchmarks leave what README.md and docs/ state: JSON files, and tables in pages."""

import importlib.metadata
import json
import operator
import os
import pathlib
import platform
import re

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results"


def read(path):
    """The dict of a JSON file, empty if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path, values):
    """A JSON file, whole or not at all."""
    _write(path, json.dumps(values, indent=2, default=float) + "\n")


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def figures(name, values):
    """Writes figures into a JSON file of benchmarks/results/, beside those of other commands."""
    path = FOLDER / name
    write(path, read(path) | values)
    print(f"Written: {path}")


def reached(value, relation, target):
    """Whether a figure is what was asked of it; the relation is ">=" or "<="."""
    return {">=": operator.ge, "<=": operator.le}[relation](value, target)


def versions():
    """Dict from what a figure depends on to its version."""
    packages = ("tensorflow", "keras", "tensorflow-model-optimization", "tflite_micro", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return found | {"python": platform.python_version()}


class Cells:
    """What is computed once: a benchmark of hours goes on where it was stopped.

    Args:
        path: of a JSON file that keeps it, a line each.
    """

    def __init__(self, path):
        self._path, self._known = path, read(path)

    def __call__(self, name, compute):
        """What `compute()` returns, a dict for JSON; or what it once returned under that name."""
        if name not in self._known:
            self._known[name] = json.loads(json.dumps(compute(), default=float))
            lines = (f"{json.dumps(name)}: {json.dumps(of)}" for name, of in self._known.items())
            _write(self._path, "{\n" + ",\n".join(lines) + "\n}\n")
        return self._known[name]


def table(header, rows):
    """A table in Markdown, numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def page(path, parts):
    """Puts texts between the marks `<!-- name -->` and `<!-- end -->` of a page."""
    text = path.read_text()
    for name, part in parts.items():
        marked = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(
                f"{path} has no part {name!r} between <!-- {name} --> and <!-- end -->"
            )
        text = marked.sub(lambda match, part=part: match[1] + part + "\n" + match[2], text)
    path.write_text(text)
    print(f"Written: {path}")
