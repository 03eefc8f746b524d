"""What a benchmark of hours has computed: it goes on where it was stopped."""

import functools
import hashlib
import inspect
import json

import numpy as np

from benchmarks import record


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


class Kept:
    """What is computed once, by a name and a digest of the data and the settings.

    Args:
        path: of a JSON file that keeps it, a line each.
    """

    def __init__(self, path):
        self._path, self._known = path, record.read(path)

    def __call__(self, name, compute, *given):
        """What `compute()` returns, a dict for JSON; or what it once returned under that name, of
        the same data and settings `given`."""
        name = f"{name} #{digest(*given)}"
        if name not in self._known:
            self._known[name] = json.loads(json.dumps(compute(), default=float))
            lines = (f"{json.dumps(name)}: {json.dumps(of)}" for name, of in self._known.items())
            record.write_text(self._path, "{\n" + ",\n".join(lines) + "\n}\n")
        return self._known[name]
