"""The choice of a threshold: the table, the printed probability and the chip agree."""

import numpy as np
import pytest

from examples.common import thresholds
from examples.common.detection import LATE, Counts
from examples.common.detector import detections
from examples.common.keyword_evaluation import DETECTOR
from examples.common.listener import Listener
from examples.common.speech_streams import Spoken
from examples.common.thresholds import Choice, choices, chosen, probability, rows

SCALE, ZERO_POINT = 0.0713, 17


@pytest.fixture(scope="module")
def listener():
    """A listener of a model whose logits have this scale and zero point."""
    listener = object.__new__(Listener)
    listener._scale, listener._zero_point = SCALE, ZERO_POINT
    return listener


@pytest.fixture(scope="module")
def stream():
    """int8 logits `(frames,)` of 100 keywords and 100 other words, and where these are."""
    rng = np.random.default_rng(0)
    logits = rng.integers(-128, -40, 40_000)
    first = np.arange(0, 40_000, 200)
    word = np.tile(["yes", "no"], 100)
    for at, name in zip(first, word, strict=True):
        middle = rng.normal(20 if name == "yes" else -30, 40)
        logits[at + 30 : at + 50] = rng.normal(middle, 10, 20)
    logits = np.clip(logits, -128, 127)
    return logits, Spoken(word, first, first + 20, first + 50, first + 100)


@pytest.fixture(scope="module")
def found(listener, stream):
    logits, spoken = stream
    return choices(listener, np.float32(SCALE) * (logits - ZERO_POINT), spoken, "yes")


def test_choices_are_those_of_the_chip(found, stream):
    """The integers of the C decide the same, though the means are of float32 here."""
    logits, spoken = stream
    said = spoken.word == "yes"
    assert len(found) > 10
    for threshold_q, counts in found:
        at = detections(logits, threshold=threshold_q, **DETECTOR)[:, np.newaxis]
        within = (at >= spoken.start[said]) & (at < spoken.end[said] + LATE)
        assert counts.found == within.any(axis=0).sum()
        assert counts.false_accepts == (~within.any(axis=1)).sum()


def test_each_choice_misses_less_than_those_with_fewer_alarms(found):
    misses = [one.counts.false_reject_rate for one in found]
    alarms = [one.counts.false_accepts for one in found]
    assert (np.diff(misses) < 0).all() and (np.diff(alarms) > 0).all()


def test_printed_probability(listener):
    for threshold_q in range(-127, 128):
        text = probability(listener, threshold_q)
        assert listener.quantize(float(text)) == threshold_q and len(text) < 10


def choice(hits, alarms):
    return Choice(0, Counts(10, hits, alarms, 180_000))  # an hour


def test_chosen():
    some = [choice(2, 1), choice(5, 4), choice(8, 9), choice(9, 30)]
    assert [chosen(some, alarms) for alarms in (0, 1, 4.5, 9, 100)] == [0, 0, 1, 2, 3]


def test_rows(found, listener):
    """A handful of rows, with the chosen one; the others from few alarms to many."""
    for index in 0, len(found) // 3, len(found) - 1:
        alarms = found[index].counts.false_accepts_per_hour
        _, table = rows(found, index, listener, alarms)
        assert len(table) <= thresholds.ROWS
        (marked,) = (row for row in table if row[-1])
        assert marked[0] == probability(listener, found[index].threshold_q)
        counts = [int(row[3]) for row in table]
        assert counts == sorted(counts)
        beyond = [row for row in table[:-1] if float(row[4]) > 10 * alarms + 1]
        assert len(beyond) <= 2
