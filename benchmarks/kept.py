"""The results of a benchmark that takes hours, so that it continues where it was stopped."""

import functools
import hashlib
import inspect
import json

import numpy as np

from benchmarks import record


def digest(*values):
    """Twelve hexadecimal digits that identify data and settings: arrays, functions with their
    arguments, values of JSON, and tuples, lists and dicts of these."""
    return hashlib.sha256(json.dumps(_plain(values)).encode()).hexdigest()[:12]


def _plain(value):
    """A value as JSON. A function gives its name, its defaults and the variables of the function
    around it: a change of its text alone gives the same."""
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
    raise TypeError(
        f"There is no digest of {value!r}, a {type(value).__name__}: pass arrays, functions, "
        "values of JSON, or tuples, lists and dicts of these."
    )


class Kept:
    """Results that are computed once, and found by a name and a digest of data and settings.

    Args:
        path: of a JSON file that keeps the results, one a line.
    """

    def __init__(self, path):
        self._path, self._known = path, record.read(path)

    def __call__(self, name, compute, *given):
        """Returns the result that is kept under this name for the data and settings `given`; or
        else that of `compute()`, a dict for JSON, which is then kept."""
        name = f"{name} #{digest(*given)}"
        if name not in self._known:
            self._known[name] = json.loads(json.dumps(compute(), default=float))
            lines = (f"{json.dumps(name)}: {json.dumps(of)}" for name, of in self._known.items())
            record.write_text(self._path, "{\n" + ",\n".join(lines) + "\n}\n")
        return self._known[name]
