"""The paper's claim, measured again: accuracy against bytes, by model and by stage.

    make bench-paper

The command takes hours, and continues where it was stopped: a file for each task in
benchmarks/results/paper/ keeps the results of each model and seed, which are not measured again
with the same data and settings. A task without data is left out, with a line that says why. Writes
benchmarks/results/paper.json.
"""

from absl import flags
from rich.progress import Progress

from benchmarks import record
from benchmarks.kept import Kept
from benchmarks.paper import models, tasks
from benchmarks.paper.measure import measure
from benchmarks.paper.plan import PRESETS, plan
from benchmarks.paper.scores import headlines
from examples.common import command, data
from examples.common.classifier import Split

_PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "How much is computed.")


def some(split, sequences=200):
    """Takes sequences from all parts of each side: the first ones may be of one class."""
    return Split(
        *(
            type(side)(*(array[:: max(len(side.y) // sequences, 1)] for array in side))
            for side in split
        )
    )


def trainings(task, preset):
    """Their number in a task."""
    return sum(plan(task, preset).seeds(preset).values()) + preset.seeds * len(task.budgets)


def main():
    folder, preset = data.folder(data.DATA_DIR.value), PRESETS[_PRESET.value]
    known = tasks.chosen(tasks.tasks(folder))
    sizes = {name: trainings(task, preset.of(task)) for name, task in known.items()}
    results, done = {}, 0
    with Progress() as progress:
        bar = progress.add_task("", total=sum(sizes.values()))
        for name, task in known.items():

            def advance(text, name=name):
                progress.update(bar, description=f"{name}: {text}", advance=1)

            try:
                split = task.load(folder)
                also = {of: load(folder) for of, load in task.also.items()}
            except ValueError as error:
                progress.console.print(f"{name} is left out: {error}")
            else:
                if preset.trial:
                    short = {"epochs": 1, "run_eagerly": True}
                    task = task._replace(training=task.training | short)
                    split = some(split)
                kept = Kept(record.folder() / "paper" / f"{name}.json")
                results[name] = measure(task, split, also, preset.of(task), kept, advance)
            done += sizes[name]
            progress.update(bar, completed=done)
    # Another run may have written other tasks meanwhile.
    found = record.read(record.folder() / "paper.json").get("tasks", {}) | results
    details = {
        "command": "make bench-paper",
        "preset": _PRESET.value,
        "seeds": preset.seeds,
        "quantization_aware": {
            "epochs": models.QAT_EPOCHS,
            "learning_rate": models.QAT_LEARNING_RATE,
        },
        "versions": record.versions(),
    }
    record.figures("paper.json", {"tasks": found} | headlines(found) | details)


if __name__ == "__main__":
    command.run(main)
