"""The tables of int16.json."""

import numpy as np

from benchmarks.pages.markdown import table
from benchmarks.pages.microcontrollers import counts

# From a task to the row of its table, and to what is in it.
SCORES = {
    "wide range": ("signal within 1 % of the range, accuracy", "score"),
    "HAPT-2": ("HAPT-2 with all jerks, accuracy", "score"),
    "HAPT-6": ("HAPT-6, macro-F1", "score"),
    "keywords": ("12 keywords, accuracy", "score"),
    "Mackey-Glass": ("Mackey-Glass in 6 steps, NRMSE", "nrmse"),
    "electricity": ("electricity demand in 3 hours, NRMSE", "nrmse"),
}
FORMS = "float", "int8", "int16", "int8, QAT", "int16, QAT"
REGRESSIONS = {"Mackey-Glass": "Mackey-Glass", "electricity": "electricity demand"}
CLASSES = {"HAPT-2": "HAPT-2", "HAPT-6": "HAPT-6", "keywords": "12 keywords"}


def scores(tasks):
    """The score or the error of each form: the mean of the seeds, the least and the most."""
    rows = []
    for name, (title, key) in _measured(SCORES, tasks):
        digits = 4 if key == "nrmse" else 3
        found = ([run[form][key] for run in tasks[name] if form in run] for form in FORMS)
        rows.append([title, *(_spread(values, digits) for values in found)])
    return table(["", *(form.replace(", QAT", " after QAT") for form in FORMS)], rows)


def differences(tasks):
    """RMS differences of a regression from the float model, the mean of the seeds."""
    rows = []
    for name, title in _measured(REGRESSIONS, tasks):
        for form in "", ", QAT":
            row = [title + (" after QAT" if form else "")]
            for key in "difference", "difference_original":
                int8, int16 = (
                    np.array([run[dtype + form][key] for run in tasks[name]])
                    for dtype in ("int8", "int16")
                )
                row += [f"{int8.mean():.4f}", f"{int16.mean():.4f}"]
                row += [f"{np.mean(int16 / int8):.2f}"]
            rows.append(row)
    header = ["with the float model that has", "the file's weights: int8", "int16", "ratio"]
    return table([*header, "its own weights: int8", "int16", "ratio"], rows)


def agreements(tasks):
    """On how many sequences the float model says the same: the seed with the fewest."""
    rows = []
    for name, title in _measured(CLASSES, tasks):
        cells = (
            min(run[dtype][key] for run in tasks[name])
            for key in ("agreement", "agreement_original")
            for dtype in ("int8", "int16")
        )
        rows.append([title, *(f"{cell:.2f} %" for cell in cells)])
    header = ["with the float model that has", "the file's weights: int8", "int16"]
    return table([*header, "its own weights: int8", "int16"], rows)


def chips(rows):
    """A step and its output on each chip, in the two ways of running a layer."""
    cells = []
    for row in rows:
        count = row[counts(row)]
        size = f"{row['units']} units, {row['features']} features, {row['way']}"
        ratio = f"{count['int16'] / count['int8']:.3f}"
        numbers = (f"{round(n):,}" for n in count.values())
        cells.append([row["target"], size, counts(row), *numbers, ratio])
    return table(["", "FastGRNN", "counted", "int8", "int16", "int16 over int8"], cells)


def _measured(titles, tasks):
    """Those of the tasks whose data was there."""
    return [(name, title) for name, title in titles.items() if name in tasks]


def _spread(values, digits):
    """The mean, and from which to which value; nothing of nothing."""
    if not values:
        return ""
    mean, low, high = (f"{v:.{digits}f}" for v in (np.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"
