"""Results that are kept are found again by their name, data and settings."""

import functools

import numpy as np
import pytest

from benchmarks.kept import Kept, digest
from benchmarks.paper import tasks
from benchmarks.paper.plan import PRESETS

X = np.arange(6.0).reshape(2, 3)


def test_a_failure_leaves_the_others(tmp_path):
    kept = Kept(tmp_path / "kept.json")
    kept("first", lambda: {"x": np.float32(1)}, X, {"rate": 0.1})
    with pytest.raises(ZeroDivisionError):
        kept("second", lambda: {"x": 1 / 0})
    again = Kept(tmp_path / "kept.json")
    known = again("first", lambda: pytest.fail("computed again"), X.copy(), {"rate": 0.1})
    assert known["x"] == 1
    assert again("second", lambda: {"x": 2})["x"] == 2


def layer(units):
    return lambda size=1: units * size


def test_a_result_is_of_its_data_and_settings(tmp_path):
    kept = Kept(tmp_path / "kept.json")
    other = X.copy()
    other.flat[-1] += 1
    rotated = functools.partial(tasks.rotated, degrees=15)
    given = [
        *(
            [X, 0.1],
            [other, 0.1],
            [X.T, 0.1],
            [X.astype(np.float32), 0.1],
            [X, 0.2],
            [X, 0.1, None],
        ),
        *([tasks.rotated], [tasks.shifted], [rotated]),
        *([layer(3)], [layer(4)], [{"units": 3}], [{"units": 4}], [PRESETS["small"]]),
    ]
    for i, values in enumerate(given):
        assert kept("name", lambda i=i: {"i": i}, *values) == {"i": i}
    for i, values in enumerate(given):  # and each is still known
        assert kept("name", lambda: pytest.fail("computed again"), *values) == {"i": i}
    assert digest(layer(3)) == digest(layer(3))
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(TypeError, match="There is no digest of .*, a object: pass arrays"):
        kept("name", dict, object())
