"""The cost of a step on a chip, with the layer's output, for int8 and int16 ends of a layer."""

import tempfile

import numpy as np

from benchmarks.generated import generated
from benchmarks.int16.measure import DTYPES
from examples.common import activity
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import pack
from tests.boards import TARGETS, Case, check, program
from tests.random_cells import Shape, integer_cell, sequences

LARGE = {"units": 100, "features": 32, "kernel_rank": 0, "recurrent_rank": 0}
SMALL = {"units": activity.UNITS, "features": 3, "kernel_rank": 2, "recurrent_rank": 8}
SHAPES = {"Cortex-M4": LARGE, "Cortex-M55": LARGE, "ATmega328P": SMALL}


def measure():
    """A list of dicts: a chip, a shape, a way to run the layer, and the counts of a step by type.

    A layer runs in the kernel that reads its options at run time, or in the C of a whole model.
    """
    rows = []
    for target in TARGETS:
        if shape := SHAPES.get(target.name):
            for way, count in {"at run time": at_run_time, "as C": as_c}.items():
                counts = {dtype: count(target, shape, dtype) for dtype in DTYPES}
                rows.append({"target": target.name, **shape, "way": way, target.counts: counts})
    return rows


def figures(rows):
    """The cost of int16 over int8 on each chip, in the way that has the larger ratio."""

    def ratio(name):
        counts = [row.get("cycles") or row["instructions"] for row in rows if row["target"] == name]
        return max(count["int16"] / count["int8"] for count in counts)

    return {
        "m4_int16_ratio": ratio("Cortex-M4"),
        "m55_int16_ratio": ratio("Cortex-M55"),
        "avr_int16_ratio": ratio("ATmega328P"),
    }


def at_run_time(target, shape, dtype):
    """Counts of a step with its output in `fastgrnn_run()`, for a random cell."""
    shape = Shape(**shape, input_dtype=dtype, output_dtype=dtype, timesteps=3)
    cell, _, input, _ = integer_cell(shape, n=1)
    blocks = pack(cell, return_sequences=True)

    def case(timesteps):
        x = input.quantize(sequences(shape, 1)[:, :timesteps])
        y, state = reference.run(cell, x, return_sequences=True)
        return Case(*blocks, x, np.zeros(cell.units, np.int16), y, state[0])

    with tempfile.TemporaryDirectory() as folder:
        one, three = check(target, [case(1), case(3)], folder, "-O2" if shape.units > 16 else "-Os")
    # Three steps cost two steps more than one, and nothing else.
    return (three.count - one.count) / 2


def as_c(target, shape, dtype):
    """Counts of a step, its output and the search for the largest output, in the C of a model with
    random weights."""
    sizes = {name: size or None for name, size in shape.items()}  # None is the full rank
    features = sizes.pop("features")
    with generated(lambda: [FastGRNN(**sizes)], features, dtype=dtype, streaming=True) as model:
        return program.replay(target, *model).predict
