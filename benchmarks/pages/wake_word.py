"""The tables and the picture of wake_word.json."""

import numpy as np

from benchmarks.pages.markdown import table
from examples.common import det_curve
from examples.common.detection import Counts


def clips(results):
    rows = []
    for name, row in results["detectors"].items():
        low, high = row["interval"]
        folds = " ".join(f"{f1:.3f}" for f1 in row["folds"])
        rows.append([name, f"{row['f1']:.3f}", f"{low:.3f} to {high:.3f}", folds])
    return table(["one clip at a time", "F1", "95 %", "of each fold"], rows)


def streams(results):
    rows = []
    for name, row in results["detectors"].items():
        found = Counts(*row["found"])
        missed, alarms = found.false_reject_rate, found.false_accepts_per_hour
        rows.append([name, f"{found.f1:.3f}", f"{missed:.1%}", f"{alarms:.1f}"])
    return table(["one long stream", "F1", "missed", "false alarms an hour"], rows)


def words(results):
    spotter, rows = results["spotter"], []
    folds = range(spotter["folds"])
    for name, model in spotter["models"].items():
        for form, values in model["forms"].items():
            size = values["bytes"].get("constants")
            size = "–" if size is None else f"{size:,}"
            test = values["test"]
            each = (f"{np.mean(test[fold :: len(folds)]):.1%}" for fold in folds)
            rows.append([f"{name}, {form}", size, len(test), *each, f"{np.mean(test):.1%}"])
    header = "12 classes, accuracy", "bytes", "seeds", *(f"fold {fold}" for fold in folds), "mean"
    return table(list(header), rows)


def firmware(results):
    """The figures of audio_front_end.json."""
    rows = [
        [text, *(f"{results[f'{chip}_{figure}']:,}" for chip in ("m0", "m4"))]
        for text, figure in (
            ("instructions in 20 ms, mean", "step"),
            ("the slowest 20 ms", "most"),
            ("the front end's share, mean", "front_end"),
            ("the start", "start"),
            ("flash, bytes", "flash_bytes"),
            ("static RAM, bytes", "ram_bytes"),
            ("stack, bytes", "stack_bytes"),
        )
    ]
    return table(["", "Cortex-M0", "Cortex-M4"], rows)


def picture(results, path):
    curves = {
        name: [Counts(*counts) for counts in row["curve"]]
        for name, row in results["detectors"].items()
        if "clips" not in name
    }
    det_curve.picture(curves, path)
