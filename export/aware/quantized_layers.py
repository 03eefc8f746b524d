"""The integer model as Keras layers, for training.

The forward pass computes the integers of `export/cell/reference.py`, held in float64 so that every
sum is exact. The backward pass skips each rounding and gives saturated values no gradient, as a
clip does ("straight through": Bengio et al., arXiv 1308.3432; Jacob et al., arXiv 1712.05877).
"""

import contextlib
import contextvars
import dataclasses
import functools

import numpy as np
import tensorflow as tf

from keras_fastgrnn.compat import keras
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.formats import Formats, MatrixFormat
from keras_fastgrnn.fastgrnn import FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNNCell
from keras_fastgrnn.micro.affine import Affine
from keras_fastgrnn.recurrence import recur
from keras_fastgrnn.recurrent import register

# Every activation is constant from this pre-activation on, and from its negative down.
_END = 32769


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


def _round_shift(v, n):
    return _round_half_up(v * 2.0**-n)


def _clip(v, low, high):
    low, high = tf.constant(low, v.dtype), tf.constant(high, v.dtype)
    return tf.raw_ops.ClipByValue(t=v, clip_value_min=low, clip_value_max=high)  # one operation


def _activation_slope(name, fraction_bits, p, y):
    """The derivative of an activation's smooth function: 0 where `y` has saturated."""
    unit = 2.0 ** (12 - fraction_bits)
    s = y / 32768
    match name:
        case "sigmoid":
            return (np.abs(p) <= 8 << fraction_bits) * 8 * unit * s * (1 - s)
        case "tanh":
            return (np.abs(p) <= 4 << fraction_bits) * 8 * unit * (1 + s) * (1 - s)
        case "quant_sigmoid":
            return (np.abs(p) <= 1 << fraction_bits) * 4 * unit
        case "quant_tanh":
            return (np.abs(p) <= 1 << fraction_bits) * 8 * unit


@functools.lru_cache
def _tables(formats):
    """The candidate, the gate, and the candidate's share of a step without its shift, of each
    pre-activation from -_END to _END: pairs of the values and of their derivatives."""
    p = np.arange(-_END, _END + 1)
    c = reference.candidate(formats, p)
    if formats.activation == "relu":
        c_slope = (p >= 0) & (p <= 32767)
    else:
        y = reference.activate(formats.activation, p, formats.fraction_bits)
        c_slope = _activation_slope(formats.activation, formats.fraction_bits, p, y) * (y <= 32767)
    if formats.recurrent_activation is None:
        z, z_slope = np.full(len(p), formats.beta), np.zeros(len(p))
    else:
        z = reference.gate(formats, p)
        if formats.recurrent_activation == "relu":
            bits = formats.fraction_bits + formats.gate_shift
            z_slope = ((p >= 0) & (p <= 1 << bits)) * 2.0 ** (15 - bits)
        else:
            z_slope = _activation_slope(formats.recurrent_activation, formats.fraction_bits, p, z)
    m = formats.zeta * ((32768 >> formats.gate_shift) - z) + formats.nu
    share = np.floor(m / 65536 + 0.5) * 2.0**-formats.mix_shift
    share_slope = -formats.zeta / 65536 * 2.0**-formats.mix_shift * z_slope
    pairs = (c, c_slope), (z, z_slope), (share, share_slope)
    return [tuple(np.asarray(v, np.float64) for v in pair) for pair in pairs]


