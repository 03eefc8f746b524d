"""A model that gives a gain for each band and frame: its training, its file, its inference."""

import re

import keras
import numpy as np

from examples.common import bands, training
from examples.common.noisy_speech import training_mixes
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import c_source, convert
from keras_fastgrnn.micro import Interpreter

UNITS = 48
BATCH_SIZE = 32
LEARNING_RATE = 1e-2  # the highest one


def fast_grnn(units=UNITS):
    return FastGRNN(
        units,
        return_sequences=True,
        nu_initializer=-100.0,  # nu is 0: the state stays below zeta, however long the stream
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",  # as in keras GRU
    )


def gru(units=UNITS):
    return keras.layers.GRU(units, return_sequences=True)


def training_set(sounds, *, seed, count, seconds=2.5):
    """`training_arrays()` of mixes of the `Sounds` of a side."""
    rng = np.random.default_rng(seed)
    return training_arrays(training_mixes(sounds, rng, count=count, seconds=seconds))


def training_arrays(mixed):
    """`(x, y)`: features `(n, frames, bands)`, and `(n, frames, 2 * bands)` of ideal gains and
    their weights in the loss."""
    x, y = [], []
    for sounds in zip(*mixed, strict=True):
        speech, noise = map(bands.spectra, sounds)
        x.append(bands.features(speech + noise))
        gains = bands.ideal_gains(speech, noise)
        y.append(np.concatenate([gains, weights(x[-1])], axis=-1))
    return np.array(x), np.array(y)


def weights(features, power=0.5):
    """The weights of bands in the loss: their energy to a power, with a mean of 1."""
    loud = 10 ** (power * features)
    return loud / loud.mean()


def loss(y, gains):
    """Mean square error of the gains, weighted."""
    ideal, weight = keras.ops.split(y, 2, axis=-1)
    return keras.ops.mean(weight * keras.ops.square(ideal - gains), axis=-1)


def train(layer, x, y, *, seed, epochs=48):
    """Trains two recurrent layers and a Dense one.

    Args:
        layer: function that makes a recurrent layer, which returns sequences.
        x, y: of `training_arrays()`.
        seed, epochs: integers.

    Returns:
        The model, from features to gains, at each frame.
    """
    keras.utils.set_random_seed(seed)
    normalization = keras.layers.Normalization(
        mean=x.mean(axis=(0, 1)), variance=x.var(axis=(0, 1))
    )
    layers = normalization, layer(), layer(), keras.layers.Dense(bands.BANDS, "sigmoid")
    model = keras.Sequential([keras.Input((None, bands.BANDS)), *layers])
    arguments = {"learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE, "epochs": epochs}
    training.fit(model, x, y, loss=loss, **arguments)
    return model


def to_file(model, x, activations):
    """The streaming model as a .tflite file: float features of a frame in, its gains out."""
    return convert(
        model,
        representative_dataset=x[:: max(len(x) // 40, 1)],
        streaming=True,
        reset="never",  # the stream has no end
        activations=activations,
    )


def constants(tflite):
    """The bytes of constants in the C of a file."""
    return int(re.search(r"Flash: (\d+) bytes", c_source(tflite)["model.h"])[1])


def in_float(model):
    """Function from features `(n, frames, bands)` to gains."""
    return lambda x: model.predict(x, batch_size=64, verbose=0)


def in_tflm(tflite):
    """The same for a .tflite file that TensorFlow Lite for Microcontrollers runs by frames."""
    interpreter = Interpreter(tflite)

    def gains(x):
        streams = []
        for frames in x:
            interpreter.reset()
            streams.append(interpreter.predict(frames[:, np.newaxis])[:, 0])
        return np.array(streams)

    return gains
