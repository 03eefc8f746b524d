"""What benchmarks/paper.py measured, as a page and as tables: made again without any training.

    PYTHONPATH=examples python benchmarks/paper_page.py

Writes paper.html beside paper.json: no script is in it, and nothing is asked of the network. Of
benchmarks/results/ it also writes the tables of README.md and docs/paper.md.
"""

import html
import pathlib

from absl import app, flags

from benchmarks import record
from benchmarks.pages import paper_charts
from benchmarks.pages.paper import (
    RATIOS,
    beside_published,
    each_seed,
    head,
    head_published,
    percent,
    ratios,
    readme_table,
    rows,
    task_tables,
)
from benchmarks.paper import models as paper_models
from keras_fastgrnn.export.report.html_page import Html, charts, page, table

# What was asked: of the figures by their keys, and of the size ratios.
TARGETS = {
    "hapt6_f1_mean": (">=", 0.925),
    "hapt6_f1_std": ("<=", 0.015),
    "hapt6_bytes": ("<=", 600),
    "hapt6_small_f1_mean": (">=", 0.915),
    "hapt6_small_bytes": ("<=", 400),
    "hapt2_accuracy_mean": (">=", 0.956),
    "hapt2_bytes": ("<=", 3072),
    "usps_accuracy_mean": (">=", 0.945),
    "usps_bytes": ("<=", 2048),
}
RATIO_TARGETS = {"float32": 6, "int8 LSTM": 2}
RATIO_TARGETS_OF = dict.fromkeys(("Keywords-12", "Keyword spotter"), {"float32": 20})

COUNTED = {
    "paper's": "those of the values, as the paper and EdgeML count, and those of the indices, but "
    "only of matrices that are less than half full",
    "constants": "all that a chip has to keep: weights, indices, biases, scales, and the options "
    "of the recurrent layer and of the head",
    ".tflite": "the whole file",
}


def main(output):
    """Writes the page of a folder that holds paper.json."""
    report = record.read(output / "paper.json")
    if not report:
        raise FileNotFoundError(f"No paper.json in {str(output)!r}: make bench-paper writes it.")
    path = output / "paper.html"
    path.write_text(html_of(report))
    print(f"Written: {path}")
    if output.resolve() == record.FOLDER.resolve():
        record.page(record.ROOT / "README.md", {"paper": readme_table(report)})
        record.page(record.ROOT / "docs" / "paper.md", {"tables": task_tables(report)})


def html_of(report):
    title = "FastGRNN: accuracy against bytes"
    return page(
        title,
        {
            title: _headlines(report),
            **{name: _task(name, task) for name, task in report["tasks"].items()},
            **{name: _elsewhere(name, task) for name, task in report["elsewhere"].items()},
            "How it was made": _made(report),
        },
    )


def _judged(text, holds):
    color, sign = ("#2a9d57", "✓") if holds else ("#d9453d", "✗")
    return Html(f'<b style="color:{color}">{sign} {text}</b>')


def _headlines(report):
    yield (
        "<p>FastRNN and FastGRNN beside what one would use instead; int8 as TensorFlow Lite for "
        "Microcontrollers runs it. Each task has limits of bytes. For each the FastGRNN that is "
        "best in validation is chosen; then it is trained on what validated too, and tested: these "
        "are the figures here, and what is called ours below. All other rows, the charts and the "
        f"ratios are of the training side alone. Means over {report['seeds']} seeds, ± their "
        "deviation.</p>\n"
    )
    if report["preset"] != "full":
        yield f"<p><b>Preset {html.escape(report['preset'])}: a trial, no result.</b></p>\n"
    figures = []
    for key, (sign, limit) in TARGETS.items():
        value, verdict = report.get(key), "not measured"
        if value is not None:
            holds = record.reached(value, sign, limit)
            verdict = "reached" if holds else "not reached"
            value = _judged(f"{value:.4g}", holds)
        figures.append((Html(key.replace("_", "_<wbr>")), value, f"{sign} {limit}", verdict))
    yield table(("figure", ">measured", ">asked", ""), figures)
    reached = sum(verdict == "reached" for *_, verdict in figures)
    yield f"<p>{reached} of {len(figures)} are reached.</p>\n<h3>How many times smaller</h3>\n"
    yield _ratios(report["tasks"] | report["elsewhere"])
    yield (
        "<p>Ours against the smallest that is at most half a point worse; where none is, more than "
        "the largest that was trained. (a): constants, of a GRU "
        "or LSTM in float32. (b): constants, of an LSTM with a byte a weight, as if its int8 lost "
        "nothing. (c): whole .tflite files, of a GRU by TensorFlow's own converter.</p>\n"
    )


