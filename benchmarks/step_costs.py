"""What each part of a step costs on each microcontroller, for `keras_fastgrnn.export.estimate()`.

    make bench-estimate

Measures cells of random shapes, densities and encodings under the emulators, and fits the counts of
a step to `step_terms()`, with the least relative error. Three quarters of the cells are fitted to;
the largest error among the others is the error that is stated. Writes export/step_costs.json.
"""

import tempfile

import numpy as np
from rich.progress import track

from benchmarks import record
from benchmarks.random_case import optimize, random_case
from examples.common import command
from keras_fastgrnn.export.cell.blocks import unpack
from keras_fastgrnn.export.cost import COSTS, step_terms
from tests.boards import TARGETS, check

CELLS, FITTED = 400, 300


def random_shape(rng, target):
    """Arguments of `random_case()`."""
    largest = 140 if target.memory > 2048 else 48
    units = round(float(np.exp(rng.uniform(np.log(6), np.log(largest)))))
    features = round(float(np.exp(rng.uniform(0, np.log(min(64, largest))))))
    shape = {"units": units, "features": features}
    if rng.random() < 0.5:
        shape["rank"] = int(rng.integers(1, units // 2 + 1))
    encoding = rng.choice(["dense", "bitmap", "blocks", "pairs"])
    if encoding != "dense":
        shape |= {"density": float(rng.uniform(0.1, 0.7)), "encoding": encoding}
    return shape


def measure(target, cells=CELLS, seed=0):
    """`(terms, counts)` of a step of random cells: a list of dicts, and an array."""
    rng = np.random.default_rng(seed)
    shapes = [random_shape(rng, target) for _ in range(cells)]
    # Between one step and three lie two steps, and nothing else.
    cases = [random_case(**shape, timesteps=n) for shape in shapes for n in (1, 3)]
    with tempfile.TemporaryDirectory() as folder:
        counts = np.array([case.count for case in check(target, cases, folder, optimize(target))])
    terms = [step_terms(case.options, unpack(case.options, case.weights)[0]) for case in cases[::2]]
    return terms, (counts[1::2] - counts[::2]) / 2


def fit(terms, counts):
    """dict from the name of each term to its cost."""
    names = list(terms[0])
    relative = as_array(terms) / counts[:, np.newaxis]
    scale = np.abs(relative).max(axis=0)
    scale[scale == 0] = 1
    costs, *_ = np.linalg.lstsq(relative / scale, np.ones(len(counts)))
    return dict(zip(names, costs / scale, strict=True))


def errors(costs, terms, counts):
    """The relative error of each cell: `(n,)`."""
    return as_array(terms) @ np.array(list(costs.values())) / counts - 1


def as_array(terms):
    return np.array([list(of.values()) for of in terms], float)


def main():
    found = {}
    for target in track(TARGETS, "step costs"):
        terms, counts = measure(target)
        costs = fit(terms[:FITTED], counts[:FITTED])
        error = float(np.abs(errors(costs, terms[FITTED:], counts[FITTED:])).max())
        print(f"{target.name:12} {error:.1%}")
        rounded = {name: round(cost, 3) for name, cost in costs.items()}
        found[target.name] = {"counts": target.counts, "error": round(error, 4), "costs": rounded}
    record.write(COSTS, found)


if __name__ == "__main__":
    command.run(main)
