"""Models with random weights, written as C."""

import contextlib

import keras
import numpy as np

from keras_fastgrnn.export import convert
from keras_fastgrnn.micro import Interpreter
from tests.boards import program
from tests.random_cells import halve_factors


@contextlib.contextmanager
def generated(layers, features, *, dtype="int8", streaming=False, **arguments):
    """Writes the C of a model with random weights; half of those of low rank are zero.

    Args:
        layers: function that makes the list of layers, the recurrent one first.
        features: integer.
        dtype: "int8" or "int16", of activations, input and output.
        streaming: boolean, of `convert()`.
        **arguments: of `c_source()`.

    Yields:
        `(folder, x, y)`: the folder of the C; random sequences, of one step each in a stream; and
        the outputs of the model `(n, outputs)`.
    """
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((32, features)), *layers()])
    halve_factors(model.layers[0].cell, rng)
    samples = rng.normal(0, 1, (20, 32, features)).astype(np.float32)
    types = dict.fromkeys(("activations", "input_type", "output_type"), dtype)
    tflite = convert(model, representative_dataset=samples, streaming=streaming, **types)
    ends, shape = np.iinfo(dtype), (30, 1, features) if streaming else (4, 32, features)
    x = rng.integers(ends.min, ends.max, shape, dtype, endpoint=True)
    interpreter = Interpreter(tflite)
    y = np.array([interpreter.invoke(sequence[np.newaxis]).ravel() for sequence in x])
    with program.as_c(tflite, **arguments) as folder:
        yield folder, x, y
