"""From the results of each fold to the figures of wake_word.json."""

import numpy as np

from benchmarks.paper.scores import size_ratios, tested
from benchmarks.paper.tasks import TASKS
from benchmarks.targets import TARGETS
from benchmarks.wake_word.models import FOLDS, LARGEST, RNNS
from examples.common import keyword_evaluation
from examples.common.detection import total

# The settings were chosen on the speakers for validation of folds 0 and 2, who test folds 1 and 3.
# The speakers who test these folds chose nothing:
UNSEEN = 0, 2, 4
# The rows of the tables: a model, and its form.
ROWS = {
    "FastGRNN, float": ("FastGRNN", "float"),
    "FastGRNN, int8 in TFLM": ("FastGRNN", "int8"),
    "FastGRNN, int8, trained on clips": ("FastGRNN, trained on clips", "int8"),
    "GRU, 32 units, float": ("GRU, 32 units", "float"),
}


def figures(detectors, spotters, sizes):
    """All figures of wake_word.json but for the chips.

    Args:
        detectors: dict from name to the results of its folds, by `models.detect()`.
        spotters: dict from name to the results of its seeds, by `models.spot()`; seed i is of fold
            `i % FOLDS`.
        sizes: dict from name to `models.float_bytes()`, of all spotters but FastGRNN.
    """
    return (
        of_detectors(detectors)
        | of_spotters(spotters)
        | {
            "detectors": {row: pooled(detectors[name], form) for row, (name, form) in ROWS.items()},
            "spotter": as_task(spotters, sizes),
        }
    )


def of_detectors(detectors):
    ours, gru, alone = detectors.values()
    f1, gru_f1 = pooled_f1(ours, "int8"), pooled_f1(gru, "float")
    found = total_found(ours, "int8")
    return {
        "wakeword_bytes": max(sum(c["constants"].values()) for c in ours),
        "wakeword_f1": f1,
        "wakeword_f1_interval": interval(ours, "int8"),
        "wakeword_f1_float": pooled_f1(ours, "float"),
        "gru_f1": gru_f1,
        "wakeword_f1_less_than_gru": gru_f1 - f1,
        "wakeword_f1_unseen": pooled_f1([ours[fold] for fold in UNSEEN], "int8"),
        "gru_f1_unseen": pooled_f1([gru[fold] for fold in UNSEEN], "float"),
        "streaming_trained_f1": found.f1,
        "gru_streaming_f1": total_found(gru, "float").f1,
        "clip_trained_f1": total_found(alone, "int8").f1,
        "negative_hours": found.negative_hours,
    }


def of_spotters(spotters):
    kws12, best_rnn = beside_best_rnn(spotters)
    kws12_unseen, best_rnn_unseen = beside_best_rnn(spotters, UNSEEN)
    kws12_float = mean(spotters["FastGRNN"], "float")
    return {
        "kws12_bytes": max(sum(c["constants"].values()) for c in spotters["FastGRNN"]),
        "kws12_accuracy": kws12,
        "kws12_accuracy_float": kws12_float,
        "best_rnn_accuracy": best_rnn,
        "kws12_less_than_best_rnn": best_rnn - kws12,
        "kws12_accuracy_unseen": kws12_unseen,
        "best_rnn_accuracy_unseen": best_rnn_unseen,
        "kws12_int8_loss": kws12_float - kws12,
    }


def mean(results, key):
    return np.mean([result[key] for result in results])


def beside_best_rnn(spotters, folds=range(FOLDS)):
    """The accuracy of the spotter in int8, and of the better of `LARGEST` in float."""
    ours, *others = (
        [result for fold in folds for result in spotters[name][fold::FOLDS]]
        for name in ("FastGRNN", *LARGEST)
    )
    return mean(ours, "int8"), max(mean(results, "float") for results in others)


def pooled(results, form):
    """A row of the tables, over all folds."""
    curves = zip(*(result[form]["curve"] for result in results), strict=True)
    return {
        "f1": pooled_f1(results, form),
        "interval": interval(results, form),
        "folds": [pooled_f1([result], form) for result in results],
        "found": total_found(results, form),
        "curve": [total(counts) for counts in curves],
    }


def total_found(results, form):
    """`Counts` at the chosen thresholds."""
    return total(result[form]["found"] for result in results)


def pooled_f1(results, form):
    """F1 over the clips of all folds."""
    return keyword_evaluation.f1(*_said_and_heard(results, form))


def interval(results, form, draws=1000):
    """The 95 % interval of `pooled_f1()`, by bootstrap over speakers."""
    said, heard = _said_and_heard(results, form)
    _, person = np.unique(np.concatenate([r["speaker"] for r in results]), return_inverse=True)
    of_person = [np.flatnonzero(person == i) for i in range(person.max() + 1)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        i = np.concatenate([of_person[p] for p in rng.integers(0, len(of_person), len(of_person))])
        drawn.append(keyword_evaluation.f1(said[i], heard[i]))
    return np.percentile(drawn, [2.5, 97.5]).tolist()


def _said_and_heard(results, form):
    said, heard = [r["said"] for r in results], [r[form]["heard"] for r in results]
    return np.concatenate(said), np.concatenate(heard)


def as_task(spotters, sizes):
    """The spotters in the form of a task of paper.json, with the size ratios of FastGRNN."""

    def form(name, way, size):
        return tested([{"test": r[way], "bytes": size(r)} for r in spotters[name]])

    def our_bytes(result):
        return {"constants": sum(result["constants"].values()), "tflite": result["tflite"]}

    ours = form("FastGRNN", "int8", our_bytes)
    # The float FastGRNN is compared by its score alone.
    forms = {"float": form("FastGRNN", "float", lambda _: {}), "int8": ours}
    models = {"FastGRNN": {"kind": "FastGRNN", "forms": forms}} | {
        name: {
            "kind": kind.__name__,
            "units": units,
            "forms": {"float": form(name, "float", lambda _, name=name: sizes[name])},
        }
        for name, (kind, units) in RNNS.items()
    }
    _, limit = TARGETS["wake_word.json"]["kws12_bytes"]
    budget = {"limit": limit, "model": "FastGRNN", "form": "int8"} | size_ratios(models, ours)
    return {
        "score": "accuracy",
        "folds": FOLDS,
        "published": [published._asdict() for published in TASKS["Keywords-12"].published],
        "models": models,
        "equal": LARGEST,
        "budgets": {"kws12": budget},
    }
