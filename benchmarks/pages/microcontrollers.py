"""The tables and the picture of microcontrollers.json."""

import itertools

import numpy as np
from matplotlib.figure import Figure

from benchmarks.pages import markdown
from benchmarks.pages.markdown import table

# The parts of the grid, and the test for their rows.
SHAPES = {
    "dense": lambda row: "rank" not in row and "density" not in row,
    "rank": lambda row: "rank" in row,
    "bitmap": lambda row: row.get("encoding") == "bitmap",
    "pairs": lambda row: row.get("encoding") == "pairs",
}
ENCODINGS = "bitmap", "pairs"


def by_target(rows):
    """Dict from a chip to its rows."""
    return {name: list(group) for name, group in itertools.groupby(rows, lambda r: r["target"])}


def counts(row):
    """The unit of the emulator: cycles or instructions."""
    return "cycles" if "cycles" in row else "instructions"


def figures(results):
    names = [name for name, v in results.items() if isinstance(v, int | float)]
    return markdown.figures("microcontrollers.json", results, names)


def steps(results, shape):
    """The counts of a step of each size."""
    units = sorted({row["units"] for row in results["grid"]})

    def text(row):
        steps = row[counts(row)]
        per_mac = steps / ((row["units"] + row["features"]) * row["units"])
        return f"{round(steps):,}" + (f" ({per_mac:.2f})" if shape == "dense" else "")

    rows = []
    for name, found in by_target(results["grid"]).items():
        cells = [text(row) for row in found if SHAPES[shape](row)]
        rows.append([name, *cells, *[""] * (len(units) - len(cells))])
    return table(["", *(f"{n} units" for n in units)], rows)


def memory(results):
    keys = "kernel_bytes", "constant_bytes", "ram_bytes", "stack_bytes"
    rows = [
        [name, *(f"{rows[0][key]:,}" for key in keys)]
        for name, rows in by_target(results["grid"]).items()
    ]
    return table(["", "kernel", "constants", "RAM", "stack"], rows)


def sensor(results):
    rows = [[row["target"], row["sensor"], row["code_bytes"]] for row in results["sensor"]]
    return table(["", "sensor", "bytes of code"], rows)


def ratios(rows, key):
    """The cost of each encoding over dense, from a chip's sweep: dict to `(densities, ratios)`."""
    dense, *sparse = rows
    return {
        encoding: tuple(
            zip(
                *((r["density"], r[key] / dense[key]) for r in sparse if r["encoding"] == encoding),
                strict=True,
            )
        )
        for encoding in ENCODINGS
    }


def break_even(densities, ratios):
    """The density below which a sparse matrix costs less than a dense one, by interpolation."""
    for i, ratio in enumerate(ratios):
        if ratio >= 1:
            if i == 0:
                return 0.0
            return float(np.interp(1, ratios[i - 1 : i + 1], densities[i - 1 : i + 1]))
    return densities[-1]


def break_evens(results):
    rows = [
        [
            name,
            *(
                f"{break_even(*ratios(rows, key)[encoding]):.0%}"
                for key in (counts(rows[0]), "constant_bytes")
                for encoding in ENCODINGS
            ),
        ]
        for name, rows in by_target(results["sweep"]).items()
    ]
    return table(["", "bitmap, time", "pairs, time", "bitmap, bytes", "pairs, bytes"], rows)


def picture(results, path):
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True)
    sweeps = by_target(results["sweep"])
    for axis, (name, rows) in zip(axes.flat, sweeps.items(), strict=True):
        for key, style in ((counts(rows[0]), "o-"), ("constant_bytes", ":")):
            for color, (encoding, line) in enumerate(ratios(rows, key).items()):
                label = f"{encoding}, {'bytes' if key == 'constant_bytes' else 'time'}"
                axis.plot(*line, style, color=f"C{color}", ms=3, label=label)
        axis.axhline(1, color="k", lw=0.5)
        axis.set(title=f"{name}, {counts(rows[0])}", ylim=(0, 3))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    for axis in axes[:, 0]:
        axis.set_ylabel("of the dense matrix's")
    for axis in axes[1]:
        axis.set_xlabel("density")
    figure.savefig(path, dpi=110)
