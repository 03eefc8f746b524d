"""From the results of each training to the figures of wake_word.json."""

import numpy as np

from benchmarks.wake_word.models import FOLDS, GRU, OURS
from examples.common.detection import Counts

# The rows of the tables: a model, and its form.
ROWS = {
    "FastGRNN, float": (OURS, "float"),
    "FastGRNN, int8 in TFLM": (OURS, "int8"),
    "GRU, 32 units, float": (GRU, "float"),
}


def figures(detectors, words, small):
    """All figures of wake_word.json but for the chips.

    Args:
        detectors: dict from name to the results of its seeds, by `models.detect()`.
        words: dict from word to a result of it.
        small: dict from whether the archive's other words train too, to the results of the draws,
            by `models.small()`.
    """
    rows = {
        row: over_seeds([cell[form] for cell in detectors[name]])
        for row, (name, form) in ROWS.items()
    }
    ours, gru = rows["FastGRNN, int8 in TFLM"], rows["GRU, 32 units, float"]
    f1s = {word: cell["int8"]["f1"] for word, cell in words.items()}
    f1s["yes"] = ours["f1"]
    others = ours["others"]
    return {
        "wakeword_bytes": max(sum(cell["constants"].values()) for cell in detectors[OURS]),
        "wakeword_f1": ours["f1"],
        "wakeword_f1_interval": ours["f1_interval"],
        "gru_f1": gru["f1"],
        "wakeword_f1_less_than_gru": gru["f1"] - ours["f1"],
        "wakeword_missed_at_10": ours["missed"],
        "wakeword_missed_at_10_interval": ours["missed_interval"],
        "gru_missed_at_10": gru["missed"],
        "wakeword_other_corpus_alarms": per_hour(others.values()),
        "wakeword_words_worst": min(f1s.values()),
        "wakeword_words_mean": mean(f1s.values()),
        "wakeword_small_f1": mean(cell["f1"] for cell in small[True]),
        "wakeword_small_f1_alone": mean(cell["f1"] for cell in small[False]),
        "negative_hours": ours["found"].negative_hours,
        "folds": FOLDS,
        "models": rows,
        "words": f1s,
        "small": {
            name: [{key: cell[key] for key in ("f1", "missed", "clips")} for cell in small[others]]
            for name, others in (("alone", False), ("with others", True))
        },
    }


def over_seeds(cells):
    """A row of the tables: the means of the seeds. The intervals are of the means, for draws of
    speakers that all seeds share."""
    found, *curve = (
        Counts(*np.mean(counts, axis=0).tolist())
        for counts in zip(*([cell["found"], *cell["curve"]] for cell in cells), strict=True)
    )
    return {
        "f1": mean(cell["f1"] for cell in cells),
        "f1_interval": interval([cell["f1_drawn"] for cell in cells]),
        "seeds": [cell["f1"] for cell in cells],
        "missed": mean(cell["missed"] for cell in cells),
        "missed_interval": interval([cell["missed_drawn"] for cell in cells]),
        "missed_seeds": [cell["missed"] for cell in cells],
        "found": found,
        "curve": curve,
        "others": {
            language: {
                key: mean(cell["others"][language][key] for cell in cells)
                for key in ("alarms", "minutes")
            }
            for language in cells[0]["others"]
        },
    }


def mean(values):
    return float(np.mean(list(values)))


def interval(drawn):
    """95 % of the draws of the mean of all seeds."""
    return np.percentile(np.mean(drawn, axis=0), [2.5, 97.5]).tolist()


def per_hour(corpora):
    return 60 * sum(of["alarms"] for of in corpora) / sum(of["minutes"] for of in corpora)
