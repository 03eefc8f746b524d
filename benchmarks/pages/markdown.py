"""Tables in Markdown."""

import numpy as np

from benchmarks.targets import TARGETS


def table(header, rows):
    """A table whose columns are aligned to the right, but for the first."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def figures(file, results, names=None):
    """The figures of a file of results beside their targets; by default those that have one."""
    targets = TARGETS[file]
    rows = []
    for name in names or targets:
        relation, target = targets.get(name, ("", None))
        rows.append([f"`{name}`", number(results[name]), target and f"{relation} {target:,}" or ""])
    return table(["figure", "reached", "asked"], rows)


def number(value):
    if isinstance(value, str):
        return value
    return f"{value:,.4g}" if value < 100 and value != int(value) else f"{value:,.0f}"


def spread(values, digits):
    """The mean of numbers, with the least and the largest if they differ."""
    mean, low, high = (f"{v:.{digits}f}" for v in (np.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"
