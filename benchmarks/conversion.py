"""The seconds and the memory of a conversion, over units, time steps and samples.

    make bench-conversion

Each conversion is a process of its own. Its memory is its peak less the peak of a tiny conversion,
which is that of TensorFlow itself. Writes benchmarks/results/conversion.json.
"""

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from benchmarks import record
from examples.common import command


class Shape(NamedTuple):
    units: int
    timesteps: int
    samples: int
    return_sequences: bool = False


TINY = Shape(4, 4, 4)
LARGEST = Shape(256, 1000, 1000)
SHAPES = (
    Shape(16, 128, 200),
    Shape(64, 250, 250),
    Shape(64, 1000, 1000),
    Shape(256, 250, 250),
    Shape(256, 1000, 250),
    LARGEST,
    Shape(256, 1000, 250, return_sequences=True),
    Shape(256, 1000, 1000, return_sequences=True),
)
FEATURES = 8


def one(shape):
    """Converts a model: dict of the seconds, and of the peak memory of this process."""
    import keras
    import numpy as np

    from keras_fastgrnn import FastGRNN
    from keras_fastgrnn.export import convert

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(shape.samples, shape.timesteps, FEATURES))
    layer = FastGRNN(shape.units, return_sequences=shape.return_sequences)
    model = keras.Sequential([keras.Input((shape.timesteps, FEATURES)), layer])
    start = time.perf_counter()
    convert(model, representative_dataset=x.astype(np.float32))
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main():
    runs = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        found = processes.map(one, (TINY, *SHAPES))
        base = next(found)["peak_mb"]
        for shape, run in zip(SHAPES, found, strict=True):
            runs[shape] = shape._asdict() | {**run, "peak_mb": run["peak_mb"] - base}
            print(*runs[shape].items(), flush=True)
    figures = {f"conversion_{name}": runs[LARGEST][name] for name in ("seconds", "peak_mb")}
    details = {"features": FEATURES, "runs": list(runs.values())} | record.versions()
    record.figures("conversion.json", figures | details)


if __name__ == "__main__":
    command.run(main)
