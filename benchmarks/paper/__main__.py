"""The paper's claim done again: accuracy against bytes, model by model and stage by stage.

    make bench-paper

It takes hours, and goes on where it was stopped: what was measured of each model is kept, in a file
of its task in benchmarks/results/paper/, and is not measured again of the same data and settings. A
task without data is left out, in one line. Prints tables; writes benchmarks/results/paper.json,
from which benchmarks/paper_page.py makes the page paper.html beside it, and the tables of README.md
and docs/paper.md.
"""

import functools
import pathlib
from typing import NamedTuple

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import record
from benchmarks.pages import paper_html as paper_page
from benchmarks.paper import models as paper_models
from benchmarks.paper.models import Model
from benchmarks.paper.tasks import Split, tasks
from examples.common import command
from examples.common.classifier import Data
from examples.common.speech_commands import data_folder

FORMS = ("float", "int8", "int8, QAT")

# What ours is how many times smaller than: its kinds, and which bytes of it and of ours.
AGAINST = {
    "float32": (("GRU", "LSTM"), "constants", "constants"),
    "int8 LSTM": (("LSTM",), "int8", "constants"),
    "GRU file": (("GRU",), "tflite", "tflite"),
}


class Preset(NamedTuple):
    """Attributes:
    seeds: number of them.
    sweep_seeds: number of them, of what is no row of a table.
    sizes: number of them, of a task's.
    ranks: of the recurrent kernel, in a sweep.
    sparsities: in a sweep.
    epochs: of each training, or None for the task's own.
    sequences: of each side of the data, or None for all.
    """

    seeds: int
    sweep_seeds: int
    sizes: int
    ranks: tuple
    sparsities: tuple
    epochs: int | None = None
    sequences: int | None = None


PRESETS = {
    "full": Preset(5, 2, 4, (1, 2, 4, 8, 12), (0.25, 0.5, 0.75, 0.9)),
    "small": Preset(2, 1, 0, (), (), epochs=1, sequences=200),
}


class Plan(NamedTuple):
    """What is trained for a task: lists of `Model`, some of them in several.

    Attributes:
        equal: a model of each kind, with as many units.
        stages: of FastGRNN, dense to sparse.
        candidates: of FastGRNN, for the fewest bytes.
        smaller: dense FastGRNN, GRU and LSTM of fewer units.
        sweeps: dict from what is varied to the models.
    """

    equal: list
    stages: list
    candidates: list
    smaller: list
    sweeps: dict

    def seeds(self, preset):
        """Dict from model to the number of its seeds."""
        rows = [*self.equal, *self.stages, *self.candidates, *self.smaller]
        swept = [model for models in self.sweeps.values() for model in models]
        return dict.fromkeys(swept, preset.sweep_seeds) | dict.fromkeys(rows, preset.seeds)

    def aware(self, model):
        """Whether it is trained with quantisation too, which takes twice as long as the rest."""
        return model == self.stages[-1]


def plan(task, preset):
    dense = Model("FastGRNN", task.units)
    low_rank = dense._replace(kernel_rank=task.ranks[0], recurrent_rank=task.ranks[1])
    sizes = task.sizes[: preset.sizes]
    ranks = [n for n in (*preset.ranks, task.ranks[1]) if n < task.units]
    sparsities = {*preset.sparsities, task.sparsity, 0.0}
    return Plan(
        equal=[Model(kind, task.units) for kind in paper_models.KINDS],
        stages=list(dict.fromkeys([dense, low_rank, low_rank._replace(sparsity=task.sparsity)])),
        candidates=[Model("FastGRNN", *shape) for shape in task.candidates],
        smaller=[Model(kind, n) for kind in ("FastGRNN", "GRU", "LSTM") for n in sizes],
        sweeps={
            "units": [dense._replace(units=n) for n in (*sizes, task.units)],
            "recurrent_rank": [low_rank._replace(recurrent_rank=n) for n in sorted({*ranks})],
            "sparsity": [low_rank._replace(sparsity=s) for s in sorted(sparsities)],
        },
    )


def settings(task, model, seed, aware):
    """What `paper_models.cell()` depends on beside the data and the code."""
    training = task.training_of(model.kind)
    return model, seed, aware, training, task.augment, task.score, task.clip


class NoDataError(Exception):
    """What the folder of the data lacks."""


