"""From a sensor's integers to a model's, in integer arithmetic: the specification.

The normalisation of a feature and the scale of the model's input become one multiplier and one
offset. The C of c_source() computes the bytes that this module computes.
"""

import dataclasses
import math

import numpy as np

from keras_fastgrnn.export.cell.reference import round_shift

SENSORS = ("int16", "int32")

# By the type of the model's input: the bits of a multiplier, the largest shift, and the largest
# value that matters, in steps of the output. Beyond it a value is saturated whatever is added; and
# where a step of the sensor is more than twice as large, at most one of its integers is not.
#
# int8: |multiplier| <= 2^14, and a step of the output is at most 2^21, so no sum leaves int32 (see
# `_feature()`). int16, in int64: |multiplier| <= 2^24, |x| <= 2^31 and a step of the output is at
# most 2^40, so no sum leaves 2^59.
_BITS = {"int8": (14, 21, 256), "int16": (24, 40, 1 << 16)}


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """A sensor's integers -> the model's: `(x * multiplier + offset) / 2**shift`, rounded half up
    and saturated.

    For int8, an int32 x first becomes an int16: `(x - low) >> narrow`, less 32768, saturated.
    Values that saturate here saturate in the int8 too.

    Attributes:
        dtype: `"int16"` or `"int32"`, the type of the sensor's integers.
        output: `"int8"` or `"int16"`, the type of the model's integers.
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
    """The user's arguments for a sensor -> `(factor, offset)`, floats `(features,)`.

    Args:
        features: integer, the number of features.
        unit: the real value of 1 in the sensor's integers, one number or one for each feature.
        mean, std: of a normalisation of the real value, likewise; 0 and 1 if `None`.

    Raises:
        ValueError: if an argument is not such a number.
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
    # Beyond 1e60, a quotient or its multiple might not be finite.
    if not (np.abs(array) < 1e60).all():
        raise ValueError(f"{name}={value!r} is not supported: give numbers below 1e60.")
    return array


def choose_quantizer(dtype, factor, offset, affine):
    """The `Quantizer` of a model whose real inputs are `x * factor + offset`.

    Its outputs differ by at most one step from those of TFLite's MUL, ADD and QUANTIZE in float32.
    Both round the exact value with an error; while the errors sum to less than a step, the rounded
    values differ by one at most. The errors, in steps:

    - the multiplier's: 2^-14 of the distance from `center`, at most 129 steps and half a step of
      the sensor, 256: 0.024. Where the shift is limited, 2^-22 for each of at most 2^16 steps of
      the sensor: 0.016.
    - the offset's: 2^-5 at the least shift, 4.
    - the dropped bits of an int32: half of at most 2^-6.
    - four roundings in float32: 2^-24 each of twice the offset in steps, 0.5 up to 2^20 steps.

    In int16 only the last one counts.

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
    features = [_feature(dtype, affine.dtype, *pair) for pair in pairs]
    return Quantizer(dtype, affine.dtype, *map(list, zip(*features, strict=True)))


def _feature(dtype, output, factor, offset):
    """`(low, narrow, multiplier, offset, shift)` of one feature: output = x * factor + offset.

    For int8, |multiplier (x - center)| <= 2^14 (2^16 - 1), and the value at the center, with the
    half of the rounding, is at most 2^8 2^21 + 2^20: the sum is below 2^31. The offset at x = 0 is
    at most 2^29 + 2^14 2^15.
    """
    low, narrow = 0, 0
    bits, max_shift, most = _BITS[output]
    if dtype == "int32" and output == "int8":
        low, narrow = _narrow(factor, offset)
        offset += factor * (low + 32768 * 2.0**narrow + (2.0**narrow - 1) / 2)
        factor *= 2.0**narrow
        dtype = "int16"
    limits = np.iinfo(dtype)
    # The middle of the output, where the error of the multiplier does not count.
    center = _saturate(-offset / factor if factor else 0, limits.min, limits.max)
    value = min(max(factor * center + offset, -most), most)
    factor = min(max(factor, -2 * most), 2 * most)
    shift = min(bits - math.frexp(factor)[1], max_shift)
    multiplier = round(factor * 2**shift)
    return low, narrow, multiplier, round(value * 2**shift) - multiplier * center, shift


def _narrow(factor, offset):
    """`(low, narrow)`, which take from an int32 the 16 bits around the middle of the int8. A step
    of these is 2^-7 to 2^-6 of a step of the int8, or the sensor's own step if that is coarser."""
    narrow = min(max(-6 - math.frexp(factor)[1], 0), 16) if factor else 16
    least = -(2**31)
    if narrow == 16:  # keeps the whole range
        return least, narrow
    middle = _saturate(-offset / factor, least, 2**31 - 1)
    return max(middle - (32768 << narrow), least), narrow


def _saturate(value, low, high):
    return round(min(max(value, low), high))
