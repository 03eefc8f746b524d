import numpy as np
import pytest

from examples.common.detection import LATE, Counts, count, curve, total
from examples.common.speech_streams import Spoken

SPOKEN = Spoken(
    word=np.array(["yes", "no", "yes"]),
    first=np.array([0, 300, 600]),
    start=np.array([10, 310, 610]),
    end=np.array([50, 350, 650]),
    last=np.array([100, 400, 700]),
)
DETECTOR = {"smoothing": 1, "refractory": 20}


def logits(*frames):
    values = np.zeros(1000)
    values[list(frames)] = 1
    return values


def test_count():
    at = [
        9,
        60,
        320,
        650 + LATE - 1,
        900,
    ]  # too early, found, in another word, just in time, in silence
    counts = count(logits(*at), SPOKEN, "yes", threshold=1, **DETECTOR)
    negative = 1000 - 2 * (40 + LATE)
    assert counts == Counts(keywords=2, found=2, false_accepts=3, negative_frames=negative)
    assert counts.false_reject_rate == 0
    assert counts.false_accepts_per_hour == pytest.approx(3 / (negative / 180_000))
    assert counts.f1 == pytest.approx(2 * 2 / (2 + 5))


def test_a_keyword_is_found_once():
    twice = count(logits(40, 61), SPOKEN, "yes", threshold=1, **DETECTOR)
    assert (twice.found, twice.false_accepts) == (1, 0)


def test_too_late():
    late = count(logits(50 + LATE), SPOKEN, "yes", threshold=1, **DETECTOR)
    assert (late.found, late.false_accepts) == (0, 1)


def test_counts_of_streams_add_up():
    one = count(logits(40), SPOKEN, "yes", threshold=1, **DETECTOR)
    other = count(logits(500), SPOKEN, "yes", threshold=1, **DETECTOR)
    both = total([one, other])
    assert (both.keywords, both.found, both.false_accepts) == (4, 1, 1)
    assert both.negative_frames == 2 * one.negative_frames


def test_curve():
    values = np.linspace(0, 1, 1000)
    counts = curve(values, SPOKEN, "yes", [0.0, 0.66, 2.0], **DETECTOR)
    assert [c.found for c in counts] == [2, 1, 0]
    assert counts[0].false_accepts > counts[1].false_accepts > counts[2].false_accepts == 0


def test_none():
    nothing = count(np.zeros(0), SPOKEN, "up", threshold=1, **DETECTOR)
    assert nothing == Counts(0, 0, 0, 0)
