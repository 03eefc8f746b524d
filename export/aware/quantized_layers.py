"""The integer model as Keras layers, for training.

The forward pass computes the integers of `export/cell/reference.py`, held in float64 so that every
sum is exact. The backward pass skips each rounding and gives saturated values no gradient, as a
clip does ("straight through": Bengio et al., arXiv 1308.3432; Jacob et al., arXiv 1712.05877).
"""

import contextlib
import contextvars
import dataclasses

import numpy as np
import tensorflow as tf

from keras_fastgrnn.compat import keras
from keras_fastgrnn.export.cell.formats import Formats, MatrixFormat
from keras_fastgrnn.export.cell.sigmoid_table import sigmoid_table
from keras_fastgrnn.fastgrnn import FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNNCell
from keras_fastgrnn.micro.affine import Affine
from keras_fastgrnn.recurrence import scan
from keras_fastgrnn.recurrent import register

_SIGMOID = sigmoid_table().astype(np.float64)


@tf.custom_gradient
def _round_half_up(v):
    return tf.floor(v + 0.5), lambda gradient: gradient


@tf.custom_gradient
def _round(v):
    """Rounds to the nearest even, as the exporter rounds weights."""
    return tf.round(v), lambda gradient: gradient


@tf.custom_gradient
def _round_half_away(v):
    return tf.sign(v) * tf.floor(tf.abs(v) + 0.5), lambda gradient: gradient


@tf.custom_gradient
def _sigmoid(x):
    """`reference.sigmoid()`, with the gradient of the smooth function."""
    v = tf.abs(x)
    k = tf.floor(v / 512)
    low, rise = (
        tf.gather(tf.constant(table), tf.cast(k, tf.int32))
        for table in (_SIGMOID[:-1], np.diff(_SIGMOID))
    )
    y = low + tf.floor(rise * (v - 512 * k) / 512 + 0.5)
    y = tf.where(x < 0, 32768 - y, y)
    return y, lambda gradient: gradient * 8 * (y / 32768) * (1 - y / 32768)


def _round_shift(v, n):
    return _round_half_up(v * 2.0**-n)


def _clip(v, low, high):
    return tf.clip_by_value(v, float(low), float(high))


def _activate(name, p, fraction_bits):
    limit = 8 << fraction_bits
    x = _clip(p, -limit, limit) * 2.0 ** (12 - fraction_bits)
    match name:
        case "sigmoid":
            return _sigmoid(x)
        case "tanh":
            return 2 * _sigmoid(_clip(2 * x, -32768, 32768)) - 32768
        case "quant_sigmoid":
            return _clip((x + 4096) * 4, 0, 32768)
        case "quant_tanh":
            return _clip(x * 8, -32768, 32768)


def _gate(formats, p):
    if formats.recurrent_activation == "relu":
        bits = formats.fraction_bits + formats.gate_shift
        return _clip(p, 0, 1 << bits) * 2.0 ** (15 - bits)
    return _activate(formats.recurrent_activation, p, formats.fraction_bits)


def _candidate(formats, p):
    if formats.activation == "relu":
        return _clip(p, 0, 32767)
    return tf.minimum(_activate(formats.activation, p, formats.fraction_bits), 32767.0)


def _project(matrices, v):
    """`v (..., inputs, n)` -> `(..., outputs, n)`."""
    for i, (values, shift) in enumerate(matrices):
        if i == 1:
            v = _clip(v, -32768, 32767)
        v = _round_shift(tf.matmul(values, v), shift)
    return v


def _saturate(v, affine):
    """Cuts integers, less the zero point, off at the ends of their format."""
    ends = np.iinfo(affine.dtype)
    return _clip(v, ends.min - affine.zero_point, ends.max - affine.zero_point)


def quantize(x, affine):
    """`Affine.quantize()`, less the zero point."""
    # TensorFlow may multiply by the inverse of the scale: in float64 that has the same float32.
    x = tf.cast(tf.cast(tf.cast(x, tf.float64) / affine.scale, tf.float32), tf.float64)
    return _saturate(_round_half_away(x), affine)


