"""Finds features that integers do not resolve: their values span only a few steps of the scale."""

import dataclasses
import warnings
from typing import NamedTuple

import numpy as np

from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.affine import Affine

# A feature that spans fewer steps costs accuracy. In the task of tests/export/test_resolution.py
# accuracy fell from 0.91 to 0.89 at 4 steps, 0.86 at 2 and 0.69 at 1; in a single trial on USPS,
# with all features so, from 0.88 to 0.87, 0.75 and 0.38. The features of HAPT, USPS and the wake
# word span 36 steps or more.
ENOUGH_STEPS = 4.0
# The fraction of values on either side that are outliers, which do not count for the spread. Among
# few samples at least one is left out, though not more than a tenth of them.
_OUTLIERS, _MOST_OUTLIERS = 0.01, 0.1
# Relative to the largest magnitude: a smaller spread is float32's rounding of a constant feature.
_CONSTANT = 2.0**-20
# A class that is never likely is no fault here: all outputs share the scale of probabilities.
_PROBABILITIES = ("SOFTMAX", "LOGISTIC")
_NAMED, _SHOWN = 5, 12  # features in one message, and of an input in a report
_MOST_ROWS = 1 << 20  # for quantiles, which sort the values


class Feature(NamedTuple):
    """The values of one feature of a tensor, along its last axis.

    Attributes:
        number: int.
        low, high: floats, the smallest and the largest value.
        steps: float, the spread of the values without outliers, in steps of the tensor's scale.
        resolved: whether that resolves the values, or they are constant.
    """

    number: int
    low: float
    high: float
    steps: float
    resolved: bool


def features(values, scale):
    """Returns a `Feature` for each index of the last axis of float `values (n, ...)`."""
    n, width = len(values), values.shape[-1] if values.ndim > 1 else 1
    values = values.reshape(-1, width)
    outliers = min(max(_OUTLIERS, 1 / n), _MOST_OUTLIERS)
    some = values[:: len(values) // _MOST_ROWS + 1]
    ends = np.quantile(some, [outliers, 1 - outliers], axis=0, method="nearest")
    spread = np.subtract(*ends[::-1], dtype=np.float64)
    constant = spread <= _CONSTANT * np.abs(ends).max(axis=0)
    steps = spread / scale
    columns = values.min(axis=0), values.max(axis=0), steps, constant | (steps >= ENOUGH_STEPS)
    return [
        Feature(i, *row) for i, row in enumerate(zip(*(c.tolist() for c in columns), strict=True))
    ]


@dataclasses.dataclass(frozen=True)
class Place:
    """A tensor of float values that the file rounds to integers.

    Attributes:
        name: string, for messages.
        values: float array `(n, ...)`, on the calibration set.
        affine: `Affine` of the integers.
        remedy: string, what to do if the scale is too coarse.
    """

    name: str
    values: np.ndarray
    affine: Affine
    remedy: str

    @property
    def features(self):
        return features(self.values, self.affine.scale)


def input_places(conversion):
    """Returns the `Place` of each input that is rounded to integers."""
    remedy = (
        "Normalise each feature before the model, not in it, and clip outliers from the samples "
        "(docs/quantize.md)."
    )
    ends = zip(conversion.names[0], conversion.rounded_inputs, conversion.rest.inputs, strict=True)
    return [Place(f"Input '{name}'", x, at, remedy) for name, x, at in ends if at is not None]


def places(conversion):
    """Yields each `Place` at which a model is judged: its inputs, the inputs of its recurrent
    layers, and its outputs."""
    model, (_, names) = conversion.rest.model, conversion.names
    (graph,), n = model.subgraphs, len(names)
    yield from input_places(conversion)

    seen = set(graph.inputs)
    for operator, index in zip(conversion.operators, graph.outputs[n:], strict=True):
        if index not in seen:
            name = f"The input of layer '{operator.recurrent.name}'"
            remedy = "Put a BatchNormalization before it, and clip outliers from the samples."
            yield Place(name, operator.x, operator.formats.input, remedy)
        seen.add(index)

    for operator in graph.operators:
        if flatbuffer.operator_name(model, operator) in _PROBABILITIES:
            seen.update(operator.outputs)
    ends = zip(names, graph.outputs[:n], conversion.outputs, conversion.rest.outputs, strict=True)
    for name, index, y, affine in ends:
        if index not in seen and y.dtype == np.float32:
            remedy = "Train it on targets of about the same range, or give it an output of its own."
            yield Place(f"Output '{name}'", y, affine, remedy)


def worst_features(place):
    """Returns `(heading, list of Feature)` of an input; of many, those with the fewest steps."""
    features = place.features
    if len(features) <= _SHOWN:
        return f"{place.name}: its features", features
    worst = sorted(features, key=lambda feature: (feature.resolved, feature.steps))[:_SHOWN]
    return f"{place.name}: the {_SHOWN} of its {len(features)} features with fewest steps", worst


def unresolved(conversion):
    """Yields a message for each `Place` with features that its integers do not resolve."""
    for place in places(conversion):
        coarse = [feature for feature in place.features if not feature.resolved]
        if coarse:
            coarse.sort(key=lambda feature: feature.steps)
            spreads = [f"{f.steps:.2g} steps in feature {f.number}" for f in coarse[:_NAMED]]
            if len(coarse) > _NAMED:
                spreads.append(f"and as few in {len(coarse) - _NAMED} more")
            dtype, scale = place.affine.dtype, place.affine.scale
            finer = " Or convert with activations='int16'." if dtype == "int8" else ""
            yield (
                f"{place.name}: one step of its {dtype} is {scale:.3g}, and nearly all values lie "
                f"within {', '.join(spreads)}. Below {ENOUGH_STEPS:g} steps {dtype} hardly tells "
                f"values apart. {place.remedy}{finer}"
            )


def warn(message):
    """Warns without a line of the package's code, which would not help. Warns each time, because
    conversions differ."""
    name = "keras_fastgrnn.export"
    warnings.warn_explicit(message, UserWarning, filename=name, lineno=0, module=name)
