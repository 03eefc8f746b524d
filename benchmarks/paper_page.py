"""What benchmarks/paper.py measured, as a page and as tables: made again without any training.

    PYTHONPATH=examples python benchmarks/paper_page.py

Writes paper.html beside paper.json: no script is in it, and nothing is asked of the network. Of
benchmarks/results/ it also writes the tables of README.md and docs/paper.md.
"""

import html
import operator
import pathlib
import re

import numpy as np
import paper_models
import record
from absl import app, flags
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from keras_fastgrnn.export.html_page import BLUE, INK, ORANGE, Html, chart, charts, page, table

COLORS = {
    **{"FastGRNN": BLUE, "FastRNN": "#1f9e89", "GRU": ORANGE},
    **{"LSTM": "#b5488f", "SimpleRNN": "#8b949e"},
}
MARKERS = {"float": "o", "int8": "s", "int8, QAT": "D"}
SCALARS = {"zeta": BLUE, "nu": ORANGE, "alpha": "#1f9e89", "beta": "#b5488f"}
SWEEPS = {"units": "units", "recurrent_rank": "rank of U", "sparsity": "% zero"}

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
RATIOS = {"float32": "(a) float32", "int8 LSTM": "(b) int8 LSTM", "GRU file": "(c) GRU's file"}
RATIO_TARGETS = {"float32": 6, "int8 LSTM": 2}
RATIO_TARGETS_OF = {"Keywords-12": {"float32": 20}}
HOLDS = {">=": operator.ge, "<=": operator.le}
AS_GOOD = "no size of it is as good"

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


# ---- Of a task: what both the page and the tables state ----


def percent(values):
    """Mean and deviation over the seeds."""
    return f"{100 * values['mean']:.2f} ± {100 * values['std']:.2f}"


def with_bytes(values):
    return f"{percent(values)}; {values['bytes']['constants']:,} bytes"


def beside_published(task):
    """Rows of what others have published, and of ours: of each limit what was chosen."""
    for published in task["published"]:
        yield [published["who"], f"{published['score']:.2f}", published["size"], "", ""]
    for budget in task["budgets"].values():
        ours = ["ours: none fits", "–", "–"]
        if values := budget.get("final"):
            size = f"{values['bytes']['constants']:,} bytes"
            ours = [f"ours: {budget['model']}, {budget['form']}", percent(values), size]
        seeds = " ".join(f"{100 * score:.1f}" for score in values["test"]) if values else ""
        yield [*ours, f"{budget['limit']:,} bytes", seeds]


def rows(task, names):
    """Rows of models: each form, its score, the seeds, the bytes, and what it was chosen for."""
    budgets = [budget for budget in task["budgets"].values() if "model" in budget]
    for name in names:
        for form, values in task["models"][name]["forms"].items():
            sizes = values["bytes"]
            limits = [b["limit"] for b in budgets if (b["model"], b["form"]) == (name, form)]
            yield [
                *(name, form, percent(values), len(values["test"])),
                *(f"{sizes[way]:,}" for way in ("paper", "constants", "tflite")),
                *(f"{values['nonzero']:,}", ", ".join(f"<= {limit:,}" for limit in limits)),
            ]
            if "int8" in sizes:
                yield [name, "int8, counted", "–", 0, "–", f"{sizes['int8']:,}", "–", "–", ""]


def head_published(task):
    return "who", f"{task['score']}, %", "size", "at most", "of each seed"


def head(task):
    sizes = "paper's bytes", "constants", ".tflite", "nonzero"
    return "model", "form", f"{task['score']}, %", "seeds", *sizes, "chosen for"


def ratio_texts(task):
    ratios = task["size_ratios"] or {}
    return [f"{ratios[r]:.1f}" if ratios.get(r) else AS_GOOD if ratios else "–" for r in RATIOS]


# ---- Tables in Markdown ----


