"""The tables and the picture of paper.json."""

import numpy as np
from matplotlib.figure import Figure

from benchmarks.pages.markdown import table

RATIOS = "float32", "int8 LSTM", "GRU file"  # (a), (b) and (c)
COLORS = {"FastGRNN": "C0", "FastRNN": "C2", "GRU": "C1", "LSTM": "C3", "SimpleRNN": "C7"}
MARKERS = {"float": "o", "int8": "s", "int8, QAT": "D"}


def percent(values):
    """Mean and deviation over the seeds; of one seed, its score."""
    spread = f" ± {100 * values['std']:.2f}" if len(values["test"]) > 1 else ""
    return f"{100 * values['mean']:.2f}{spread}"


def with_bytes(values):
    return f"{percent(values)}; {values['bytes']['constants']:,} bytes"


def each_seed(values):
    return " ".join(f"{100 * score:.1f}" for score in values["test"])


def beside_published(task):
    """Rows of published models, then of the model of ours that was chosen for each limit."""
    for published in task["published"]:
        yield [published["who"], f"{published['score']:.2f}", published["size"], "", ""]
    for budget in task["budgets"].values():
        ours = ["ours: none fits", "–", "–"]
        if values := budget.get("final"):
            size = f"{values['bytes']['constants']:,} bytes"
            ours = [f"ours: {budget['model']}, {budget['form']}", percent(values), size]
        yield [*ours, f"{budget['limit']:,} bytes", each_seed(values) if values else ""]


def rows(task, names):
    """Rows of models: the score of each form, the seeds, the bytes, and the limits it serves."""
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


def ratios(budget):
    """Yields a text for each of `RATIOS`; `>` the largest model if none is as good."""
    for against in RATIOS:
        if "size_ratios" not in budget:
            yield "–"
        elif smallest := budget["size_ratios"][against]:
            yield f"{smallest:.1f}"
        else:
            yield f"> {budget['largest_ratios'][against]:.1f}"


def overview(paper):
    """A row for each limit of bytes of each task."""
    lines = []
    for name, task in paper["tasks"].items():
        published = (f"{p['who']}: {p['score']:.2f}; {p['size']}" for p in task["published"])
        first, equal = next(published, "–"), {}
        for model in map(task["models"].get, task["equal"]):
            text = with_bytes(model["forms"]["float"])
            equal[model["kind"]] = f"{model['units']} units: {text}"
        for budget in task["budgets"].values():
            ours = "none fits", "–"
            if "model" in budget:
                beside = task["models"][budget["model"]]["forms"][budget["form"]]
                ours = with_bytes(budget["final"]) if "final" in budget else "–", with_bytes(beside)
            lines.append(
                [
                    f"{name}, {task['score']}, {budget['limit']:,} bytes",
                    *(first, *ours, equal["GRU"], equal["LSTM"], *ratios(budget)),
                ]
            )
    trained = "ours, int8, trained on all but the test", "ours, int8, trained as those beside it"
    columns = "%, at most", "published", *trained, "GRU, float", "LSTM, float", "(a)", "(b)", "(c)"
    return table(list(columns), lines)


def front(paper):
    """The README's row for each task: a model, beside a GRU and an LSTM with the same training.

    The model is the smallest of the chosen ones that is at most a point worse than the best of
    them, in validation."""
    lines = []
    for name, task in paper["tasks"].items():
        chosen = [
            (budget, task["models"][budget["model"]]["forms"][budget["form"]])
            for budget in sorted(task["budgets"].values(), key=lambda budget: budget["limit"])
            if "model" in budget
        ]
        if not chosen:
            continue
        enough = max(form["validation"] for _, form in chosen) - 0.01
        budget, ours = next(pair for pair in chosen if pair[1]["validation"] >= enough)
        equal = [task["models"][model] for model in task["equal"]]
        others = {model["kind"]: with_bytes(model["forms"]["float"]) for model in equal}
        columns = with_bytes(ours), others["GRU"], others["LSTM"], next(ratios(budget))
        lines.append([f"{name}, {task['score']}", *columns])
    header = "%; bytes", "FastGRNN, int8", "GRU, float32", "LSTM, float32", "times smaller"
    return table(list(header), lines)


def task_tables(report):
    """Two tables for each task: published models beside ours; then models of equal size, stages,
    chosen models, and dense models of fewer units."""
    parts = []
    columns = "seeds", "paper's bytes", "constants", ".tflite", "nonzero", "chosen for"
    for name, task in report["tasks"].items():
        score = f"{task['score']}, %"
        chosen = [b["model"] for b in task["budgets"].values() if "model" in b]
        names = dict.fromkeys([*task["equal"], *task["stages"], *chosen, *task["sweeps"]["units"]])
        parts += [
            f"### {name}",
            table(["who", score, "size", "at most", "of each seed"], beside_published(task)),
            table(["model", "form", score, *columns], rows(task, names)),
        ]
    return "\n\n".join(parts)


def picture(report, path):
    """Draws the error of every model over its bytes."""
    tasks = report["tasks"]
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    for axis, (name, task) in zip(axes.flat, tasks.items(), strict=False):
        for model in task["models"].values():
            for form, values in model["forms"].items():
                axis.plot(
                    *(values["bytes"]["constants"], 100 * (1 - values["mean"]), MARKERS[form]),
                    color=COLORS[model["kind"]],
                    fillstyle="full" if form == "float" else "none",
                    label=f"{model['kind']}, {form}",
                )
        for budget in task["budgets"].values():
            axis.axvline(budget["limit"], color="k", linestyle=":", lw=0.8)
        axis.set(title=name, xlabel="bytes of constants", ylabel=f"100 % - {task['score']}, %")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        for scale in axis.xaxis, axis.yaxis:
            scale.set_major_formatter("{x:,.0f}")
    labels = {
        label: line
        for axis in axes.flat
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    axes.flat[-1].legend(labels.values(), labels, loc="center")
    axes.flat[-1].axis("off")
    figure.savefig(path, dpi=110)


def search(results):
    """A row for each variant, from the results of its folds."""
    found = {}
    for key, result in results.items():
        variant = key.rpartition(", fold")[0]
        found.setdefault(variant, []).append(100 * result["validation"])
    rows = [
        [variant, f"{np.mean(values):.2f}", " ".join(f"{value:.1f}" for value in values)]
        for variant, values in found.items()
    ]
    return table(["in validation, %", "mean", "of each fold"], rows)
