import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from examples.common import detector
from examples.common.detection import (
    LATE,
    Counts,
    by_clip,
    curve,
    detections,
    missed_at,
    running_mean,
    total,
)
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


def count(*frames):
    (counts,) = curve(logits(*frames), SPOKEN, "yes", [1], **DETECTOR)
    return counts


@hypothesis.given(
    values=st.lists(st.integers(-128, 127), max_size=200),
    threshold=st.integers(-100, 100),
    smoothing=st.integers(1, 20),
    refractory=st.integers(0, 40),
)
def test_detections_are_those_of_the_detector(values, threshold, smoothing, refractory):
    values = np.array(values, np.int8)
    arguments = {"threshold": threshold, "smoothing": smoothing, "refractory": refractory}
    hypothesis.assume(len(values) >= smoothing)
    at = detections(running_mean(values, smoothing), threshold, refractory) + smoothing - 1
    np.testing.assert_array_equal(at, detector.detections(values, **arguments))


def test_count():
    # Too early, found, in another word, just in time, in silence.
    counts = count(9, 60, 320, 650 + LATE - 1, 900)
    negative = 1000 - 2 * (40 + LATE)
    assert counts == Counts(keywords=2, found=2, false_accepts=3, negative_frames=negative)
    assert counts.false_reject_rate == 0
    assert counts.false_accepts_per_hour == pytest.approx(3 / (negative / 180_000))
    assert counts.f1 == pytest.approx(2 * 2 / (2 + 5))


def test_a_keyword_is_found_once():
    assert count(40, 61)[1:3] == (1, 0)


def test_too_late():
    assert count(50 + LATE)[1:3] == (0, 1)


def test_by_clip():
    """A false alarm belongs to the clip that began last."""
    (counts,) = by_clip(logits(9, 60, 320, 355, 599, 900), SPOKEN, "yes", [1], **DETECTOR)
    assert [values.tolist() for values in counts[:3]] == [[1, 0, 1], [1, 0, 0], [1, 3, 1]]
    negative = [300 - 40 - LATE, 300, 400 - 40 - LATE]
    assert counts.negative_frames.tolist() == negative


def test_counts_of_streams_add_up():
    one, other = count(40), count(500)
    both = total([one, other])
    assert (both.keywords, both.found, both.false_accepts) == (4, 1, 1)
    assert both.negative_frames == 2 * one.negative_frames


def test_curve():
    values = np.linspace(0, 1, 1000)
    counts = curve(values, SPOKEN, "yes", [0.0, 0.66, 2.0], **DETECTOR)
    assert [c.found for c in counts] == [2, 1, 0]
    assert counts[0].false_accepts > counts[1].false_accepts > counts[2].false_accepts == 0


def test_missed_at():
    hour = 180_000
    counts = [Counts(10, found, alarms, hour) for found, alarms in ((10, 30), (9, 20), (5, 4))]
    assert missed_at(counts, 20) == pytest.approx(0.1)
    assert missed_at(counts, 12) == pytest.approx(0.3)
    assert missed_at(counts, 100) == 0
    assert missed_at(counts, 1) == pytest.approx(0.5)


def test_none():
    (nothing,) = curve(np.zeros(0), SPOKEN, "up", [1], **DETECTOR)
    assert nothing == Counts(0, 0, 0, 0)
