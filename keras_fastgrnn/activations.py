"""Piecewise-linear nonlinearities, and gradients of activations from their outputs."""

import tensorflow as tf

from keras_fastgrnn.compat import keras


@keras.saving.register_keras_serializable(package="keras_fastgrnn")
def quant_tanh(x):
    """Piecewise-linear tanh: `clip(x, -1, 1)`.

    Train with it in place of tanh (arXiv 1901.02358, section 3.3; EdgeML's `quantTanh`): integer
    hardware then needs no table.

    Args:
        x: float tensor.

    Returns:
        A tensor like `x`.
    """
    return tf.clip_by_value(x, -1.0, 1.0)


@keras.saving.register_keras_serializable(package="keras_fastgrnn")
def quant_sigmoid(x):
    """Piecewise-linear sigmoid: `clip((x + 1) / 2, 0, 1)`.

    Train with it in place of sigmoid (arXiv 1901.02358, section 3.3; EdgeML's `quantSigm`). At 0
    it is twice as steep as sigmoid.

    Args:
        x: float tensor.

    Returns:
        A tensor like `x`.
    """
    return tf.clip_by_value((x + 1.0) / 2.0, 0.0, 1.0)


# Gradients of the elementwise activations, from the output y and the upstream gradient dy. Other
# activations, as softmax, have no such gradient.
GRADIENTS = {
    keras.activations.linear: lambda y, dy: dy,
    keras.activations.relu: lambda y, dy: tf.raw_ops.ReluGrad(features=y, gradients=dy),
    keras.activations.sigmoid: lambda y, dy: tf.raw_ops.SigmoidGrad(y=y, dy=dy),
    keras.activations.tanh: lambda y, dy: tf.raw_ops.TanhGrad(y=y, dy=dy),
    quant_sigmoid: lambda y, dy: tf.where((y > 0) & (y < 1), dy / 2, 0),
    quant_tanh: lambda y, dy: tf.where(tf.abs(y) < 1, dy, 0),
}


def get(identifier):
    """`keras.activations.get`, with `"quant_tanh"` and `"quant_sigmoid"`."""
    ours = {"quant_tanh": quant_tanh, "quant_sigmoid": quant_sigmoid}
    if isinstance(identifier, str) and identifier in ours:
        return ours[identifier]
    return keras.activations.get(identifier)
