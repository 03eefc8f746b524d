"""Tables in Markdown."""

from benchmarks.targets import TARGETS


def table(header, rows):
    """A table, numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def figures(file, results, names=None):
    """The figures of a file, by default those with a target, beside their targets."""
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
