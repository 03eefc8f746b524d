"""The gain of 16-bit activations, and their cost on a chip.

    make bench-int16

Trains the models of each task with three seeds, and runs them in float, int8 and int16. It
continues where it was stopped: benchmarks/results/int16_runs.json keeps the results of each seed.
A task without data is left out, with a line that says why. Writes benchmarks/results/int16.json.
"""

import functools

import keras
from rich.progress import Progress

from benchmarks import record
from benchmarks.int16 import chips
from benchmarks.int16.figures import figures
from benchmarks.int16.tasks import TASKS
from benchmarks.kept import Kept, digest
from examples.common import command, data

SEEDS = (0, 1, 2)


def main():
    folder = data.folder(data.DATA_DIR.value)
    kept = Kept(record.folder() / "int16_runs.json")
    keras.config.disable_interactive_logging()  # no bar for each training
    runs = {}
    with Progress() as progress:
        bar = progress.add_task("", total=len(TASKS) * len(SEEDS))
        for name, task in TASKS.items():
            try:
                split = task.load(folder)
            except ValueError as error:
                progress.console.print(f"{name} is left out: {error}")
                continue
            given = digest(split), task.settings
            for seed in SEEDS:
                progress.update(bar, description=f"{name}, seed {seed}")
                run = functools.partial(task.run, split, seed, task.settings)
                runs.setdefault(name, []).append(kept(f"{name}, seed {seed}", run, seed, *given))
                progress.advance(bar)
    steps = chips.measure()
    details = {"command": "make bench-int16", "versions": record.versions()}
    details |= {"tasks": runs, "chips": steps}
    record.figures("int16.json", figures(runs) | chips.figures(steps) | details)


if __name__ == "__main__":
    command.run(main)
