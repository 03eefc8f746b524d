"""The search behind the tasks of benchmarks/paper, without the people for testing.

    python -m benchmarks.paper.search

Trains the last stage of FastGRNN on each task with its settings and with variants of them, and the
other layers at several learning rates: three folds, each with other people for validation.
Continues where it was stopped: benchmarks/results/paper_search.json keeps the results.
benchmarks/paper itself searches the shapes: `scores.choose()`.
"""

import functools

from rich.progress import Progress

from benchmarks import record
from benchmarks.kept import Kept
from benchmarks.paper import models, tasks
from benchmarks.paper.measure import settings
from benchmarks.paper.models import Model
from benchmarks.paper.plan import PRESETS, plan
from benchmarks.paper.tasks import HAPT_2, load_hapt, rotated
from examples.common import classifier, command, data, hapt

FOLDS = 3

# The learning rates of the other layers, with as many units as FastGRNN.
RATES = {
    f"{kind}, a rate of {rate:.0e}": {"kind": kind, "own": {kind: {"learning_rate": rate}}}
    for kind in ("FastRNN", "GRU", "LSTM", "SimpleRNN")
    for rate in (2e-2, 1e-2, 5e-3)
}

# From a task to the names of its variants, and to their changes: fields of `Task`, arguments of the
# training, or the `kind` of another layer.
VARIANTS = {
    "HAPT-6 accelerometer": {
        "each sample a step": {"load": load_hapt(("acc",), together=1)},
        "four samples a step": {"load": load_hapt(("acc",), together=4)},
        "rotated": {"augment": rotated, "epochs": 12},
        "a rate of 1e-2": {"learning_rate": 1e-2},
        "90 epochs": {"epochs": 90},
        "no label smoothing": {"label_smoothing": 0.0},
    }
    | RATES,
    "HAPT-2": {
        "two samples a step": {"load": load_hapt(hapt.SENSORS, HAPT_2, together=2)},
        "rotated by 15 degrees": {"augment": functools.partial(rotated, degrees=15)},
        "not rotated, a rate of 2e-2": {"augment": None, "epochs": 45, "learning_rate": 2e-2},
        "24 epochs": {"epochs": 24},
    }
    | RATES,
    "USPS-10": {
        "not shifted": {"augment": None, "epochs": 150},
        "a rate of 1e-2": {"learning_rate": 1e-2},
        "30 epochs": {"epochs": 30},
        "no label smoothing": {"label_smoothing": 0.0},
    }
    | RATES,
}


def varied(task, kind=None, **changes):
    """The `(task, model)` of a variant."""
    fields = {key: value for key, value in changes.items() if key in task._fields}
    training = {key: value for key, value in changes.items() if key not in fields}
    task = task._replace(training=task.training | training, **fields)
    last = plan(task, PRESETS["full"]).stages[-1]
    return task, Model(kind, task.units) if kind else last


@functools.lru_cache(FOLDS)
def split_of(load, folder, fold):
    """The `Split` of a fold, cached, as most variants of a task have the same `load`."""
    return load(folder, fold)


def score(task, model, folder, fold):
    """dict of the float model's score in validation."""
    split = split_of(task.load, folder, fold)
    run = functools.partial(classifier.predict, models.train(task, split, model, fold))
    return {"validation": models.score(task, split.validation, run)}


def main():
    folder = data.folder(data.DATA_DIR.value)
    kept = Kept(record.folder() / "paper_search.json")
    known = tasks.tasks(folder)
    todo = [
        (name, variant, changes, fold)
        for name, variants in tasks.chosen(VARIANTS).items()
        for variant, changes in ({"as it is": {}} | variants).items()
        for fold in range(FOLDS)
    ]
    with Progress() as progress:
        bar = progress.add_task("", total=len(todo))
        for name, variant, changes, fold in todo:
            text = f"{name}: {variant}, fold {fold}"
            progress.update(bar, description=text)
            task, model = varied(known[name], **changes)
            compute = functools.partial(score, task, model, folder, fold)
            # The key has the function that loads the data in place of the data, which takes minutes
            # for each fold; python -m benchmarks.paper notices another file.
            kept(text, compute, task.load, fold, settings(task, model, fold, False))
            progress.advance(bar)


if __name__ == "__main__":
    command.run(main)
