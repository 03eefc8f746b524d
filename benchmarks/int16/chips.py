"""What a step costs on a chip where the ends of a layer are int16, the layer's output counted."""

import tempfile

import keras
import numpy as np

from benchmarks.int16.measure import DTYPES, integer_types
from examples.common import activity
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import pack
from keras_fastgrnn.micro import Interpreter
from tests.boards import TARGETS, Case, check, program
from tests.random_cells import Shape, halve_factors, integer_cell, sequences

LARGE = {"units": 100, "features": 32, "kernel_rank": 0, "recurrent_rank": 0}
SMALL = {"units": activity.UNITS, "features": 3, "kernel_rank": 2, "recurrent_rank": 8}
SHAPES = {"Cortex-M4": LARGE, "Cortex-M55": LARGE, "ATmega328P": SMALL}


def measure():
    """A list of dicts: a chip, its shape, how the layer runs, and the counts of a step by type.

    A layer runs as the kernel with its options read at run time, or as the C of a whole model.
    """
    rows = []
    for target in TARGETS:
        if shape := SHAPES.get(target.name):
            for way, count in {"at run time": at_run_time, "as C": as_c}.items():
                counts = {dtype: count(target, shape, dtype) for dtype in DTYPES}
                rows.append({"target": target.name, **shape, "way": way, target.counts: counts})
    return rows


def figures(rows):
    """Of the two ways on a chip, the one in which int16 costs more."""

    def ratio(name):
        counts = [row.get("cycles") or row["instructions"] for row in rows if row["target"] == name]
        return max(count["int16"] / count["int8"] for count in counts)

    return {
        "m4_int16_ratio": ratio("Cortex-M4"),
        "m55_int16_ratio": ratio("Cortex-M55"),
        "avr_int16_ratio": ratio("ATmega328P"),
    }


def at_run_time(target, shape, dtype):
    """Counts of a step and its output in `fastgrnn_run()`, of a random cell."""
    shape = Shape(**shape, input_dtype=dtype, output_dtype=dtype, timesteps=3)
    cell, _, input, _ = integer_cell(shape, n=1)
    blocks = pack(cell, return_sequences=True)

    def case(timesteps):
        x = input.quantize(sequences(shape, 1)[:, :timesteps])
        y, state = reference.run(cell, x, return_sequences=True)
        return Case(*blocks, x, np.zeros(cell.units, np.int16), y, state[0])

    with tempfile.TemporaryDirectory() as folder:
        one, three = check(target, [case(1), case(3)], folder, "-O2" if shape.units > 16 else "-Os")
    # Between one step and three lie two steps, and nothing else.
    return (three.count - one.count) / 2


def as_c(target, shape, dtype):
    """Counts of a step, its output and the search for the largest, of a model with random weights
    written as C."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    shape = {name: size or None for name, size in shape.items()}
    features = shape.pop("features")
    layer = FastGRNN(**shape)
    model = keras.Sequential([keras.Input((32, features)), layer])
    halve_factors(layer.cell, rng)
    samples = rng.normal(0, 1, (20, 32, features)).astype(np.float32)
    types = integer_types(dtype)
    tflite = convert(model, representative_dataset=samples, streaming=True, **types)
    ends = np.iinfo(dtype)
    x = rng.integers(ends.min, ends.max, (30, 1, features), dtype, endpoint=True)
    interpreter = Interpreter(tflite)
    y = np.concatenate([interpreter.invoke(step[None]) for step in x])
    with program.as_c(tflite) as folder:
        return program.replay(target, folder, x, y.reshape(len(x), -1)).predict