def first(split, sequences):
    """Not the first ones: those may be of one class."""
    return Split(
        *(
            type(data)(*(array[:: max(len(data.y) // sequences, 1)] for array in data))
            for data in split
        )
    )


def train(task, preset, folder, cells, advance):
    """Trains what was not yet trained; returns what paper.json has of the task.

    `advance(text)` is called before each model, with what comes. Raises `NoDataError`.
    """

    @functools.cache
    def data():
        try:
            split = task.load(folder)
        except ValueError as error:
            raise NoDataError(error) from error
        return first(split, preset.sequences) if preset.sequences else split

    @functools.cache
    def data_of_all():
        train, validation, _ = split = data()
        both = Data(*map(np.concatenate, zip(train, validation, strict=True)))
        return split._replace(train=both)

    @functools.cache
    def digest(split):
        return record.digest(split())

    planned = plan(task, preset)

    def seeds_of(model, seeds, people=""):
        split = data_of_all if people else data
        for seed in range(seeds):
            advance(name := f"{model}{people}, seed {seed}")
            yield cells(
                name,
                lambda seed=seed: paper_models.cell(
                    task, split(), model, seed, aware=planned.aware(model)
                ),
                digest(split),
                *settings(task, model, seed, planned.aware(model)),
            )

    models = {
        str(model): summary(model, list(seeds_of(model, seeds)))
        for model, seeds in planned.seeds(preset).items()
    }
    budgets = {}
    for key, limit in task.budgets.items():
        budgets[key] = {"limit": limit}
        if chosen := choose(models, limit, preset.seeds):
            name, form = chosen
            # As the paper does: when all is chosen, those who validated are trained on too.
            model = next(model for model in planned.seeds(preset) if str(model) == name)
            final = spread([c[form] for c in seeds_of(model, preset.seeds, ", all people")])
            del final["validation"]  # of people who were trained on
            budgets[key] |= {"model": name, "form": form, "final": final}
            smallest, largest = size_ratios(models, models[name]["forms"][form])
            budgets[key] |= {"size_ratios": smallest, "largest_ratios": largest}
    return {
        "score": task.score,
        "differs": task.differs,
        "published": [published._asdict() for published in task.published],
        "training": task.training | ({"clip": task.clip} if task.clip else {}),
        "rates": task.rates,
        "models": models,
        "equal": [str(model) for model in planned.equal],
        "stages": [str(model) for model in planned.stages],
        "sweeps": {of: [str(model) for model in swept] for of, swept in planned.sweeps.items()},
        "budgets": budgets,
    }


def summary(model, cells):
    """Of the cells of a model's seeds: what paper.json has of it."""
    values = model._asdict() | {
        "forms": {form: spread([c[form] for c in cells]) for form in FORMS if form in cells[0]}
    }
    return values | ({"seen": [c["seen"] for c in cells]} if "seen" in cells[0] else {})


def spread(measures):
    """What paper.json has of a form: `tested()`, the mean in validation, the most nonzero."""
    return {
        "validation": np.mean([m["validation"] for m in measures]),
        **tested(measures),
        "nonzero": max(m["nonzero"] for m in measures),
    }


def tested(measures):
    """Mean over the seeds, deviation (n - 1), each seed's test, and the most bytes of any."""
    test = [m["test"] for m in measures]
    return {
        "mean": np.mean(test),
        "std": np.std(test, ddof=1) if len(test) > 1 else 0.0,
        "test": test,
        "bytes": {way: max(m["bytes"][way] for m in measures) for way in measures[0]["bytes"]},
    }


def choose(models, limit, seeds):
    """The FastGRNN of at most so many bytes, everything counted, with the best mean on the people
    for validation: `(model's text, form)`; `None` if there is none."""
    fits = [
        (form["validation"], name, form_name)
        for name, model in models.items()
        for form_name, form in model["forms"].items()
        if model["kind"] == "FastGRNN"
        and form_name != "float"
        and form["bytes"]["constants"] <= limit
        and len(form["test"]) == seeds
    ]
    return max(fits)[1:] if fits else None


def size_ratios(models, ours):
    """How many times smaller a form of ours is than what is no worse by more than half a point.

    Returns:
        Two dicts, each against a GRU or LSTM in float32, by constants; an int8 LSTM, by constants,
        if its int8 lost nothing; and the GRU that TensorFlow's own converter makes, by whole files.
        The first against the smallest of them, `None` where no size is as good; the second against
        the largest that was trained, as good or not.
    """
    smallest, largest = {}, {}
    for against, (kinds, way, our_way) in AGAINST.items():
        forms = [model["forms"]["float"] for model in models.values() if model["kind"] in kinds]
        ratios = [(f["bytes"][way] / ours["bytes"][our_way], f["mean"]) for f in forms]
        as_good = (ratio for ratio, mean in ratios if mean >= ours["mean"] - 0.005)
        smallest[against] = min(as_good, default=None)
        largest[against] = max((ratio for ratio, _ in ratios), default=None)
    return smallest, largest


def main(argv):
    arguments = flags.FLAGS
    folder = command.start(argv, data_folder, arguments.data_dir)
    known = tasks(folder)
    unknown = set(arguments.tasks or ()) - set(known)
    if unknown:
        raise app.UsageError(f"--tasks: {', '.join(unknown)}; there are {', '.join(known)}.")
    preset, output = PRESETS[arguments.preset], pathlib.Path(arguments.output_dir)
    chosen = {name: known[name] for name in arguments.tasks or known}
    written = output / "paper.json"
    results = {}
    with Progress() as progress:
        sizes = {
            name: sum(plan(t, preset).seeds(preset).values()) + preset.seeds * len(t.budgets)
            for name, t in chosen.items()
        }
        bar = progress.add_task("", total=sum(sizes.values()))
        done = 0
        for name, task in chosen.items():

            def advance(cell, name=name):
                progress.update(bar, description=f"{name}: {cell}", advance=1)

            try:
                if preset.epochs:
                    short = {"epochs": preset.epochs, "jit_compile": False}
                    task = task._replace(training=task.training | short)
                cells = record.Cells(output / "paper" / f"{name}.json")
                results[name] = train(task, preset, folder, cells, advance)
            except NoDataError as error:
                progress.console.print(f"{name} is left out: {error}")
            done += sizes[name]
            progress.update(bar, completed=done)
    for name, result in results.items():
        show(name, result)
    report = {"tasks": {}} | record.read(written)  # another run may have written it meanwhile
    report["tasks"] |= results
    # Of another benchmark, for its ratios.
    spotter = record.read(output / "wake_word.json").get("spotter")
    report["elsewhere"] = {"Keyword spotter": spotter} if spotter else {}
    report |= headlines(report["tasks"] | report["elsewhere"]) | {
        "command": "make bench-paper",
        "preset": arguments.preset,
        "seeds": preset.seeds,
        "versions": record.versions(),
    }
    record.write(written, report)
    paper_page.main(output)


def headlines(results):
    """The figures of the budgets by their keys, and the size ratios by task."""
    figures = {
        "size_ratio_per_task": {
            name: {key: b["size_ratios"] for key, b in task["budgets"].items() if "model" in b}
            for name, task in results.items()
        }
    }
    for task in results.values():
        for key, budget in task["budgets"].items():
            if "final" in budget:
                form = budget["final"]
                score = "f1" if task["score"] == "macro-F1" else "accuracy"
                figures |= {
                    f"{key}_{score}_mean": form["mean"],
                    f"{key}_{score}_std": form["std"],
                    f"{key}_bytes": form["bytes"]["constants"],
                }
    return figures


def show(name, task):
    shown = Table(title=f"{name}: {task['score']} on the test set")
    for column in ("model", "mean", "std", "paper's bytes", "constants", ".tflite"):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for published in task["published"]:
        shown.add_row(published["who"], f"{published['score']:.2f}", "", published["size"], "", "")
    for model, row in task["models"].items():
        for form, values in row["forms"].items():
            sizes = (f"{values['bytes'][way]:,}" for way in ("paper", "constants", "tflite"))
            mean, std = (f"{100 * values[key]:.2f}" for key in ("mean", "std"))
            shown.add_row(f"{model}, {form}", mean, std, *sizes)
    Console().print(shown)


def define_flags():
    """Not at import: the tests import this module beside others with a flag of the same name."""
    flags.DEFINE_string("data_dir", None, "The folder of the tasks' data; see paper_tasks.py.")
    flags.DEFINE_enum("preset", "full", list(PRESETS), "How much is computed.")
    flags.DEFINE_list("tasks", None, "Names of tasks; all by default.")
    flags.DEFINE_string("output_dir", str(record.FOLDER), "Where the files are written.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