def _look_up(tables, a):
    """The values of tables at pre-activations that count from -_END."""
    index = tf.cast(_clip(a, 0, 2 * _END), tf.int32)

    @tf.custom_gradient
    def look_up(a):
        def gradient(*ds):
            slopes = [tf.gather(tf.constant(slopes), index) for _, slopes in tables]
            return tf.add_n([d * slope for d, slope in zip(ds, slopes, strict=True)])

        return [tf.gather(tf.constant(values), index) for values, _ in tables], gradient

    return look_up(a)


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

    # All steps of `recur()` are float64 rows of integers.
    gradient_at_once = True

    def factors(self, name):
        """The integers of a matrix or of its factors, less the shifts of their sums."""
        return _integer_matrices(super().factors(name), getattr(self.formats, name))

    def recurrent_factors(self):
        return self.factors("recurrent_kernel")

    def project(self, v, factors):
        for i, factor in enumerate(factors):
            if i == 1:
                v = _clip(v, -32768, 32767)
            v = _round_half_up(tf.matmul(v, factor))
        return v

    def project_inputs(self, inputs):
        """Real inputs, as rows -> their share of the pre-activation, which counts from -_END."""
        formats = self.formats
        x = quantize(inputs, formats.input) * formats.input_multiplier
        x = _round_shift(x, formats.input_shift)
        return self.project(x, self.factors("kernel")) + (self._biases()[0] + _END)

    def _biases(self):
        """The biases in the pre-activation's format: the gate's and the candidate's, or one."""
        formats = self.formats
        bias = tf.cast(self.bias_or_zeros(), tf.float64)
        bias = _round(bias * 2.0 ** (formats.fraction_bits - formats.bias_shift))
        return tf.reshape(_clip(bias, -32768, 32767), (-1, self.units)) * 2.0**formats.bias_shift

    def coefficients(self):
        gate, *candidate = tf.unstack(self._biases())
        return [bias - gate for bias in candidate]

    def update(self, a, state, *bias):
        formats = self.formats
        candidate, *gate = _tables(formats)
        (c,) = _look_up([candidate], a + bias[0] if bias else a)
        if formats.recurrent_activation is None:
            z, share = (tf.constant(values[0]) for values, _ in gate)
        else:
            z, share = _look_up(gate, a)
        v = _round_half_up(share * c) + z * state
        return _clip(_round_shift(v, 15 - formats.gate_shift), -32768, 32767), (a,)

    def slopes(self, state, a, *bias):
        bias = [tf.broadcast_to(b, tf.shape(a)) for b in bias]
        with tf.GradientTape() as tape:
            tape.watch((a, state, bias))
            after, _ = self.update(a, state, *bias)
        slope, leak, of_bias = tape.gradient(after, (a, state, bias))  # `after` is elementwise
        return slope, leak, *of_bias

    def output(self, state):
        """int16 state -> the real output, rounded to the steps of its format."""
        formats, affine = self.formats, self.formats.output
        y = _round_shift(
            tf.cast(state, tf.float64) * formats.output_multiplier, formats.output_shift
        )
        return tf.cast(_saturate(y, affine) * affine.scale, self.compute_dtype)

    def call(self, inputs, states, training=False):
        state = states[0] if tf.nest.is_nested(states) else states
        state = tf.cast(state, tf.float64)
        a = self.project_inputs(inputs) + self.project(state, self.recurrent_factors())
        state, _ = self.update(a, state, *self.coefficients())
        output = self.output(state)
        state = tf.cast(state, self.compute_dtype)
        return output, [state] if tf.nest.is_nested(states) else state

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
        v = _clip(_round(tf.cast(v, tf.float64) / scale), -127, 127)
        integers.append(v * 2.0**-shift)
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
        cell = self.cell
        inputs = tf.transpose(sequences, (1, 0, 2))
        timesteps_by_batch = tf.shape(inputs)[:2]
        inputs = cell.project_inputs(tf.reshape(inputs, (-1, inputs.shape[-1])))
        inputs = tf.reshape(inputs, tf.concat([timesteps_by_batch, [cell.units]], 0))
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])
        states = recur(
            cell,
            inputs,
            tf.cast(initial_state[0], tf.float64),
            mask=None,
            state_mask=None,
            return_sequences=self.return_sequences,
            by_hand=bool(training),
        )
        state = states[-1] if self.return_sequences else states
        output = cell.output(state)
        outputs = output[:, None]
        if self.return_sequences:
            outputs = cell.output(tf.transpose(states, (1, 0, 2)))
        return output, outputs, [tf.cast(state, self.compute_dtype)]


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
