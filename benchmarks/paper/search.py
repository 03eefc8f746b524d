"""The search behind the tasks of benchmarks/paper.py, without those who test.

    PYTHONPATH=examples python benchmarks/paper_search.py

Trains FastGRNN's last stage of each task as it is, and as it might be, and the other layers at
several learning rates, three times, each time with others for validation. Goes on where it was
stopped. Prints a table, which is in docs/paper.md too. The shapes are searched by
benchmarks/paper.py itself: `paper.choose()`.
"""

import functools

import numpy as np
from absl import app, flags
from rich.progress import Progress

from benchmarks import record
from benchmarks.paper import __main__ as paper
from benchmarks.paper import models as paper_models
from benchmarks.paper.models import Model
from benchmarks.paper.tasks import HAPT_2, load_hapt, rotated, tasks
from examples.common import classifier, command, hapt
from examples.common.speech_commands import data_folder

FOLDS = 3

# What each layer other than FastGRNN is trained with, with as many units.
RATES = {
    f"{kind}, a rate of {rate:.0e}": {"kind": kind, "rates": {kind: rate}}
    for kind in ("FastRNN", "GRU", "LSTM", "SimpleRNN")
    for rate in (2e-2, 1e-2, 5e-3)
}

# From task to what is tried, by name: fields of `Task`, arguments of the training, or the `kind` of
# another layer.
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
    "Keywords-12": {"a rate of 1e-2": {"learning_rate": 1e-2}} | RATES,
}


def varied(task, kind=None, **changes):
    """`(task, model)` of a variant."""
    fields = {key: value for key, value in changes.items() if key in task._fields}
    training = {key: value for key, value in changes.items() if key not in fields}
    task = task._replace(training=task.training | training, **fields)
    last = paper.plan(task, paper.PRESETS["full"]).stages[-1]
    return task, Model(kind, task.units) if kind else last


@functools.lru_cache(FOLDS)
def data(load, folder, fold):
    """`Split`: most variants of a task have one function that loads them."""
    return load(folder, fold)


def score(task, model, folder, fold):
    """dict of the float model's score on validation."""
    split = data(task.load, folder, fold)
    logits = classifier.predict(paper_models.train(task, split, model, fold), split.validation.x)
    return {"validation": paper_models.score(task, split.validation.y, logits)}


def main(argv):
    folder = command.start(argv, data_folder, flags.FLAGS.data_dir)
    cells = record.Cells(record.FOLDER / "paper_search.json")
    known, lines = tasks(folder), []
    todo = [(n, {"as it is": {}} | VARIANTS[n]) for n in flags.FLAGS.tasks or VARIANTS]
    with Progress() as progress:
        bar = progress.add_task("", total=FOLDS * sum(len(variants) for _, variants in todo))
        for name, variants in todo:
            for variant, changes in variants.items():
                task, model = varied(known[name], **changes)
                found = []
                for fold in range(FOLDS):
                    cell = f"{name}: {variant}, fold {fold}"
                    progress.update(bar, description=cell)
                    compute = functools.partial(score, task, model, folder, fold)
                    # How the data is made, not the data: to make it takes minutes for each fold,
                    # and other files are noticed by paper.py.
                    given = task.load, fold, paper.settings(task, model, fold, False)
                    found.append(100 * cells(cell, compute, *given)["validation"])
                    progress.advance(bar)
                each = " ".join(f"{value:.1f}" for value in found)
                lines.append([f"{name}: {variant}", f"{np.mean(found):.2f}", each])
    table = record.table(["in validation, %", "mean", "of each fold"], lines)
    print(table)
    record.page(record.ROOT / "docs" / "paper.md", {"search": table})


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "The folder of the tasks' data; see paper_tasks.py.")
    flags.DEFINE_multi_enum("tasks", None, list(VARIANTS), "Whose table it is; all by default.")
    app.run(main)
