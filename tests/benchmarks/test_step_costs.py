"""`export.estimate()` against the emulators."""

import json

import numpy as np
import pytest
from tools import require

from benchmarks.step_costs import errors, fit, measure
from keras_fastgrnn.export.cost import COSTS
from tests.boards import TARGETS

QUICK = "Cortex-M4", "Xtensa LX106", "ATmega328P"


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(
            target, id=target.name, marks=[] if target.name in QUICK else pytest.mark.test_all
        )
        for target in TARGETS
    ],
)
def test_steps_are_within_the_stated_error(target):
    """Cells that the costs were not fitted to, and that were not among those of the error."""
    require(target.packages, *target.tools)
    known = json.loads(COSTS.read_text())[target.name]
    assert known["counts"] == target.counts
    found = errors(known["costs"], *measure(target, cells=8, seed=1))
    # The error is the largest of 80 cells; of 8 others one may be somewhat further off.
    assert np.abs(found).max() < 1.5 * known["error"]


def test_fits_what_is_linear():
    rng = np.random.default_rng(0)
    costs = {"a": 3.0, "b": 0.5, "never": 0.0}
    terms = [{"a": a, "b": b, "never": 0} for a, b in rng.integers(1, 100, (20, 2)).tolist()]
    counts = np.array([sum(costs[name] * n for name, n in of.items()) for of in terms])
    found = fit(terms, counts)
    assert found == pytest.approx(costs)
    np.testing.assert_allclose(errors(found, terms, counts * 1.25), -0.2)
