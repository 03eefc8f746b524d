"""The charts of the page of paper.json: each is HTML."""

import re

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from keras_fastgrnn.export.report.html_page import BLUE, INK, ORANGE, chart

COLORS = {
    **{"FastGRNN": BLUE, "FastRNN": "#1f9e89", "GRU": ORANGE},
    **{"LSTM": "#b5488f", "SimpleRNN": "#8b949e"},
}
MARKERS = {"float": "o", "int8": "s", "int8, QAT": "D"}
SWEEPS = {"units": "units", "recurrent_rank": "rank of U", "sparsity": "% zero"}


def order(model):
    return [model[key] for key in ("kind", "units", "kernel_rank", "recurrent_rank", "sparsity")]


def by_bytes(name, task):
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


def by_stage(name, task):
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


def sweep(name, task, of):
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
