"""From the integers of a sensor to those that a model reads, in integers: the specification.

The normalisation of a feature and the scale of the model's input become one multiplier and one
offset. The C of c_source() computes the bytes that this module computes.
"""

import dataclasses
import math

import numpy as np

from keras_fastgrnn.export.cell.reference import round_shift

SENSORS = ("int16", "int32")

# Bits of a multiplier, and the largest shift: |multiplier| <= 2^14, and a step of the output is at
# most 2^21, so no sum leaves int32 (see `_feature()`).
_MULTIPLIER_BITS, _MAX_SHIFT = 14, 21
# In steps of the output. Beyond, a value is saturated whatever is added to it; and where a step of
# the sensor is more than the second, at most one of its integers is not saturated.
_MOST, _MOST_FACTOR = 256, 512
# The same for an int16 input, in int64: |multiplier| <= 2^24, |x| <= 2^31 and a step of the output
# is at most 2^40, so no sum leaves 2^59.
_WIDE_MULTIPLIER_BITS, _WIDE_MAX_SHIFT = 24, 40
_WIDE_MOST, _WIDE_MOST_FACTOR = 1 << 16, 1 << 17


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """Integers of a sensor -> those of the model: `(x * multiplier + offset) / 2**shift`, rounded
    half up, and saturated.

    For an int8 an int32 x becomes an int16 before: what is over `low`, without its `narrow` lowest
    bits, less 32768, and saturated. All that it cuts off is saturated in the int8 too.

    Attributes:
        dtype: `"int16"` or `"int32"`, of the sensor.
        output: `"int8"` or `"int16"`, of the model.
        low, narrow, multiplier, offset, shift: lists of integers, one for each feature.
    """

    dtype: str
    output: str
    low: list
    narrow: list
    multiplier: list
    offset: list
    shift: list

    def quantize(self, x):
        """Integers `(..., features)` -> integers of the model."""
        x = np.asarray(x).astype(np.int64)
        if self.dtype == "int32" and self.output == "int8":
            x = np.minimum(np.maximum(x - self.low, 0) >> self.narrow, 65535) - 32768
        sums = x * self.multiplier + self.offset
        limits = np.iinfo(self.output)
        y = np.clip(round_shift(sums, np.array(self.shift)), limits.min, limits.max)
        return y.astype(self.output)


def sensor_affine(features, unit, mean=None, std=None):
    """What a user says about a sensor -> `(factor, offset)`: floats `(features,)`.

    Args:
        features: their number.
        unit: the real value of 1 in the sensor's integers, a number or one for each feature.
        mean, std: of a normalisation of the real value, the same; 0 and 1 if `None`.

    Raises:
        ValueError: if one is no such number.
    """
    unit = _per_feature("unit", unit, features)
    mean = _per_feature("mean", 0.0 if mean is None else mean, features)
    std = _per_feature("std", 1.0 if std is None else std, features)
    if not unit.all():
        raise ValueError(f"unit={unit.tolist()} is not supported: give numbers other than 0.")
    if (std < 1e-60).any():
        raise ValueError(f"std={std.tolist()} is not supported: give numbers above 1e-60.")
    return unit / std, -mean / std


def _per_feature(name, value, features):
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.size not in (1, features):
        raise ValueError(
            f"{name}={value!r} is not supported: give one number, or a list with one for each of "
            f"the {features} features."
        )
    array = np.broadcast_to(array.astype(np.float64).ravel(), features)
    # Beyond, a quotient might not be finite, nor a multiple of it.
    if not (np.abs(array) < 1e60).all():
        raise ValueError(f"{name}={value!r} is not supported: give numbers below 1e60.")
    return array


def choose_quantizer(dtype, factor, offset, affine):
    """The `Quantizer` of a model whose real inputs are `x * factor + offset`.

    It differs by at most one step from what TFLite makes of these: its MUL, ADD and QUANTIZE in
    float32. Each of the two is the exact value with an error, rounded; if the errors are below one
    step together, so is the difference of what is rounded, and integers differ by one at most.

    - Of the multiplier, 2^-14 of the distance from `center`, where it matters at most 129 steps and
      half a step of the sensor, 256: 0.024. Where the shift is limited, 2^-22 for each of at most
      2^16 steps of the sensor: 0.016.
    - Of the offset, 2^-5 at the least shift, 4.
    - Of the bits of an int32 that are left out, half of at most 2^-6.
    - Of four roundings in float32, 2^-24 each of twice the offset in steps: 0.5 up to 2^20 steps.

    In int16 only the last counts.

    Args:
        dtype: one of `SENSORS`.
        factor, offset: floats `(features,)`.
        affine: `Affine` of the model's input.

    Returns:
        `Quantizer`.
    """
    factors = np.asarray(factor, np.float64) / affine.scale
    offsets = np.asarray(offset, np.float64) / affine.scale + affine.zero_point
    pairs = zip(factors.tolist(), offsets.tolist(), strict=True)
    choose = _wide_feature if affine.dtype == "int16" else _feature
    features = [choose(dtype, *pair) for pair in pairs]
    return Quantizer(dtype, affine.dtype, *map(list, zip(*features, strict=True)))


def _feature(dtype, factor, offset):
    """`(low, narrow, multiplier, offset, shift)` of one feature: int8 = x * factor + offset.

    |multiplier (x - center)| <= 2^14 (2^16 - 1), and what is added at the center, with the half of
    the rounding, is at most 2^8 2^21 + 2^20: the sum is below 2^31. The offset at x = 0 is at most
    2^29 + 2^14 2^15.
    """
    low, narrow = 0, 0
    if dtype == "int32":
        low, narrow = _narrow(factor, offset)
        offset += factor * (low + 32768 * 2.0**narrow + (2.0**narrow - 1) / 2)
        factor *= 2.0**narrow
    # The middle of the int8, where the error of the multiplier does not count.
    center = _saturate(-offset / factor if factor else 0, -32768, 32767)
    value = min(max(factor * center + offset, -_MOST), _MOST)
    factor = min(max(factor, -_MOST_FACTOR), _MOST_FACTOR)
    shift = min(_MULTIPLIER_BITS - math.frexp(factor)[1], _MAX_SHIFT)
    multiplier = round(factor * 2**shift)
    return low, narrow, multiplier, round(value * 2**shift) - multiplier * center, shift


def _wide_feature(dtype, factor, offset):
    """As `_feature()`, for an int16 input."""
    limits = np.iinfo(dtype)
    center = _saturate(-offset / factor if factor else 0, limits.min, limits.max)
    value = min(max(factor * center + offset, -_WIDE_MOST), _WIDE_MOST)
    factor = min(max(factor, -_WIDE_MOST_FACTOR), _WIDE_MOST_FACTOR)
    shift = min(_WIDE_MULTIPLIER_BITS - math.frexp(factor)[1], _WIDE_MAX_SHIFT)
    multiplier = round(factor * 2**shift)
    return 0, 0, multiplier, round(value * 2**shift) - multiplier * center, shift


def _narrow(factor, offset):
    """`(low, narrow)`: of an int32 the 16 bits around the middle of the int8, in which a step of
    the sensor is 2^-7 to 2^-6 of the int8's, or what it is without them."""
    narrow = min(max(-6 - math.frexp(factor)[1], 0), 16) if factor else 16
    least = -(2**31)
    if narrow == 16:  # all of it
        return least, narrow
    middle = _saturate(-offset / factor, least, 2**31 - 1)
    return max(middle - (32768 << narrow), least), narrow


def _saturate(value, low, high):
    return round(min(max(value, low), high))
