"""Each layer of keras.layers, and many functions of keras.ops, before a FastGRNN layer: it converts
with a small error, or is refused by name."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tools import TEST_ALL

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.micro import Interpreter

# Random walks of three channels.
X = np.cumsum(np.random.default_rng(0).normal(0, 0.3, (24, 20, 3)), axis=1).astype(np.float32)


def of_two(layer):
    return lambda x: layer([x, 0.5 * x])


def of_one_twice(layer):
    return lambda x: layer(x, x)


CONVERTED = {
    "Activation": lambda: layers.Activation("silu"),
    "ActivityRegularization": lambda: layers.ActivityRegularization(),
    "AdaptiveAveragePooling1D": lambda: layers.AdaptiveAveragePooling1D(5),
    "AdaptiveAveragePooling2D": lambda: layers.AdaptiveAveragePooling2D((5, 3)),
    "AdaptiveMaxPooling1D": lambda: layers.AdaptiveMaxPooling1D(5),
    "Add": lambda: of_two(layers.Add()),
    "AdditiveAttention": lambda: of_two(layers.AdditiveAttention()),
    "AlphaDropout": lambda: layers.AlphaDropout(0.5),
    "Attention": lambda: of_two(layers.Attention()),
    "Average": lambda: of_two(layers.Average()),
    "AveragePooling1D": lambda: layers.AveragePooling1D(3, 1, padding="same"),
    "AveragePooling2D": lambda: layers.AveragePooling2D((2, 1)),
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "Bidirectional": lambda: layers.Bidirectional(FastGRNN(4, return_sequences=True)),
    "CenterCrop": lambda: layers.CenterCrop(10, 3),
    "Concatenate": lambda: of_two(layers.Concatenate(axis=1)),
    "Concatenate of 23": lambda: (
        lambda x: layers.Concatenate()([x * (1 + 0.1 * k) for k in range(23)])
    ),
    "Conv1D": lambda: layers.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="relu"),
    "Conv1DTranspose": lambda: layers.Conv1DTranspose(4, 3, strides=2),
    "Conv2D": lambda: layers.Conv2D(4, 3),
    "Conv2DTranspose": lambda: layers.Conv2DTranspose(4, 3, padding="same"),
    "Cropping1D": lambda: layers.Cropping1D(2),
    "Cropping2D": lambda: layers.Cropping2D(((2, 1), (1, 0))),
    "Dense": lambda: layers.Dense(4, activation="tanh"),
    "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(3, depth_multiplier=2),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3),
    "Dot": lambda: of_two(layers.Dot(axes=(2, 2))),
    "Dropout": lambda: layers.Dropout(0.5),
    "ELU": lambda: layers.ELU(),
    "EinsumDense": lambda: layers.EinsumDense("abc,cd->abd", (None, 4)),
    "Flatten": lambda: layers.Flatten(),
    "GaussianDropout": lambda: layers.GaussianDropout(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(0.5),
    "GlobalAveragePooling1D": lambda: layers.GlobalAveragePooling1D(),
    "GlobalAveragePooling2D": lambda: layers.GlobalAveragePooling2D(),
    "GlobalAveragePooling3D": lambda: layers.GlobalAveragePooling3D(),
    "GlobalMaxPooling1D": lambda: layers.GlobalMaxPooling1D(),
    "GlobalMaxPooling2D": lambda: layers.GlobalMaxPooling2D(),
    "GlobalMaxPooling3D": lambda: layers.GlobalMaxPooling3D(),
    "GroupNormalization": lambda: layers.GroupNormalization(1),
    "GroupQueryAttention": lambda: of_one_twice(layers.GroupQueryAttention(3, 2, 1)),
    "Identity": lambda: layers.Identity(),
    "Lambda": lambda: layers.Lambda(lambda x: 2.0 * x),
    "LeakyReLU": lambda: layers.LeakyReLU(),
    "LSTM unrolled": lambda: layers.LSTM(2, return_sequences=True, unroll=True),
    "MaxPooling1D": lambda: layers.MaxPooling1D(3, 1, padding="same"),
    "MaxPooling2D": lambda: layers.MaxPooling2D((2, 1)),
    "Maximum": lambda: of_two(layers.Maximum()),
    "Minimum": lambda: of_two(layers.Minimum()),
    "MultiHeadAttention": lambda: of_one_twice(layers.MultiHeadAttention(2, 3)),
    "Multiply": lambda: of_two(layers.Multiply()),
    "Normalization": lambda: layers.Normalization(mean=[0.0, 1, 2], variance=[1.0, 2, 3]),
    "PReLU": lambda: layers.PReLU(),
    "Permute": lambda: layers.Permute((2, 1)),
    "RMSNormalization": lambda: layers.RMSNormalization(),
    "RandomFlip": lambda: layers.RandomFlip(),
    "ReLU": lambda: layers.ReLU(6.0),
    "ReLU of a slope": lambda: layers.ReLU(3.0, negative_slope=0.1, threshold=0.2),
    "RepeatVector": lambda: lambda x: layers.RepeatVector(23)(FastGRNN(4)(x)),
    "Rescaling": lambda: layers.Rescaling(2.0, 1.0),
    "Reshape": lambda: layers.Reshape((10, 6)),
    "Resizing": lambda: layers.Resizing(10, 6),
    "SeparableConv1D": lambda: layers.SeparableConv1D(4, 3),
    "SeparableConv2D": lambda: layers.SeparableConv2D(4, 3),
    "Softmax": lambda: layers.Softmax(),
    "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.5),
    "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(4)),
    "Subtract": lambda: of_two(layers.Subtract()),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(4)),
    "UnitNormalization": lambda: layers.UnitNormalization(),
    "UpSampling1D": lambda: layers.UpSampling1D(3),
    "UpSampling2D": lambda: layers.UpSampling2D(2),
    "UpSampling2D, bilinear": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "ZeroPadding1D": lambda: layers.ZeroPadding1D(2),
    "ZeroPadding2D": lambda: layers.ZeroPadding2D(2),
    "ZeroPadding3D": lambda: layers.ZeroPadding3D((1, 0, 0)),
    "celu": lambda: ops.celu,
    "clip": lambda: lambda x: ops.clip(x, -1.0, 1.0),
    "conditions": lambda: lambda x: ops.where(ops.logical_and(x > 0.0, x < 9.0), x, 0.0),
    "cumsum": lambda: lambda x: ops.cumsum(x, axis=1),
    "divided by the peak": lambda: lambda x: x / (ops.max(abs(x), axis=1, keepdims=True) + 0.1),
    "exp": lambda: ops.exp,
    "flip": lambda: lambda x: ops.flip(x, axis=1),
    "hard_tanh": lambda: ops.hard_tanh,
    "log1p": lambda: lambda x: ops.log1p(abs(x)),
    "magnitude": lambda: lambda x: ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)),
    "maximum beside a Dense": lambda: (
        lambda x: layers.Concatenate()(
            [layers.Dense(3, bias_initializer="ones")(x), ops.maximum(x, -x)]
        )
    ),
    "min to max": lambda: (
        lambda x: (
            (x - ops.min(x, axis=1, keepdims=True)) / (ops.max(x, axis=1, keepdims=True) + 1.0)
        )
    ),
    "pad": lambda: lambda x: ops.pad(x, ((0, 0), (2, 2), (0, 0)), mode="reflect"),
    "roll": lambda: lambda x: ops.roll(x, 1, axis=1),
    "selu": lambda: ops.selu,
    "sin": lambda: ops.sin,
    "softplus": lambda: ops.softplus,
    "split": lambda: lambda x: ops.concatenate(ops.split(x, [5, 9], axis=1)[::-1], axis=1),
    "standardised": lambda: lambda x: x / (ops.std(x, axis=1, keepdims=True) + 0.1),
    "tile": lambda: lambda x: ops.tile(x, (1, 2, 1)),
    "to integers": lambda: lambda x: 0.1 * ops.cast(ops.cast(10.0 * x, "int32"), "float32"),
}

REFUSED = {
    "Activation": (lambda: layers.Activation("gelu", name="bad"), "GELU.*relu or silu"),
    "AveragePooling3D": (lambda: layers.AveragePooling3D((2, 1, 1), name="bad"), "AvgPool3D"),
    "Bidirectional": (
        lambda: layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="bad"),
        "loop.*FastGRNN",
    ),
    "Conv3D": (lambda: layers.Conv3D(2, (3, 1, 1), name="bad"), "CONV_3D.*Conv2D"),
    "ConvLSTM1D": (
        lambda: layers.ConvLSTM1D(2, 2, return_sequences=True, name="bad"),
        "loop.*FastGRNN",
    ),
    "Cropping3D": (lambda: layers.Cropping3D(((2, 1), (1, 0), (0, 0)), name="bad"), "up to 4 axes"),
    "Discretization": (lambda: layers.Discretization([0.0, 1.0], name="bad"), "BUCKETIZE"),
    "Embedding": (lambda: layers.Embedding(9, 4, name="bad"), "look the vectors up before"),
    "GRU": (lambda: layers.GRU(4, return_sequences=True, name="bad"), "loop.*unroll=True"),
    "Hashing": (lambda: layers.Hashing(4, name="bad"), "tf.StringToHashBucketFast"),
    "LSTM": (lambda: layers.LSTM(4, return_sequences=True, name="bad"), "loop.*unroll=True"),
    "Lambda": (lambda: layers.Lambda(ops.sign, name="bad"), "SIGN.*tanh"),
    "MaxPooling3D": (lambda: layers.MaxPooling3D((2, 1, 1), name="bad"), "MaxPool3D"),
    "RNN": (
        lambda: layers.RNN(layers.LSTMCell(4), return_sequences=True, name="bad"),
        "loop.*unroll=True",
    ),
    "SimpleRNN": (lambda: layers.SimpleRNN(4, return_sequences=True, name="bad"), "loop.*FastGRNN"),
    "TimeDistributed": (lambda: layers.TimeDistributed(FastGRNN(2), name="bad"), "loop"),
}
# Layers that read images or volumes get the sequence reshaped to one.
RANKS = {"2D": 4, "3D": 5, "1D": 3}
IMAGES = ("CenterCrop", "RandomFlip", "Resizing", "ConvLSTM1D")


def shape_of(name, kind):
    if name == "TimeDistributed" and kind == "refused":
        return -1, 2, 10, 3
    rank = 4 if name in IMAGES else next((n for part, n in RANKS.items() if part in name), 3)
    return (-1, 20, 3, 1, 1)[:rank]


def build(name, layer, kind="converted"):
    x = keras.Input((20, 3))
    shape = shape_of(name, kind)
    y = layer(x if len(shape) == 3 else ops.reshape(x, shape))
    steps, *rest = y.shape[1:] if len(y.shape) > 2 else (1, *y.shape[1:])
    y = layers.Reshape((steps, int(np.prod(rest))))(y)
    return keras.Model(x, layers.Dense(2)(FastGRNN(4)(y)))


# The cases of `make test`. `make test-all` runs all, in about 70 s of CPU time.
QUICK = (
    "Concatenate of 23", "Conv1D", "Conv1DTranspose", "Maximum", "ReLU", "RepeatVector",
    "Rescaling", "UpSampling1D", "celu", "clip", "conditions", "cumsum", "divided by the peak",
    "exp", "magnitude", "tile", "to integers",
)  # fmt: skip


# In int16: operators without an int16 kernel, or with constants in another tensor's format.
QUICK_INT16 = (
    *("ELU", "GlobalMaxPooling1D", "Maximum", "ReLU of a slope"),
    *("UnitNormalization", "clip", "conditions", "divided by the peak", "magnitude"),
)


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        *((name, "int8") for name in (CONVERTED if TEST_ALL else QUICK)),
        *((name, "int16") for name in (CONVERTED if TEST_ALL else QUICK_INT16)),
    ],
)
def test_converts(name, activations):
    keras.utils.set_random_seed(0)
    model = build(name, CONVERTED[name]())
    data = convert(model, representative_dataset=X, activations=activations)
    y = Interpreter(data).predict(X)
    expected = model(X, training=False).numpy()
    # int8 weights, inputs and outputs cost these untrained models at most 0.02; half as much again
    # is the margin.
    assert np.abs(y - expected).max() < 0.03 * np.ptp(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_by_name(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as refusal:
        convert(build(name, make(), "refused"), representative_dataset=X)
    text = str(refusal.value)
    assert re.match(rf"Layer 'bad' \({name}\) cannot be exported: .*; .*\.$", text)
    assert "damaged" not in text and "\n" not in text and len(text) < 320


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_integers_of_a_sensor(dtype):
    x = keras.Input((20, 3), dtype=dtype)
    model = keras.Model(x, layers.Dense(2)(FastGRNN(4)(layers.Rescaling(1 / 4096)(x))))
    samples = (4096 * X).astype(dtype)
    interpreter = Interpreter(convert(model, representative_dataset=samples))
    assert interpreter.inputs[0].dtype == dtype
    expected = model(samples).numpy()
    assert np.abs(interpreter.predict(samples) - expected).max() < 0.03 * np.ptp(expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_converted_in_float32(policy):
    keras.utils.set_random_seed(0)
    front = layers.TimeDistributed(layers.Dense(4, dtype=policy), dtype=policy)
    hidden = [layers.Conv1D(4, 3, dtype=policy), front, FastGRNN(4, dtype=policy)]
    model = keras.Sequential([keras.Input((20, 3)), *hidden, layers.Dense(2, dtype=policy)])
    y = Interpreter(convert(model, representative_dataset=X)).predict(X)
    expected = tf.cast(model(X), tf.float32).numpy()
    assert np.abs(y - expected).max() < 0.03 * np.ptp(expected)
    assert model.layers[0].dtype_policy.name == policy
