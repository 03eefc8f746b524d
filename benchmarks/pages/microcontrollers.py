"""The tables and the pictures of microcontrollers.json."""

import itertools
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.pages import markdown
from benchmarks.pages.markdown import table

# The parts of the grid, and the test for their rows.
SHAPES = {
    "dense": lambda row: "rank" not in row and "density" not in row,
    "rank": lambda row: "rank" in row,
    "bitmap": lambda row: row.get("encoding") == "bitmap",
    "blocks": lambda row: row.get("encoding") == "blocks",
    "pairs": lambda row: row.get("encoding") == "pairs",
}
ENCODINGS = "bitmap", "blocks", "pairs"
# The encoding of half of the weights, in the table and the picture to choose by.
HALF = "blocks"
# The columns of that table: units, and the part of the grid.
CHOICES = (16, "dense"), (32, "dense"), (64, "dense"), (32, HALF)
# Chips whose steps differ by at most 2 % share a line of that picture.
SAME = 0.02


class Layer(NamedTuple):
    """A recurrent layer of 20 units and 28 inputs on a Cortex-M4, and what 28 steps of it take.

    `products` are those of a step, `code` bytes of code and tables, `constants` other bytes of
    flash.
    """

    name: str
    products: int
    instructions: int
    code: int
    constants: int


# Counted once: docs/microcontrollers.md says how, and at which commits.
PEERS = (
    Layer("tinymind's GRU, int8", 2880, 709_345, 3892, 3220),
    Layer("TFLM's LSTM, int8, CMSIS-NN", 3840, 556_024, 12_048, 4160),
    Layer("TFLM's LSTM, int8, reference kernels", 3840, 1_603_328, 8016, 4160),
    Layer("TFLM's LSTM, int16, CMSIS-NN", 3840, 658_610, 12_048, 4480),
    Layer("TFLM's LSTM, int16, reference kernels", 3840, 2_154_310, 8016, 4480),
)


def by_target(rows):
    """Dict from a chip to its rows."""
    return {name: list(group) for name, group in itertools.groupby(rows, lambda r: r["target"])}


def counts(row):
    """The unit of the emulator: cycles or instructions."""
    return "cycles" if "cycles" in row else "instructions"


def figures(results):
    names = [name for name, v in results.items() if isinstance(v, int | float)]
    return markdown.figures("microcontrollers.json", results, names)


def choices(results):
    """The cost of a step on each chip, and its memory; in the last row the bytes of constants."""

    def cells(rows, key):
        found = {(row["units"], name): row for row in rows for name in SHAPES if SHAPES[name](row)}
        return [f"{round(found[at][key]):,}" if at in found else "" for at in CHOICES]

    rows = []
    for name, found in by_target(results["grid"]).items():
        (middle,) = (row for row in found if row["units"] == 32 and SHAPES["dense"](row))
        memory = middle["kernel_bytes"], middle["ram_bytes"] + middle["stack_bytes"]
        unit = counts(middle)
        rows.append([name, unit, *cells(found, unit), *(f"{size:,}" for size in memory)])
    first, *_ = by_target(results["grid"]).values()
    rows.append(["constants, any chip", "bytes", *cells(first, "constant_bytes"), "", ""])
    titles = (f"{units} units" + ", half zero" * (part != "dense") for units, part in CHOICES)
    return table(["", "counted", *titles, "kernel, bytes", "RAM, bytes"], rows)


def peers(results):
    """A sequence through our layer and through those of others."""
    keys = "instructions", "kernel_bytes", "constant_bytes"
    ours = (
        Layer(f"FastGRNN, {row['way']}", 960, *(row[key] for key in keys))
        for row in results["layers"]
    )
    rows = [
        [
            *(layer.name, f"{layer.products:,}", f"{layer.instructions:,}"),
            f"{layer.instructions / layer.products / 28:.2f}",
            *(f"{layer.code:,}", f"{layer.constants:,}"),
        ]
        for layer in (*ours, *PEERS)
    ]
    header = ["", "products a step", "instructions", "a product", "code, bytes"]
    return table([*header, "constants, bytes"], rows)


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
    titles = (f"{name}, {what}" for what in ("time", "bytes") for name in ENCODINGS)
    return table(["", *titles], rows)


def cost_picture(results, path):
    """A step against units, dense and with half of the weights zero: in instructions and, apart, in
    cycles."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(1, 2, width_ratios=(3, 1))
    for axis, unit in zip(axes, ("instructions", "cycles"), strict=True):
        for color, (names, units, dense, half) in enumerate(lines(results, unit)):
            axis.plot(units, dense, "o-", color=f"C{color}", ms=4, label=", ".join(names))
            axis.plot(units, half, "o:", color=f"C{color}", ms=3)
        axis.set(xlabel="units, with 32 inputs", ylabel=f"{unit} a step", xscale="log")
        axis.set(yscale="log", xlim=(14, 1.15 * units[-1]))
        for ticks in (axis.xaxis, axis.yaxis):
            ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ticks.set_major_formatter("{x:,.0f}")
            ticks.set_minor_locator(NullLocator())
        axis.set_xticks(units)
        axis.grid(alpha=0.3)
    axes[0].plot([], [], "k-", label="dense")
    axes[0].plot([], [], "k:", label="half of the weights zero")
    axes[0].legend()
    axes[1].legend()
    figure.savefig(path, dpi=110)


def lines(results, unit):
    """`(names, units, dense, half)` of the chips counted in a unit: a list."""
    found = []
    for name, rows in by_target(results["grid"]).items():
        if counts(rows[0]) != unit:
            continue
        units, *steps = (
            np.array([row[key] for row in rows if SHAPES[shape](row)])
            for key, shape in (("units", "dense"), (unit, "dense"), (unit, HALF))
        )
        for names, *known in found:
            if np.allclose(steps, known[1:], rtol=SAME, atol=0):
                names.append(name)
                break
        else:
            found.append(([name], units, *steps))
    return found


def density_picture(results, path):
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
