"""What a conversion takes, in seconds and in memory, over units, time steps and samples.

    make bench-conversion

Each conversion is a process of its own. Its memory is the peak above that of a conversion of next
to nothing, which leaves TensorFlow itself out. Writes benchmarks/results/conversion.json.
"""

import json
import resource
import subprocess
import sys
import time
from typing import NamedTuple

from absl import flags

from benchmarks import record
from examples.common import command

_ONE = flags.DEFINE_string("one", None, "One shape, in JSON: prints its seconds and peak in MB.")


class Shape(NamedTuple):
    units: int
    timesteps: int
    samples: int
    return_sequences: bool = False


NEXT_TO_NOTHING = Shape(4, 4, 4)
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
    """Converts one model: prints the seconds, and the peak of this process."""
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def measure(shape):
    """`one()` in a process of its own."""
    arguments = ["-m", "benchmarks.conversion", f"--one={json.dumps(shape)}"]
    result = subprocess.run(
        [sys.executable, *arguments], cwd=record.ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def main():
    if _ONE.value:
        one(Shape(*json.loads(_ONE.value)))
        return
    base = measure(NEXT_TO_NOTHING)["peak_mb"]
    runs = {}
    for shape in SHAPES:
        run = measure(shape)
        runs[shape] = shape._asdict() | {**run, "peak_mb": run["peak_mb"] - base}
        print(*runs[shape].items(), flush=True)
    figures = {f"conversion_{name}": runs[LARGEST][name] for name in ("seconds", "peak_mb")}
    details = {"features": FEATURES, "runs": list(runs.values())} | record.versions()
    record.figures("conversion.json", figures | details)


if __name__ == "__main__":
    command.run(main)