class _QuantizedCell:
    """A FastRNN or FastGRNN cell that computes the integers of its integer cell.

    The state is the int16 state, in float32. The scalars come from `formats` and are not trained.
    A weight of 0 has no gradient: pruned weights stay pruned.

    Args:
        formats: `Formats`, or the dict that `get_config()` makes of it.
        *args, **kwargs: the arguments of the float cell.
    """

    def __init__(self, *args, formats, **kwargs):
        super().__init__(*args, **kwargs | {"scalars_trainable": False})
        self.formats = _formats(formats) if isinstance(formats, dict) else formats

    def coefficients(self):
        """Returns what is constant over the steps: the integer matrices with their shifts, and the
        biases in the pre-activation's format."""
        formats = self.formats
        bias = tf.cast(self.bias_or_zeros(), tf.float64)
        bias = _round(bias * 2.0 ** (formats.fraction_bits - formats.bias_shift))
        bias = _clip(bias, -32768, 32767) * 2.0**formats.bias_shift
        return (
            _integer_matrices(self.factors("kernel"), formats.kernel),
            _integer_matrices(self.factors("recurrent_kernel"), formats.recurrent_kernel),
            tf.reshape(bias, (-1, self.units, 1)),
        )

    def project_inputs(self, inputs, kernel):
        """Real inputs `(..., features, n)` -> their share of the pre-activation."""
        formats = self.formats
        x = quantize(inputs, formats.input) * formats.input_multiplier
        return _project(kernel, _round_shift(x, formats.input_shift))

    def step(self, inputs, state, recurrent_kernel, bias):
        """Projected inputs and the state, both float64 `(units, n)` -> the next state."""
        formats = self.formats
        p = inputs + _project(recurrent_kernel, state)
        c = _candidate(formats, p + bias[-1])
        if formats.recurrent_activation is None:
            z = tf.constant(formats.beta, tf.float64)
        else:
            z = _gate(formats, p + bias[0])
        m = _round_shift(formats.zeta * ((32768 >> formats.gate_shift) - z) + formats.nu, 16)
        v = _round_shift(m * c, formats.mix_shift) + z * state
        return _clip(_round_shift(v, 15 - formats.gate_shift), -32768, 32767)

    def output(self, state):
        """int16 state -> the real output, rounded to the steps of its format."""
        formats, affine = self.formats, self.formats.output
        y = _round_shift(
            tf.cast(state, tf.float64) * formats.output_multiplier, formats.output_shift
        )
        return tf.cast(_saturate(y, affine) * affine.scale, self.compute_dtype)

    def call(self, inputs, states, training=False):
        state = states[0] if tf.nest.is_nested(states) else states
        kernel, recurrent_kernel, bias = self.coefficients()
        inputs = self.project_inputs(tf.transpose(inputs), kernel)
        state = tf.cast(tf.transpose(state), tf.float64)
        state = self.step(inputs, state, recurrent_kernel, bias)
        state = tf.cast(tf.transpose(state), self.compute_dtype)
        return self.output(state), [state] if tf.nest.is_nested(states) else state

    def get_config(self):
        return {**super().get_config(), "formats": dataclasses.asdict(self.formats)}


def _formats(config):
    config = dict(config)
    for name in ("input", "output"):
        config[name] = Affine(*config[name])
    for name in ("kernel", "recurrent_kernel"):
        config[name] = tuple(MatrixFormat(*matrix) for matrix in config[name])
    return Formats(**config)


def _integer_matrices(values, formats):
    integers = []
    for v, (scale, shift) in zip(values, formats, strict=True):
        v *= tf.cast(tf.stop_gradient(v) != 0, v.dtype)
        v = _clip(_round(tf.cast(tf.transpose(v), tf.float64) / scale), -127, 127)
        integers.append((v, shift))
    return integers


@register
class QuantizedFastRNNCell(_QuantizedCell, FastRNNCell):
    pass


@register
class QuantizedFastGRNNCell(_QuantizedCell, FastGRNNCell):
    pass


@register
class QuantizedRNN(keras.layers.RNN):
    """`keras.layers.RNN` of a quantised cell. Work that needs no state is outside the loop."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if mask is not None or self.unroll:
            return super().inner_loop(sequences, initial_state, mask, training)
        kernel, recurrent_kernel, bias = self.cell.coefficients()
        inputs = self.cell.project_inputs(tf.transpose(sequences, (1, 2, 0)), kernel)
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])

        def step(carry, inputs):
            state = self.cell.step(inputs, *carry, recurrent_kernel, bias)
            return [state], [state] * self.return_sequences

        (state,), arrays = scan(
            step,
            [tf.cast(tf.transpose(initial_state[0]), tf.float64)],
            [inputs],
            timesteps=inputs.shape[0] or tf.shape(inputs)[0],
            outputs=int(self.return_sequences),
        )
        states = arrays[0].stack() if arrays else state[tf.newaxis]
        state = tf.transpose(state)
        outputs = self.cell.output(tf.transpose(states, (2, 0, 1)))
        return self.cell.output(state), outputs, [tf.cast(state, self.compute_dtype)]


_products = contextvars.ContextVar("products", default=None)


@contextlib.contextmanager
def plain_dense():
    """A context in which a `QuantizedDense` is a Dense layer with weights on the int8 grid:
    TensorFlow's converter would make operators of its roundings.

    Yields:
        A list to which each call of a layer adds `(layer, tensor)`, the tensor of `output_format`.
    """
    token = _products.set([])
    try:
        yield _products.get()
    finally:
        _products.reset(token)


@register
class QuantizedDense(keras.layers.Dense):
    """The Dense layer after a recurrent one, as the FULLY_CONNECTED operator computes it.

    A weight is an int8 with the per-channel scale of TensorFlow's converter: the largest weight of
    each unit is 127. An activation other than relu is computed from the rounded sums, in float.

    Args:
        output_format: `Affine` of the sums.
        *args, **kwargs: as in `keras.layers.Dense`.
    """

    def __init__(self, *args, output_format, **kwargs):
        super().__init__(*args, **kwargs)
        self.output_format = Affine(*output_format)

    def call(self, inputs, training=None):
        kernel = tf.cast(tf.convert_to_tensor(self.kernel), tf.float64)
        scale = tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axis=0) / 127)
        scale = tf.where(scale > 0, scale, 1)
        kernel = _round(kernel / scale) * scale

        products = _products.get()
        dtype = tf.float64 if products is None else tf.float32
        y = tf.matmul(tf.cast(inputs, dtype), tf.cast(kernel, dtype))
        if self.bias is not None:
            y += tf.cast(self.bias, dtype)
        fused = self.activation is keras.activations.relu
        if fused:
            y = self.activation(y)
        if products is None:
            affine = self.output_format
            y = _saturate(_round_half_up(y / affine.scale), affine)
            y = tf.cast(y * affine.scale, self.compute_dtype)
        else:
            products.append((self, y))
        return y if fused else self.activation(y)

    def get_config(self):
        return {**super().get_config(), "output_format": self.output_format}
