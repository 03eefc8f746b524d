"""The normalisation that stands first in a model -> one multiplier and one offset a feature.

An input has one scale for all of its features. A normalisation after the rounding would see every
feature rounded by the step of the widest one, so the file normalises before it rounds: in float32,
or an int16 sensor by one multiplier a feature.
"""

import collections
import itertools
from typing import NamedTuple

import numpy as np

from keras_fastgrnn.compat import graph_nodes, keras
from keras_fastgrnn.export.keras_model import functional

_MAX_RANK = 4  # of the tensors that TFLite Micro's MUL and ADD broadcast
_SENSORS = (np.int8, np.int16, np.int32)  # whose integers TFLite Micro's CAST takes


class Front(NamedTuple):
    """`x * multiplier + offset`: the file's arithmetic on an input before the rounding.

    Attributes:
        multiplier, offset: float32 arrays that broadcast to the last axes of the input; `None` for
            1 and 0.
    """

    multiplier: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __call__(self, x):
        """The float32 arithmetic of TFLite Micro's MUL and ADD."""
        x = x.astype(np.float32)
        x = x if self.multiplier is None else x * self.multiplier
        return x if self.offset is None else x + self.offset

    @property
    def is_per_feature(self):
        """Whether each feature has one multiplier and one offset, whatever its place."""
        return all(values is None or values.ndim == 1 for values in self)


def fronts(model, inputs, *, of_floats):
    """Finds the Normalization, Rescaling and BatchNormalization layers that stand first.

    Args:
        model: `keras.Sequential` or functional `keras.Model`.
        inputs: list of arrays, the samples of each input.
        of_floats: boolean. Whether to find those of float32 inputs as well as of integers.

    Returns:
        `(fronts, layers)`: a `Front` for each input, `None` where there is no such layer, and the
        set of layers that they replace.
    """

    def may_have_one(x):
        return x.ndim <= _MAX_RANK and (x.dtype in _SENSORS or of_floats and x.dtype == np.float32)

    found = [_leading(model, i)[0] if may_have_one(x) else [] for i, x in enumerate(inputs)]
    # A layer that also stands elsewhere has to stay.
    first = collections.Counter(layer for layers in found for layer in layers)
    shared = {layer for layer, uses in _uses(model).items() if uses > first[layer]}
    found = [
        list(itertools.takewhile(lambda layer: layer not in shared, layers)) for layers in found
    ]
    return (
        [_front(layers) if layers else None for layers in found],
        {layer for layers in found for layer in layers},
    )


def _leading(model, i):
    """`(layers, whole)`: the layers that input `i` passes in sequence, each read only by the next,
    and whether the last one writes the model's only output."""
    model = functional(model)
    nodes, layers, tensor = graph_nodes(model), [], id(model.inputs[i])
    outputs = [id(y) for y in model.outputs]
    while tensor not in outputs:
        readers = [node for node in nodes if tensor in node[1]]
        if len(readers) != 1:
            break
        [(layer, read, written)] = readers
        if _is_affine(layer):
            layers.append(layer)
        elif isinstance(layer, keras.Model) and len(read) == 1:
            inner, whole = _leading(layer, 0)
            layers += inner
            if not whole:
                break
        else:
            break
        [tensor] = written
    return layers, outputs == [tensor]


def _uses(model):
    """Counts the calls of each layer, also in nested models."""
    uses = collections.Counter()
    for layer, _, _ in graph_nodes(functional(model)):
        uses += _uses(layer) if isinstance(layer, keras.Model) else {layer: 1}
    return uses


def _is_affine(layer):
    """Whether the layer's multipliers and offsets lie along the last axes."""
    if not isinstance(layer, keras.layers.BatchNormalization):
        return type(layer) in _AFFINE
    last = len(layer.input.shape) - 1
    return type(layer) in _AFFINE and layer.axis in (-1, last, [last])  # a list in tf_keras


def _normalization(layer):
    mean, deviation = (np.asarray(v, np.float64) for v in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(deviation), keras.backend.epsilon())
    return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)


def _rescaling(layer):
    return np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)


def _batch_normalization(layer):
    names = "moving_mean", "moving_variance", "gamma", "beta"
    weights = (getattr(layer, name, None) for name in names)
    mean, variance, gamma, beta = (
        None if w is None else np.asarray(w, np.float64) for w in weights
    )
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + layer.epsilon)
    return scale, (0 if beta is None else beta) - mean * scale


_AFFINE = {
    keras.layers.Normalization: _normalization,
    keras.layers.Rescaling: _rescaling,
    keras.layers.BatchNormalization: _batch_normalization,
}


def _front(layers):
    multiplier, offset = np.ones(1), np.zeros(1)
    for layer in layers:
        scale, shift = _AFFINE[type(layer)](layer)
        multiplier, offset = multiplier * scale, offset * scale + shift
    return Front(_constant(multiplier, 1), _constant(offset, 0))


def _constant(values, neutral):
    """The values as float32, one number if all features share it; `None` if they change nothing."""
    values = values.astype(np.float32)
    if (values == neutral).all():
        return None
    if (values == values.flat[0]).all():
        return values.ravel()[:1]
    return values.reshape(values.shape[np.flatnonzero(np.array(values.shape) > 1)[0] :])
