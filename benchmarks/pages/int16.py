"""The tables of int16.json."""

from benchmarks.pages.markdown import table
from benchmarks.pages.microcontrollers import counts


def chips(rows):
    """A step and its output on each chip, the two ways of running a layer."""
    cells = []
    for row in rows:
        count = row[counts(row)]
        size = f"{row['units']} units, {row['features']} features, {row['way']}"
        ratio = f"{count['int16'] / count['int8']:.3f}"
        cells.append(
            [row["target"], size, counts(row), *(f"{round(n):,}" for n in count.values()), ratio]
        )
    return table(["", "FastGRNN", "counted", "int8", "int16", "int16 over int8"], cells)
