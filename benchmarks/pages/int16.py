"""The tables of int16.json."""

import numpy as np

from benchmarks.pages.markdown import spread, table
from benchmarks.pages.microcontrollers import counts

# From a task to the title of its row, and to the key of its score or error.
SCORES = {
    "wide range": ("signal within 1 % of the range, accuracy", "score"),
    "HAPT-2": ("HAPT-2 with all jerks, accuracy", "score"),
    "HAPT-6": ("HAPT-6, macro-F1", "score"),
    "keywords": ("12 keywords, accuracy", "score"),
    "Mackey-Glass": ("Mackey-Glass in 6 steps, NRMSE", "nrmse"),
    "electricity": ("electricity demand in 3 hours, NRMSE", "nrmse"),
}
FORMS = "float", "int8", "int16", "int8, QAT", "int16, QAT"
DTYPES = "int8", "int16"
REGRESSIONS = {"Mackey-Glass": "Mackey-Glass", "electricity": "electricity demand"}
CLASSES = {"HAPT-2": "HAPT-2", "HAPT-6": "HAPT-6", "keywords": "12 keywords"}


def scores(results):
    """The score or the error of each form, over the seeds."""
    rows = []
    for (title, key), runs in _measured(SCORES, results):
        digits = 4 if key == "nrmse" else 3
        found = ([run[form][key] for run in runs if form in run] for form in FORMS)
        rows.append([title, *(spread(values, digits) if values else "" for values in found)])
    return table(["", *(form.replace(", QAT", " after QAT") for form in FORMS)], rows)


def differences(results):
    """RMS differences between a regression in integers and in float: the mean of the seeds."""
    rows = []
    for title, runs in _measured(REGRESSIONS, results):
        for form in "", ", QAT":
            row = [title + (" after QAT" if form else "")]
            for key in "difference", "difference_original":
                int8, int16 = (np.array([run[d + form][key] for run in runs]) for d in DTYPES)
                row += [f"{int8.mean():.4f}", f"{int16.mean():.4f}", f"{np.mean(int16 / int8):.2f}"]
            rows.append(row)
    header = ["with the float model that has", "the file's weights: int8", "int16", "ratio"]
    return table([*header, "its own weights: int8", "int16", "ratio"], rows)


def agreements(results):
    """How many sequences integers and float give the same class: the least of the seeds."""
    rows = []
    for title, runs in _measured(CLASSES, results):
        least = (
            min(run[dtype][key] for run in runs)
            for key in ("agreement", "agreement_original")
            for dtype in DTYPES
        )
        rows.append([title, *(f"{percent:.2f} %" for percent in least)])
    header = ["with the float model that has", "the file's weights: int8", "int16"]
    return table([*header, "its own weights: int8", "int16"], rows)


def chips(results):
    """A step of a layer on each chip, in both ways of running it."""
    rows = []
    for row in results["chips"]:
        count = row[counts(row)]
        size = f"{row['units']} units, {row['features']} features, {row['way']}"
        ratio = f"{count['int16'] / count['int8']:.3f}"
        numbers = (f"{round(n):,}" for n in count.values())
        rows.append([row["target"], size, counts(row), *numbers, ratio])
    return table(["", "FastGRNN", "counted", "int8", "int16", "int16 over int8"], rows)


def _measured(titles, results):
    """`(title, runs)` of the tasks whose data was there."""
    tasks = results["tasks"]
    return [(title, tasks[name]) for name, title in titles.items() if name in tasks]
