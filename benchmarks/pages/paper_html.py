"""The page of paper.json: no script is in it, and nothing is asked of the network."""

import html

from benchmarks.pages import paper_charts
from benchmarks.pages.paper import (
    RATIOS,
    beside_published,
    head,
    head_published,
    ratios,
    rows,
)
from benchmarks.targets import TARGETS
from keras_fastgrnn.export.report.html_page import Html, charts, page, table

COUNTED = {
    "paper's": "those of the values, as the paper and EdgeML count, and those of the indices, but "
    "only of matrices that are less than half full",
    "constants": "all that a chip has to keep: weights, indices, biases, scales, and the options "
    "of the recurrent layer and of the head",
    ".tflite": "the whole file",
}


def text(paper):
    title = "FastGRNN: accuracy against bytes"
    return page(
        title,
        {
            title: _headlines(paper),
            **{name: _task(name, task) for name, task in paper["tasks"].items()},
            "How it was made": _made(paper),
        },
    )


def _headlines(paper):
    yield (
        "<p>FastRNN and FastGRNN beside GRU, LSTM and SimpleRNN; int8 as TensorFlow Lite for "
        "Microcontrollers runs it. Each task has limits of bytes. For each limit the FastGRNN that "
        "is best in validation is chosen; then it is trained on the people for validation too, and "
        "tested: these are the figures here, and those called ours below. All other rows, the "
        "charts and the ratios are of the people for training alone. Means over "
        f"{paper['seeds']} seeds, ± their deviation.</p>\n"
    )
    if paper["preset"] != "full":
        yield f"<p><b>Preset {html.escape(paper['preset'])}: a trial, no result.</b></p>\n"
    yield table(
        ("figure", ">measured", ">asked"),
        (
            (Html(key.replace("_", "_<wbr>")), paper.get(key), f"{relation} {target:,}")
            for key, (relation, target) in TARGETS["paper.json"].items()
        ),
    )
    yield "<h3>How many times smaller</h3>\n"
    yield _ratios(paper["tasks"])
    yield (
        "<p>Ours against the smallest model that is at most half a point worse; where none is, "
        "more than the largest that was trained. (a): constants, against a GRU or LSTM in float32. "
        "(b): constants, against an LSTM with a byte a weight, as if its int8 lost nothing. (c): "
        "whole .tflite files, against a GRU by TensorFlow's own converter.</p>\n"
    )


def _ratios(tasks):
    lines = (
        (f"{name}, {budget['limit']:,} bytes", *ratios(budget))
        for name, task in tasks.items()
        for budget in task["budgets"].values()
    )
    return table(("times smaller than", *(f">{text}" for text in RATIOS.values())), lines)


def _task(name, task):
    if task["differs"]:
        yield f"<p>What differs from what is published? {html.escape(task['differs'])}</p>\n"
    yield table(
        _right(head_published(task)),
        (_bold(row) if row[-1] else row for row in beside_published(task)),
    )
    yield _ratios({name: task})
    drawn = [paper_charts.by_bytes(name, task), paper_charts.by_stage(name, task)]
    drawn += [paper_charts.sweep(name, task, of) for of in task["sweeps"] if task["sweeps"][of]]
    yield charts(drawn)
    names = sorted(task["models"], key=lambda name: paper_charts.order(task["models"][name]))
    lines = [_bold(row) if row[-1] else row for row in rows(task, names)]
    shown = table(_right(head(task)), lines)
    yield f"<details><summary>All {len(lines)} rows</summary>\n{shown}</details>\n"


def _right(head):
    """All columns to the right but the first."""
    first, *others = head
    return first, *(f">{column}" for column in others)


def _bold(row):
    return [Html(f"<b>{html.escape(str(cell))}</b>") for cell in row]


def _made(paper):
    yield table(
        ("", ""),
        [
            ("command", paper["command"]),
            ("preset", paper["preset"]),
            ("seeds", f"0 to {paper['seeds'] - 1}; fewer for a model that is in a sweep alone"),
            *paper["versions"].items(),
        ],
    )
    aware = paper["quantization_aware"]
    yield (
        "<p>Adam; its rate rises in a tenth of the steps and falls as a cosine; gradients have a "
        "norm of 1 at most. Sparse models are trained in three phases: dense, sparsifying, and on "
        f"the support that is left. QAT: {aware['epochs']:.0%} of the epochs more, Adam from "
        f"{aware['learning_rate']}, on the logits of the float model. clip: the fraction of the "
        "inputs, at either end, that is beyond the range of int8.</p>\n"
    )
    trainings = {
        name: task["training"] | {f"{kind}'s rate": rate for kind, rate in task["rates"].items()}
        for name, task in paper["tasks"].items()
    }
    arguments = list(dict.fromkeys(key for training in trainings.values() for key in training))
    yield table(
        ("training", *(f">{argument}" for argument in arguments)),
        ((name, *map(training.get, arguments)) for name, training in trainings.items()),
    )
    yield "<p>Bytes are counted in three ways; of all seeds the most are stated.</p>\n"
    yield table(("bytes", "what they are"), COUNTED.items())