def readme_table(report):
    """A row for each task, of its first budget."""
    lines = []
    for name, task in report["tasks"].items():
        published = (f"{p['who']}: {p['score']:.2f}; {p['size']}" for p in task["published"])
        budget, equal = next(iter(task["budgets"].values())), {}
        ours = "none fits", "–"
        if "model" in budget:
            beside = task["models"][budget["model"]]["forms"][budget["form"]]
            ours = with_bytes(budget["final"]), with_bytes(beside)
        for model in map(task["models"].get, task["equal"]):
            text = with_bytes(model["forms"]["float"])
            equal[model["kind"]] = f"{model['units']} units: {text}"
        lines.append(
            [
                f"{name}, {task['score']}",
                *(next(published, "–"), *ours, equal["GRU"], equal["LSTM"], *ratio_texts(task)),
            ]
        )
    trained = "ours, int8, trained on all but the test", "ours, int8, trained as those beside it"
    columns = "%", "published", *trained, "GRU, float", "LSTM, float", "(a)", "(b)", "(c)"
    return record.table(list(columns), lines)


def task_tables(report):
    """Of each task what is published beside ours; models of equal size, stages, and the chosen."""
    parts = []
    for name, task in report["tasks"].items():
        chosen = [b["model"] for b in task["budgets"].values() if "model" in b]
        names = dict.fromkeys([*task["equal"], *task["stages"], *chosen])
        parts += [
            f"### {name}",
            record.table(head_published(task), beside_published(task)),
            record.table(head(task), rows(task, names)),
        ]
    return "\n\n".join(parts)


# ---- The page ----


