"""The figures of a task: trains and measures the models whose results are not kept."""

import functools

import numpy as np

from benchmarks.kept import digest
from benchmarks.paper import models
from benchmarks.paper.plan import plan
from benchmarks.paper.scores import choose, size_ratios, spread
from examples.common.classifier import Data

FORMS = ("float", "int8", "int8, QAT")
EVERYBODY = ", all people"


def settings(task, model, seed, aware):
    """The settings that a result of `models.measure()` depends on, beside its data."""
    training = task.training_of(model.kind)
    return model, seed, aware, training, task.augment, task.score, task.clip


def measure(task, split, also, preset, kept, advance):
    """Measures the models of a task.

    Args:
        task: `Task`.
        split: `Split`, its data.
        also: dict from a name to one more `Data` to test on.
        preset: `Preset`.
        kept: `Kept`, the results of each model and seed.
        advance: function that is called with a text before each model and seed.

    Returns:
        dict: the task's figures in paper.json.
    """
    planned = plan(task, preset)
    seeds_of = planned.seeds(preset)
    both = Data(*map(np.concatenate, zip(split.train, split.validation, strict=True)))
    splits = {"": split, EVERYBODY: split._replace(train=both)}
    # Without more data, the digests stay those of the results of before.
    digests = {people: digest(*([also] if also else []), split) for people, split in splits.items()}

    def seeds(model, people=""):
        aware = planned.aware(model)
        for seed in range(seeds_of[model]):
            advance(name := f"{model}{people}, seed {seed}")
            compute = functools.partial(
                models.measure, task, splits[people], also, model, seed, aware
            )
            yield kept(name, compute, digests[people], *settings(task, model, seed, aware))

    by_name = {str(model): model for model in seeds_of}
    figures = {name: summary(model, list(seeds(model))) for name, model in by_name.items()}
    budgets = {}
    for key, limit in task.budgets.items():
        budgets[key] = {"limit": limit}
        if chosen := choose(figures, limit, preset.seeds):
            name, form = chosen
            # As in the paper, the chosen model then trains on the people for validation too.
            final = spread([found[form] for found in seeds(by_name[name], EVERYBODY)])
            del final["validation"]  # measured on people who are in training
            budgets[key] |= {"model": name, "form": form, "final": final}
            budgets[key] |= size_ratios(figures, figures[name]["forms"][form])
    return {
        "score": task.score,
        "published": [published._asdict() for published in task.published],
        "training": task.training | ({"clip": task.clip} if task.clip else {}),
        "also": list(also),
        "own": task.own,
        "models": figures,
        "equal": [str(model) for model in planned.equal],
        "stages": [str(model) for model in planned.stages],
        "sweeps": {of: [str(model) for model in swept] for of, swept in planned.sweeps.items()},
        "budgets": budgets,
    }


def summary(model, found):
    """The figures of a model, from the results of its seeds."""
    forms = {form: spread([f[form] for f in found]) for form in FORMS if form in found[0]}
    return model._asdict() | {"forms": forms}
