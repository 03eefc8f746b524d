"""From the measures of each seed to the figures of a model, and from models to a choice."""

import numpy as np

# The comparisons of sizes: kinds of other models, the key of their bytes, the key of ours.
AGAINST = {
    "float32": (("GRU", "LSTM"), "constants", "constants"),
    "int8 LSTM": (("LSTM",), "int8", "constants"),
    "GRU file": (("GRU",), "tflite", "tflite"),
}


def tested(measures):
    """Mean over the seeds, deviation (n - 1), each seed's test, and the most bytes of any."""
    test = [m["test"] for m in measures]
    return {
        "mean": np.mean(test),
        "std": np.std(test, ddof=1) if len(test) > 1 else 0.0,
        "test": test,
        "bytes": {way: max(m["bytes"][way] for m in measures) for way in measures[0]["bytes"]},
    }


def spread(measures):
    """Figures of a form: the mean in validation and on further data, `tested()`, the most nonzero
    weights."""
    means = measures[0].keys() - {"test", "bytes", "nonzero"}
    return {
        **{name: np.mean([m[name] for m in measures]) for name in sorted(means)},
        **tested(measures),
        "nonzero": max(m["nonzero"] for m in measures),
    }


def choose(models, limit, seeds):
    """The int8 FastGRNN with the best mean in validation whose constants fit a limit of bytes.

    Args:
        models: dict from name to figures, as in paper.json.
        limit: integer.
        seeds: integer, the seeds that a model needs to be chosen.

    Returns:
        `(name, form)`, or `None` if none fits.
    """
    fits = [
        (form["validation"], name, form_name)
        for name, model in models.items()
        for form_name, form in model["forms"].items()
        if model["kind"] == "FastGRNN"
        and form_name != "float"
        and form["bytes"]["constants"] <= limit
        and len(form["test"]) == seeds
    ]
    return max(fits)[1:] if fits else None


def size_ratios(models, ours):
    """The sizes of models that are at most half a point worse, over the size of a form of ours.

    Returns:
        `{"size_ratios": smallest, "largest_ratios": largest}`, dicts with the keys of `AGAINST`: a
        GRU or LSTM in float32, by constants; an int8 LSTM, by constants, with the score of float;
        the GRU of TensorFlow's own converter, by whole files. `smallest` has the ratio to the
        smallest such model, `None` if no model is good enough; `largest` to the largest model that
        was trained, good enough or not.
    """
    smallest, largest = {}, {}
    for against, (kinds, way, our_way) in AGAINST.items():
        forms = [model["forms"]["float"] for model in models.values() if model["kind"] in kinds]
        ratios = [(f["bytes"][way] / ours["bytes"][our_way], f["mean"]) for f in forms]
        as_good = (ratio for ratio, mean in ratios if mean >= ours["mean"] - 0.005)
        smallest[against] = min(as_good, default=None)
        largest[against] = max((ratio for ratio, _ in ratios), default=None)
    return {"size_ratios": smallest, "largest_ratios": largest}


def headlines(tasks):
    """The figures of all budgets: of the model trained on all people but those for testing, its
    size ratios, and what int8 loses."""
    figures = {
        "size_ratio_per_task": {
            name: {key: b["size_ratios"] for key, b in task["budgets"].items() if "model" in b}
            for name, task in tasks.items()
        }
    }
    for task in tasks.values():
        for key, budget in task["budgets"].items():
            if "final" in budget:
                form = budget["final"]
                forms = task["models"][budget["model"]]["forms"]
                in_float, in_int8 = forms["float"], forms[budget["form"]]
                score = "f1" if task["score"] == "macro-F1" else "accuracy"
                figures |= {
                    f"{key}_{score}_mean": form["mean"],
                    f"{key}_{score}_std": form["std"],
                    f"{key}_bytes": form["bytes"]["constants"],
                    f"{key}_ratio": budget["size_ratios"]["float32"],
                    f"{key}_int8_loss": in_float["mean"] - in_int8["mean"],
                } | {f"{key}_on_{name}": form[name] for name in task.get("also", ())}
    return figures
