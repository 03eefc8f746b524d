"""The paper's claim done again: accuracy against bytes, model by model and stage by stage.

    PYTHONPATH=examples python benchmarks/paper.py --preset=small --tasks=USPS-10

It takes hours, and goes on where it was stopped: what is computed is kept in build/paper/. A task
without data is left out, in one line. Prints tables and writes build/paper/<preset>/paper.json.
"""

import functools
import importlib.metadata
import json
import platform
from typing import NamedTuple

import numpy as np
import paper_models
import record
from absl import app, flags
from paper_tasks import Split, tasks
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table
from speech_commands import data_folder

CACHE = record.ROOT / "build" / "paper"
INT8 = "FastGRNN, int8, QAT"


class Preset(NamedTuple):
    """Attributes:
    seeds: number of them.
    sizes: units of the smaller GRUs, LSTMs and FastGRNNs.
    epochs: of each training, or None for the task's own.
    sequences: of each side of the data, or None for all.
    """

    seeds: int
    sizes: tuple
    epochs: int | None = None
    sequences: int | None = None


PRESETS = {
    "full": Preset(seeds=5, sizes=(3, 4, 6, 8, 12, 16, 24)),
    "small": Preset(seeds=2, sizes=(4,), epochs=3, sequences=400),
}


def cells(task, preset):
    """Dict from name to a function of a `Split`, all that is computed of a task."""
    computed = {}
    for seed in range(preset.seeds):
        shapes = [(kind, task.shape.units) for kind in paper_models.KINDS]
        shapes += [(kind, n) for kind in ("FastGRNN", "GRU", "LSTM") for n in preset.sizes]
        for kind, units in dict.fromkeys(shapes):
            computed[f"{kind}, {units} units, seed {seed}"] = functools.partial(
                paper_models.float_cell, task, kind=kind, units=units, seed=seed
            )
        computed[f"stages, seed {seed}"] = functools.partial(
            paper_models.stages_cell, task, seed=seed
        )
    return computed


def first(split, sequences):
    """Not the first ones: those may be of one class."""
    return Split(
        *(
            type(data)(*(array[:: max(len(data.y) // sequences, 1)] for array in data))
            for data in split
        )
    )


def compute(chosen, folder, preset_name):
    """Dict from task to dict from cell to its values."""
    preset = PRESETS[preset_name]
    values = {}
    planned = {}
    for name, task in chosen.items():
        if preset.epochs:
            task = task._replace(training=task.training | {"epochs": preset.epochs})
        planned[name] = task, cells(task, preset)
    with Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn()) as progress:
        total = sum(len(computed) for _, computed in planned.values())
        bar = progress.add_task("models", total=total)
        for name, (task, computed) in planned.items():

            @functools.cache
            def data(task=task):
                split = task.load(folder)
                return first(split, preset.sequences) if preset.sequences else split

            try:
                values[name] = {}
                for cell, function in computed.items():
                    path = CACHE / preset_name / name / f"{cell}.json"
                    values[name][cell] = record.cell(path, lambda f=function: f(split=data()))
                    progress.advance(bar)
            except ValueError as error:
                del values[name]
                progress.console.print(f"{name} is left out: {error}")
                progress.advance(bar, len(computed))
    return values


def models(values):
    """Dict from model or stage to its list of measures, one of each seed."""
    found = {}
    for cell, measured in values.items():
        name, _, _ = cell.rpartition(", seed ")
        if name == "stages":
            for stage, measures in measured.items():
                found.setdefault(f"FastGRNN, {stage}", []).append(measures)
        else:
            found.setdefault(name, []).append(measured)
    return found


def summary(measures):
    """Mean and spread over the seeds, and the most bytes of any."""
    test = [m["test"] for m in measures]
    return {
        "mean": np.mean(test),
        "std": np.std(test, ddof=1) if len(test) > 1 else 0.0,
        "seeds": test,
        "bytes": {way: max(m["bytes"][way] for m in measures) for way in measures[0]["bytes"]},
        "nonzero": max(m["nonzero"] for m in measures),
    }


def size_ratios(models):
    """How many times smaller ours is than the smallest that is no worse by more than half a point.

    Returns:
        dict: against float32 GRU or LSTM, constants; against an int8 LSTM, constants, if its int8
        lost nothing; and against the GRU that TensorFlow's own converter makes, whole files. None
        where no size of it is as good.
    """
    ours = models[INT8]
    against = {"float32": [], "int8 LSTM": [], "GRU file": []}
    for name, model in models.items():
        kind = name.partition(",")[0]
        if kind not in ("GRU", "LSTM") or model["mean"] < ours["mean"] - 0.005:
            continue
        against["float32"].append(model["bytes"]["constants"] / ours["bytes"]["constants"])
        if kind == "LSTM":
            against["int8 LSTM"].append(model["bytes"]["int8"] / ours["bytes"]["constants"])
        else:
            against["GRU file"].append(model["bytes"]["tflite"] / ours["bytes"]["tflite"])
    return {name: min(ratios) if ratios else None for name, ratios in against.items()}


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    arguments = flags.FLAGS
    folder = data_folder(arguments.data_dir)
    known = tasks(folder)
    unknown = set(arguments.tasks or ()) - set(known)
    if unknown:
        raise app.UsageError(f"--tasks: {', '.join(unknown)}; there are {', '.join(known)}.")
    chosen = {name: known[name] for name in arguments.tasks or known}
    values = compute(chosen, folder, arguments.preset)
    results = {}
    for name, computed in values.items():
        task = known[name]
        table = {model: summary(measures) for model, measures in models(computed).items()}
        results[name] = {
            "score": task.score,
            "published": [published._asdict() for published in task.published],
            "models": table,
            "size_ratios": size_ratios(table),
        }
        show(name, task, table)
    packages = ("tensorflow", "keras", "tensorflow-model-optimization", "tflite_micro", "numpy")
    versions = {package: importlib.metadata.version(package) for package in packages}
    report = {
        "command": f"python benchmarks/paper.py --preset={arguments.preset}",
        "versions": versions | {"python": platform.python_version()},
        "tasks": results,
    }
    path = CACHE / arguments.preset / "paper.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, default=float) + "\n")
    print(f"Written: {path}")


def show(name, task, table):
    shown = Table(title=f"{name}: {task.score} on the test set")
    for column in ("model", "mean", "std", "paper's bytes", "constants", ".tflite"):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for published in task.published:
        shown.add_row(published.who, f"{published.score:.2f}", "", published.size, "", "")
    for model, row in table.items():
        sizes = (f"{row['bytes'][way]:,}" for way in ("paper", "constants", "tflite"))
        shown.add_row(model, f"{100 * row['mean']:.2f}", f"{100 * row['std']:.2f}", *sizes)
    Console().print(shown)


def define_flags():
    """Not at import: the tests import this module beside others with a flag of the same name."""
    flags.DEFINE_string("data_dir", None, "The folder of the tasks' data; see paper_tasks.py.")
    flags.DEFINE_enum("preset", "full", list(PRESETS), "How much is computed.")
    flags.DEFINE_list("tasks", None, "Names of tasks; all by default.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
