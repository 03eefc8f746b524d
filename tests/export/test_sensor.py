"""A sensor's integers become the model's, within one step of TFLite's rounding of real values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_fastgrnn.export.c_source.sensor import SENSORS, choose_quantizer, sensor_affine
from keras_fastgrnn.micro.affine import Affine


@st.composite
def features(draw, outputs=("int8", "int16")):
    """`(dtype, factor, offset, Affine)` of a sensor with a normalisation."""
    dtype, rng = draw(st.sampled_from(SENSORS)), np.random.default_rng(draw(st.integers(0, 2**32)))
    scale, zero_point = 10 ** rng.uniform(-4, 1), int(rng.integers(-128, 128))
    output = draw(st.sampled_from(outputs))
    if output == "int16":
        scale, zero_point = scale / 256, 0
    affine = Affine(float(np.float32(scale)), zero_point, output)
    factor = 10 ** rng.uniform(-7, 4) * rng.choice([1, 1, -1])
    # The middle of the range, in the sensor's integers: near 0, anywhere, or just outside.
    middle = rng.normal() * np.iinfo(dtype).max * draw(st.sampled_from([0, 1e-4, 0.3, 1.1]))
    return dtype, factor, -middle * factor, affine


def integers(dtype, factor, offset, affine):
    """Every int16; many int32 values, most where the output does not saturate."""
    limits = np.iinfo(dtype)
    if dtype == "int16":
        return np.arange(limits.min, limits.max + 1)
    rng = np.random.default_rng(0)
    around = -offset / factor + rng.normal(0, np.ptp(affine.limits) / abs(factor), 4000)
    x = np.concatenate([around, rng.integers(limits.min, limits.max, 2000), np.arange(-200, 200)])
    x = np.concatenate([x, -offset / factor + np.arange(-200, 200), [limits.min, limits.max]])
    return np.clip(np.round(x), limits.min, limits.max).astype(np.int64)


@given(features())
def test_at_most_one_step_from_float(feature):
    dtype, factor, offset, affine = feature
    x = integers(*feature)
    quantizer = choose_quantizer(dtype, [factor], [offset], affine)
    got = quantizer.quantize(x[:, None])[:, 0].astype(int)
    exact = x * (factor / affine.scale) + offset / affine.scale + affine.zero_point
    ends = np.iinfo(affine.dtype)
    assert np.abs(got - np.clip(np.floor(exact + 0.5), ends.min, ends.max)).max() <= 1
    # The sum of the errors that choose_quantizer() lists, without float32's.
    assert (got <= np.maximum(exact + 0.5, ends.min) + 0.064).all()
    assert (got >= np.minimum(exact - 0.5, ends.max) - 0.064).all()
    if abs(offset / affine.scale) < 2**20:  # beyond, float32 is coarser than a step
        real = x.astype(np.float32) * np.float32(factor) + np.float32(offset)
        assert np.abs(got - affine.quantize(real)).max() <= 1


@given(features(outputs=["int16"]))
def test_no_sum_of_int16_leaves_int64(feature):
    dtype, factor, offset, affine = feature
    quantizer = choose_quantizer(dtype, [factor], [offset], affine)
    assert abs(quantizer.multiplier[0]) <= 2**24 and 0 <= quantizer.shift[0] <= 40
    ends = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    sums = [x * quantizer.multiplier[0] + quantizer.offset[0] for x in ends]
    assert max(map(abs, sums)) < 2**59 and abs(quantizer.offset[0]) < 2**59


@given(features(outputs=["int8"]))
def test_no_sum_leaves_int32(feature):
    dtype, factor, offset, affine = feature
    quantizer = choose_quantizer(dtype, [factor], [offset], affine)
    assert abs(quantizer.multiplier[0]) < 2**15 and abs(quantizer.offset[0]) < 2**31
    assert 4 <= quantizer.shift[0] <= 21 and 0 <= quantizer.narrow[0] <= 16
    ends = np.array([-32768, 32767], np.int64)
    sums = ends * quantizer.multiplier[0] + quantizer.offset[0]
    assert np.abs(sums).max() + (1 << quantizer.shift[0] - 1) < 2**31


@pytest.mark.parametrize("dtype", SENSORS)
@pytest.mark.parametrize("factor", [0.0, 1e-300, 5e-324, -1e-30, 1e30, 1e300])
def test_factors_beyond_reason(dtype, factor):
    """A nearly constant feature has a huge factor, an ignored one a factor near 0."""
    quantizer = choose_quantizer(dtype, [factor], [0.0], Affine(0.5, 3))
    x = np.array([np.iinfo(dtype).min, -1, 0, 1, np.iinfo(dtype).max])
    with np.errstate(over="ignore"):
        expected = np.clip(np.floor(x * (factor / 0.5) + 3.5), -128, 127)
    np.testing.assert_array_equal(quantizer.quantize(x[:, None])[:, 0], expected)


def test_each_feature_has_its_own_multiplier():
    factor, offset = sensor_affine(2, 0.01, mean=[1, 100], std=[0.1, 20])
    quantizer = choose_quantizer("int16", factor, offset, Affine(0.02, 0))
    # 1.5 is 5 standard deviations above the mean, 130 is 1.5.
    np.testing.assert_array_equal(
        quantizer.quantize([[100, 10000], [150, 13000]]), [[0, 0], [127, 75]]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(unit=0), r"unit=\[0.0, 0.0, 0.0\] is not supported: give numbers other than 0"),
        (dict(unit=[1, 2]), r"unit=\[1, 2\] is not supported: .* for each of the 3 features"),
        (dict(unit="0.1"), "unit='0.1' is not supported: give one number"),
        (dict(unit=True), "unit=True is not supported: give one number"),
        (dict(unit=1, mean=float("nan")), "mean=nan is not supported: give numbers below 1e60"),
        (
            dict(unit=1, std=[1, 0, 1]),
            r"std=\[1.0, 0.0, 1.0\] is not supported: give numbers above",
        ),
        (dict(unit=1, std=-1), r"std=\[-1.0, .* is not supported: give numbers above"),
    ],
)
def test_refuses_bad_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        sensor_affine(3, **arguments)
