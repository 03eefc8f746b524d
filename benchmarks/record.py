"""Where the benchmarks leave what README.md and docs/ state: JSON files, and tables in pages."""

import functools
import hashlib
import importlib.metadata
import inspect
import json
import operator
import os
import pathlib
import platform
import re

import numpy as np

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


def key(name, *given):
    """The name under which `Cells` keep what was computed of the data and the settings `given`."""
    return f"{name} #{digest(*given)}"


def digest(*values):
    """Twelve hexadecimal digits for data and settings: arrays, functions with their arguments, and
    what tuples, lists and dicts have of these and of what JSON has."""
    return hashlib.sha256(json.dumps(_plain(values)).encode()).hexdigest()[:12]


def _plain(value):
    """For JSON, what a value is made of. A function is its name, its defaults and the variables of
    the function around it: another text of it gives the same."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.ndarray():
            data = hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
            return [value.dtype.str, value.shape, data]
        case tuple() | list():
            return [_plain(item) for item in value]
        case dict():
            return [[_plain(pair) for pair in sorted(value.items())]]
        case type():
            return value.__qualname__
        case functools.partial():
            return _plain([value.func, value.args, value.keywords])
        case _ if inspect.isfunction(value):
            around = [cell.cell_contents for cell in value.__closure__ or ()]
            return _plain([value.__qualname__, value.__defaults__, value.__kwdefaults__, around])
    raise TypeError(f"There is no digest of {value!r}, which is a {type(value).__name__}.")


class Cells:
    """What is computed once: a benchmark of hours goes on where it was stopped.

    Args:
        path: of a JSON file that keeps it, a line each.
    """

    def __init__(self, path):
        self._path, self._known = path, read(path)

    def __call__(self, name, compute, *given):
        """What `compute()` returns, a dict for JSON; or what it once returned under that name, of
        the same data and settings `given`."""
        name = key(name, *given)
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
