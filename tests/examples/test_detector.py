import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.common.detector import Detector, detections


@given(
    st.lists(st.integers(-128, 127), max_size=60),
    st.integers(-128, 127),
    st.integers(1, 6),
    st.integers(0, 10),
    st.sampled_from([int, np.int8, np.float32]),
)
def test_detector(logits, threshold, smoothing, refractory, dtype):
    arguments = dict(threshold=dtype(threshold), smoothing=smoothing, refractory=refractory)
    detect = Detector(**arguments)
    found = [t for t, logit in enumerate(np.array(logits, dtype)) if detect(logit)]

    expected = []
    for t in range(smoothing - 1, len(logits)):
        is_over = sum(logits[t - smoothing + 1 : t + 1]) >= threshold * smoothing
        if is_over and (not expected or t > expected[-1] + refractory):
            expected.append(t)
    assert found == expected
    assert detections(np.array(logits, dtype), **arguments).tolist() == expected


def test_the_mean_is_of_the_last_logits():
    detect = Detector(threshold=0, smoothing=3, refractory=0)
    for logit in np.array([-128, 100, 120, 127], np.int8):
        detect(logit)
    assert detect.mean == 347 / 3


def test_nan_is_no_keyword():
    assert len(detections([np.nan] * 9, threshold=-1.0, smoothing=2, refractory=0)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(smoothing=0, refractory=0), "smoothing=0 is not in 1..255"),
        (dict(smoothing=256, refractory=0), "smoothing=256 is not in 1..255"),
        (dict(smoothing=1, refractory=-1), "refractory=-1 is not in 0..65535"),
        (dict(smoothing=1, refractory=65536), "refractory=65536 is not in 0..65535"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Detector(threshold=0, **arguments)