def html_of(report):
    title = "FastGRNN: accuracy against bytes"
    return page(
        title,
        {
            title: _headlines(report),
            **{name: _task(name, task) for name, task in report["tasks"].items()},
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
            holds = HOLDS[sign](value, limit)
            verdict = "reached" if holds else "not reached"
            value = _judged(f"{value:.4g}", holds)
        figures.append((Html(key.replace("_", "_<wbr>")), value, f"{sign} {limit}", verdict))
    yield table(("figure", ">measured", ">asked", ""), figures)
    reached = sum(verdict == "reached" for *_, verdict in figures)
    yield f"<p>{reached} of {len(figures)} are reached.</p>\n<h3>How many times smaller</h3>\n"
    yield _ratios(report["tasks"])
    yield (
        "<p>Ours against the smallest that is at most half a point worse. (a): constants, of a GRU "
        "or LSTM in float32. (b): constants, of an LSTM with a byte a weight, as if its int8 lost "
        "nothing. (c): whole .tflite files, of a GRU by TensorFlow's own converter.</p>\n"
    )


def _ratios(tasks):
    """Each of the three in a column of its own: they are not to be compared with each other."""

    def cell(name, against, text):
        ratio = (tasks[name]["size_ratios"] or {}).get(against)
        asked = (RATIO_TARGETS | RATIO_TARGETS_OF.get(name, {})).get(against)
        if ratio is None or asked is None:
            return text
        return Html(f"{_judged(text, ratio >= asked)}, asked {asked}")

    lines = (
        (name, *(cell(name, *of) for of in zip(RATIOS, ratio_texts(task), strict=True)))
        for name, task in tasks.items()
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
    drawn = [_by_bytes(name, task), _by_stage(name, task)]
    yield charts([*drawn, *(_sweep(name, task, of) for of in task["sweeps"] if task["sweeps"][of])])
    yield (
        "<h3>What int8 sees</h3>\n<p>Of the model trained with quantisation where there is one. "
        "A model is its units, the ranks of W and U, and how much is zero.</p>\n"
    )
    yield charts([_errors(name, task), _scalars(name, task), _states(name, task)])
    names = sorted(task["models"], key=lambda name: _order(task["models"][name]))
    lines = [_bold(row) if row[-1] else row for row in rows(task, names)]
    shown = table(_right(head(task)), lines)
    yield f"<details><summary>All {len(lines)} rows</summary>\n{shown}</details>\n"


def _right(head):
    """All columns to the right but the first."""
    first, *others = head
    return first, *(f">{column}" for column in others)


def _bold(row):
    return [Html(f"<b>{html.escape(str(cell))}</b>") for cell in row]


def _order(model):
    return [model[key] for key in ("kind", "units", "kernel_rank", "recurrent_rank", "sparsity")]


def _by_bytes(name, task):
    models = task["models"].values()

    def draw(figure):
        ax = figure.subplots()
        for model in models:
            for form, values in model["forms"].items():
                _point(ax, values, color=COLORS[model["kind"]], marker=MARKERS[form])
        for published in task["published"]:
            if size := re.fullmatch(r"([\d.]+) (bytes|KB)", published["size"]):
                n = float(size[1]) * (1024 if size[2] == "KB" else 1)
                ax.plot(n, published["score"], "*", color=INK, markersize=7)
        for budget in task["budgets"].values():
            ax.axvline(budget["limit"], color=INK, linestyle=":", linewidth=0.8)
            if "model" in budget:
                chosen = task["models"][budget["model"]]["forms"][budget["form"]]
                _point(ax, chosen, color=INK, marker="o", markersize=11)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda n, _: f"{n / 1024:g} K" if n >= 1024 else f"{n:g}")
        ax.set_yscale("function", functions=(_of_error, lambda y: 100 - np.exp(-y)))
        ax.yaxis.set_major_locator(
            FixedLocator((0, 20, 40, 60, 70, 80, 85, 88, 90, 92, 94, 96, 98, 99))
        )
        ax.set(xlabel="bytes of constants", ylabel=f"{task['score']}, %, as log of the error")
        kinds = dict.fromkeys(model["kind"] for model in models)
        forms = dict.fromkeys(form for model in models for form in model["forms"])
        handles = [_handle(kind, COLORS[kind], "o") for kind in kinds]
        handles += [_handle(form, INK, MARKERS[form], markerfacecolor="none") for form in forms]
        handles += [_handle("published", INK, "*")] if task["published"] else []
        figure.legend(handles=handles, ncols=3, loc="outside lower center", fontsize=8)

    return chart(
        f"{name}: every model by its bytes; dotted the limits, in a circle what was chosen",
        draw,
        height=3.6,
    )


def _of_error(score):
    """A scale on which half the error is as far from it wherever that is."""
    return -np.log(np.maximum(100 - np.asarray(score), 0.1))


def _point(ax, values, color, marker, markersize=4.5):
    x, y = values["bytes"]["constants"], 100 * values["mean"]
    ax.plot(x, y, marker, color=color, markersize=markersize, markerfacecolor="none")


def _handle(label, color, marker, **kwargs):
    return Line2D([], [], color=color, marker=marker, linestyle="", label=label, **kwargs)


def _by_stage(name, task):
    stages = []
    for of in map(task["models"].get, task["stages"]):
        ranks = of["kernel_rank"] or of["recurrent_rank"]
        stage = "sparse" if of["sparsity"] else "low-rank" if ranks else "dense"
        stages.append((f"{stage}\nfloat", of["forms"]["float"]))
    stages += [
        (form.replace(", ", "\n"), of["forms"][form]) for form in of["forms"] if form != "float"
    ]

    def draw(figure):
        ax = figure.subplots()
        for i, (_, values) in enumerate(stages):
            color = BLUE if i < len(task["stages"]) else ORANGE
            _seeds(ax, i - 0.1, values, color)
            mean, std = 100 * values["mean"], 100 * values["std"]
            ax.errorbar(i + 0.1, mean, std, fmt="_", color=color, capsize=3)
        ax.set_xticks(range(len(stages)), [stage for stage, _ in stages], fontsize=8)
        ax.set(ylabel=f"{task['score']}, %", xlim=(-0.5, len(stages) - 0.5))

    caption = f"{name}: FastGRNN by stage; dots are seeds, bars their mean and deviation"
    return chart(caption, draw, height=2.8)


def _seeds(ax, x, values, color):
    scores = [100 * score for score in values["test"]]
    ax.plot([x] * len(scores), scores, "o", color=color, markersize=3, markeredgewidth=0, alpha=0.7)


def _sweep(name, task, of):
    models = [task["models"][text] for text in task["sweeps"][of]]

    def label(model):
        value = f"{100 * model[of]:.0f}" if of == "sparsity" else model[of]
        # The state is int16.
        return f"{value}\n{model['forms']['int8']['bytes']['constants']:,}\n{2 * model['units']}"

    def draw(figure):
        ax = figure.subplots()
        for form, color, shift in (("float", BLUE, -0.1), ("int8", ORANGE, 0.1)):
            found = [model["forms"][form] for model in models]
            for i, values in enumerate(found):
                _seeds(ax, i + shift, values, color)
            x = [i + shift for i in range(len(found))]
            ax.plot(x, [100 * values["mean"] for values in found], color=color, label=form)
        ax.set_xticks(range(len(models)), map(label, models), fontsize=8)
        xlabel = f"{SWEEPS[of]} / bytes in int8 / bytes of state"
        ax.set(xlabel=xlabel, ylabel=f"{task['score']}, %")
        figure.legend(ncols=2, loc="outside upper right", fontsize=8)

    return chart(f"{name}: FastGRNN by {SWEEPS[of]}; dots are seeds", draw, height=2.8)


def _by_model(caption, task, xlabel, show):
    """A chart with a line for each model of which something was seen.

    `show(ax, y, seen)` draws the line; what it labels is explained.
    """
    seen = sorted((m for m in task["models"].values() if "seen" in m), key=_order)

    def draw(figure):
        ax = figure.subplots()
        for y, model in enumerate(seen):
            show(ax, y, model["seen"])
        ax.set_yticks(range(len(seen)), map(_short, seen), fontsize=8)
        ax.set(xlabel=xlabel, ylim=(len(seen) - 0.4, -0.6))
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        if handles:
            figure.legend(handles.values(), handles, ncols=4, loc="outside upper right", fontsize=8)

    return chart(caption, draw, height=0.9 + 0.19 * len(seen))


def _short(model):
    ranks = model["kernel_rank"], model["recurrent_rank"]
    parts = [f"{model['units']}" if model["kind"] == "FastGRNN" else f"FastRNN {model['units']}"]
    parts += ["/".join(str(rank or "full") for rank in ranks)] if any(ranks) else []
    parts += [f"{model['sparsity']:.0%}"] if model["sparsity"] else []
    return ", ".join(parts)


def _errors(name, task):
    def show(ax, y, seen):
        # By place: Keras numbers the names of layers on from seed to seed.
        layers = zip(*(s["error"].values() for s in seen), strict=True)
        named = zip(("recurrent layer", "logits"), (BLUE, ORANGE), layers, strict=True)
        for i, (layer, color, errors) in enumerate(named):
            mean = 100 * sum(errors) / len(errors)
            ax.barh(y + 0.4 * i - 0.2, mean, 0.35, color=color, label=layer)

    caption = f"{name}: rms error of int8 by layer, mean of the seeds"
    return _by_model(caption, task, "% of the float values' rms", show)


def _scalars(name, task):
    def show(ax, y, seen):
        for scalar, color in SCALARS.items():
            if values := [s["scalars"][scalar] for s in seen if scalar in s["scalars"]]:
                dots = {"color": color, "markersize": 4, "markeredgewidth": 0, "alpha": 0.7}
                ax.plot(values, [y] * len(values), "o", label=scalar, **dots)

    caption = f"{name}: the learnt scalars, as the cell uses them; dots are seeds"
    return _by_model(caption, task, "value", show)


def _states(name, task):
    def show(ax, y, seen):
        for i, s in enumerate(seen):
            at = y + 0.6 * ((i + 0.5) / len(seen) - 0.5)
            ax.plot(s["state"], [at, at], color=BLUE, linewidth=1)

    return _by_model(f"{name}: range of the state; lines are seeds", task, "state", show)


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
        f"{paper_models.QAT_LEARNING_RATE}, on the logits of the float model.</p>\n"
    )
    trainings = {name: task["training"] for name, task in report["tasks"].items()}
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
