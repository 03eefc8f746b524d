"""Real numbers as integers with a scale and a zero point, as in .tflite files."""

import math
from typing import NamedTuple

import numpy as np


class Affine(NamedTuple):
    """A format of integers of a NumPy dtype: `real = scale * (integer - zero_point)`.

    `dtype` is `"int8"`, or `"int16"` with a zero point of 0.
    """

    scale: float
    zero_point: int
    dtype: str = "int8"

    @property
    def limits(self):
        """The least and the most real value: float64 `(2,)`."""
        ends = np.iinfo(self.dtype)
        return self.dequantize(np.array([ends.min, ends.max]))

    def quantize(self, x):
        """Real array -> integers, as TFLite's QUANTIZE computes them: the float32 quotient rounded
        to nearest, halves away from zero, and saturated."""
        x = np.asarray(x, np.float32) / np.float32(self.scale)
        x = x.astype(np.float64)  # where + 0.5 is exact
        x = np.trunc(x + np.copysign(0.5, x)) + self.zero_point
        ends = np.iinfo(self.dtype)
        return np.clip(x, ends.min, ends.max).astype(self.dtype)

    def dequantize(self, y):
        """Integers -> float64."""
        return (y.astype(np.float64) - self.zero_point) * self.scale


def choose_affine(low, high, dtype="int8"):
    """Returns the format that covers `low..high` and has an exact zero.

    Raises:
        ValueError: if the range is not finite in float32.
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    # float32, as the .tflite file holds it
    with np.errstate(over="ignore"):
        steps = (high - low) / 255 if dtype == "int8" else max(high, -low) / 32767
        scale = float(np.float32(steps))
    if not math.isfinite(scale):
        raise ValueError(f"Cannot quantise the range {low}..{high}: leave such samples out.")
    if scale < 1e-30:  # all values are zero: any scale will do
        return Affine(1.0, 0, dtype)
    if dtype == "int16":
        return Affine(scale, 0, dtype)
    return Affine(scale, int(np.clip(round(-128 - low / scale), -128, 127)))
