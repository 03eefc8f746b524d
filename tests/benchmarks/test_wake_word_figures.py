"""What the wake word's benchmark makes of the results of its trainings."""

import numpy as np
import pytest

from benchmarks.pages import wake_word as pages
from benchmarks.wake_word import models
from benchmarks.wake_word.figures import figures
from examples.common.detection import Counts
from examples.common.keyword_evaluation import THRESHOLDS

HOUR = 180_000


def test_a_draw_takes_all_clips_of_a_speaker():
    speaker = np.array(["a", "b", "a", "c", "c", "c"])
    drawn = models.draws(speaker)
    assert len(drawn) == models.DRAWS
    for clips in drawn:
        times = np.bincount(clips, minlength=6)
        assert times[0] == times[2] and times[3] == times[4] == times[5]
        assert times[0] + times[1] + times[3] == 3  # as many people as there are
    assert len({tuple(clips) for clips in drawn}) > 5


def test_thresholds_are_of_all_folds():
    """The stream's is the least with ten false alarms an hour, over all folds together."""

    def fold(alarms):
        curve = [Counts(10, 10, int(alarms * (at < 1.98)), HOUR) for at in THRESHOLDS]
        return {"said": [True, False], "scores": [3.0, 1.0], "curve": curve}

    assert models.chosen([fold(0), fold(20)]) == (2.0, THRESHOLDS[0])
    clip, stream = models.chosen([fold(1), fold(20)])
    assert clip == 2 and stream == pytest.approx(2)


def test_figures():
    def way(f1, missed):
        counts = [100, 90, 12, HOUR]
        return {
            "f1": f1,
            "f1_drawn": [f1 - 0.02, f1, f1 + 0.02],
            "found": counts,
            "missed": missed,
            "missed_drawn": [missed] * 3,
            "curve": [counts],
            "others": {"en": {"alarms": 4, "minutes": 24}, "fr": {"alarms": 1, "minutes": 36}},
        }

    detectors = {
        models.OURS: [
            {"constants": {"weights": 1000}, "float": way(f1, 0.1), "int8": way(f1, 0.12)}
            for f1 in (0.92, 0.96)
        ],
        models.GRU: [{"float": way(0.95, 0.08)}] * 2,
    }
    words = {"yes": detectors[models.OURS][0], "left": {"int8": way(0.9, 0.2)}}
    small = {others: [way(0.8 - 0.2 * others, 0.3) | {"clips": 100}] for others in (False, True)}
    made = figures(detectors, words, small)
    assert made["wakeword_f1"] == pytest.approx(0.94)
    assert made["wakeword_f1_interval"] == pytest.approx([0.921, 0.959])
    assert made["wakeword_f1_less_than_gru"] == pytest.approx(0.01)
    assert made["wakeword_missed_at_10"] == pytest.approx(0.12)
    assert made["wakeword_other_corpus_alarms"] == pytest.approx(5)
    assert (made["wakeword_words_worst"], made["negative_hours"]) == (0.9, 1)
    assert made["words"] == {"yes": pytest.approx(0.94), "left": 0.9}
    assert "| FastGRNN, int8 in TFLM | 0.940 | 0.921 to 0.959 | 0.920 0.960 |" in pages.clips(made)
    assert "| 12.0% | 12.0% to 12.0% | 12.0% 12.0% | 10.0% at 12.0 |" in pages.streams(made)
    assert "| GRU, 32 units, float, fr | 36 | 1.7 |" in pages.others(made)
    assert "| alone | 100 | 0.800 | 30% |" in pages.small(made)