def _ratios(tasks):
    """Each of the three in a column of its own: they are not to be compared with each other."""

    def cell(name, against, ratio, more, text):
        asked = (RATIO_TARGETS | RATIO_TARGETS_OF.get(name, {})).get(against)
        # More than a ratio that is too small may be enough or not.
        if ratio is None or asked is None or (more and ratio < asked):
            return text
        return Html(f"{_judged(text, ratio >= asked)}, asked {asked}")

    lines = (
        (
            f"{name}, {budget['limit']:,} bytes",
            *(cell(name, against, *of) for against, of in zip(RATIOS, ratios(budget), strict=True)),
        )
        for name, task in tasks.items()
        for budget in task["budgets"].values()
    )
    return table(("times smaller than", *RATIOS.values()), lines)


def _task(name, task):
    if task["differs"]:
        yield f"<p>What differs from what is published? {html.escape(task['differs'])}</p>\n"
    yield table(
        _right(head_published(task)),
        (_bold(row) if row[-1] else row for row in beside_published(task)),
    )
    yield _ratios({name: task})
    drawn = [paper_charts.by_bytes(name, task), paper_charts.by_stage(name, task)]
    yield charts(
        [
            *drawn,
            *(paper_charts.sweep(name, task, of) for of in task["sweeps"] if task["sweeps"][of]),
        ]
    )
    yield (
        "<h3>What int8 sees</h3>\n<p>Of the model trained with quantisation where there is one. "
        "A model is its units, the ranks of W and U, and how much is zero.</p>\n"
    )
    yield charts(
        [
            paper_charts.errors(name, task),
            paper_charts.scalars(name, task),
            paper_charts.states(name, task),
        ]
    )
    names = sorted(task["models"], key=lambda name: paper_charts.order(task["models"][name]))
    lines = [_bold(row) if row[-1] else row for row in rows(task, names)]
    shown = table(_right(head(task)), lines)
    yield f"<details><summary>All {len(lines)} rows</summary>\n{shown}</details>\n"


def _elsewhere(name, task):
    yield (
        "<p>Trained on streams, at every frame, and measured by make bench-wake-word: means over "
        "folds of people, with one or two seeds each. docs/wake_word.md says on whom the training "
        "was chosen.</p>\n"
    )
    yield _ratios({name: task})
    yield table(
        ("model", ">form", f">{task['score']}, %", ">constants", ">.tflite", ">of each seed"),
        (
            (
                *(model, form, percent(values)),
                *(f"{values['bytes'][way]:,}" for way in ("constants", "tflite")),
                each_seed(values),
            )
            for model, of in task["models"].items()
            for form, values in of["forms"].items()
        ),
    )


def _right(head):
    """All columns to the right but the first."""
    first, *others = head
    return first, *(f">{column}" for column in others)


def _bold(row):
    return [Html(f"<b>{html.escape(str(cell))}</b>") for cell in row]


def _made(report):
    yield table(
        ("", ""),
        [
            ("command", report["command"]),
            ("preset", report["preset"]),
            ("seeds", f"0 to {report['seeds'] - 1}; of what is in a sweep alone, fewer"),
            *report["versions"].items(),
        ],
    )
    yield (
        "<p>Adam; its rate rises in a tenth of the steps and falls as a cosine; gradients have a "
        "norm of 1 at most. Sparse models are trained in three phases: dense, sparsifying, and on "
        f"what is left. QAT: {paper_models.QAT_EPOCHS:.0%} of the epochs more, Adam from "
        f"{paper_models.QAT_LEARNING_RATE}, on the logits of the float model. clip: which fraction "
        "of the inputs, at either end, is beyond the range of int8.</p>\n"
    )
    trainings = {
        name: task["training"] | {f"{kind}'s rate": rate for kind, rate in task["rates"].items()}
        for name, task in report["tasks"].items()
    }
    arguments = list(dict.fromkeys(key for training in trainings.values() for key in training))
    yield table(
        ("training", *(f">{argument}" for argument in arguments)),
        ((name, *map(training.get, arguments)) for name, training in trainings.items()),
    )
    yield "<p>Bytes are counted in three ways; of all seeds the most are stated.</p>\n"
    yield table(("bytes", "what they are"), COUNTED.items())


if __name__ == "__main__":
    flags.DEFINE_string("output_dir", str(record.FOLDER), "The folder that holds paper.json.")
    app.run(lambda _: main(pathlib.Path(flags.FLAGS.output_dir)))
