"""The tables and the picture of wake_word.json."""

from benchmarks.pages.markdown import table
from examples.common import det_curve
from examples.common.detection import Counts


def clips(results):
    rows = [
        [name, f"{row['f1']:.3f}", between(row["f1_interval"], ".3f"), each(row["seeds"], ".3f")]
        for name, row in results.get("models", {}).items()
    ]
    return table(["one clip at a time", "F1", "95 %", "of each seed"], rows)


def streams(results):
    rows = []
    for name, row in results.get("models", {}).items():
        found = Counts(*row["found"])
        rows.append(
            [
                name,
                f"{row['missed']:.1%}",
                between(row["missed_interval"], ".1%"),
                each(row["missed_seeds"], ".1%"),
                f"{found.false_reject_rate:.1%} at {found.false_accepts_per_hour:.1f}",
            ]
        )
    header = "one long stream", "missed at 10 an hour", "95 %", "of each seed", "as chosen"
    return table(list(header), rows)


def others(results):
    rows = [
        [name, f"{of['minutes']:.0f}", f"{60 * of['alarms'] / of['minutes']:.1f}"]
        for model, row in results.get("models", {}).items()
        for name, of in ((f"{model}, {language}", of) for language, of in row["others"].items())
    ]
    return table(["announcements", "minutes", "false alarms an hour"], rows)


def words(results):
    found = results.get("words", {})
    return table(["word", *found], [["F1", *(f"{f1:.3f}" for f1 in found.values())]])


def small(results):
    rows = [
        [
            name,
            f"{draws[0]['clips']:,}",
            each([draw["f1"] for draw in draws], ".3f"),
            each([draw["missed"] for draw in draws], ".0%"),
        ]
        for name, draws in results.get("small", {}).items()
    ]
    return table(["60 clips of 20 people", "clips to train on", "F1", "missed at 10 an hour"], rows)


def between(interval, form):
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def each(values, form):
    return " ".join(f"{value:{form}}" for value in values)


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
        for name, row in results["models"].items()
    }
    det_curve.picture(curves, path)
