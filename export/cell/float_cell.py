"""Keras layer -> float cell: the weights in the form of the equations."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_fastgrnn.activations import quant_sigmoid, quant_tanh
from keras_fastgrnn.compat import keras
from keras_fastgrnn.export.cell.reference import ACTIVATIONS
from keras_fastgrnn.fastgrnn import FastGRNNCell

_ACTIVATION_OF_FUNCTION = {
    keras.activations.tanh: "tanh",
    keras.activations.sigmoid: "sigmoid",
    keras.activations.relu: "relu",
    quant_tanh: "quant_tanh",
    quant_sigmoid: "quant_sigmoid",
}


@dataclasses.dataclass(frozen=True)
class FloatCell:
    """A FastRNN or FastGRNN cell in float64.

    Both have one update, `h' = (zeta (1 - z) + nu) c + z h` (paper, equation 6): in a FastRNN
    (equation 2) the gate is the constant `z = beta`, with `zeta = 0` and `nu = alpha`.

    Attributes:
        kernel: tuple of one array `(features, units)`, or of two, `(features, rank)` and
            `(rank, units)`, applied in that order.
        recurrent_kernel: the same, with `units` in place of `features`.
        bias: array `(2, units)`, gate and candidate; `(1, units)` in a FastRNN.
        activation: name of the candidate's nonlinearity, one of `ACTIVATIONS`.
        recurrent_activation: name of the gate's nonlinearity; `None` in a FastRNN.
        zeta, nu, beta: floats, after their sigmoid. `beta` is 0 in a FastGRNN.
    """

    kernel: tuple
    recurrent_kernel: tuple
    bias: np.ndarray
    activation: str
    recurrent_activation: str | None
    zeta: float
    nu: float
    beta: float

    @property
    def units(self):
        return self.bias.shape[1]

    @property
    def features(self):
        return self.kernel[0].shape[0]


def _activation_name(function, argument, name):
    known = _ACTIVATION_OF_FUNCTION.get(function)
    if known is None:
        raise ValueError(
            f"Layer '{name}': {argument}={function!r} has no integer form. "
            f"Train with one of {', '.join(ACTIVATIONS)}."
        )
    return known


def read_float_cell(cell, name):
    """Reads the weights of a cell.

    Args:
        cell: a built `FastRNNCell` or `FastGRNNCell`.
        name: string, the layer's name, for messages.

    Returns:
        A `FloatCell`.

    Raises:
        ValueError: if a weight is not finite, or an activation has no integer form.
    """

    def array(weight):
        value = np.asarray(tf.convert_to_tensor(weight), np.float64)
        if not np.isfinite(value).all():
            raise ValueError(
                f"Layer '{name}': weight '{weight.name}' holds NaN or infinity. "
                "Train it again from the last good checkpoint."
            )
        return value

    def scalar(weight):
        return float(1 / (1 + np.exp(-array(weight))))

    gated = isinstance(cell, FastGRNNCell)
    shape = (2 if gated else 1, cell.units)
    return FloatCell(
        kernel=tuple(map(array, cell.matrices("kernel").values())),
        recurrent_kernel=tuple(map(array, cell.matrices("recurrent_kernel").values())),
        bias=np.zeros(shape) if cell.bias is None else array(cell.bias).reshape(shape),
        activation=_activation_name(cell.activation, "activation", name),
        recurrent_activation=(
            _activation_name(cell.recurrent_activation, "recurrent_activation", name)
            if gated
            else None
        ),
        zeta=scalar(cell.zeta) if gated else 0.0,
        nu=scalar(cell.nu) if gated else scalar(cell.alpha),
        beta=0.0 if gated else scalar(cell.beta),
    )
