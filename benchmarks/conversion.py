"""What a conversion takes, in seconds and in memory, over units, time steps and samples.

    make bench-conversion

Each conversion is a process of its own. Its memory is the peak above that of a conversion of next
to nothing, so that TensorFlow itself is not in it. Prints a table, and writes
benchmarks/results/conversion.json.
"""

import json
import resource
import subprocess
import sys
import time

from absl import app, flags

from benchmarks import record

# Units, time steps, samples, and whether every step is an output. The first is next to nothing.
SHAPES = (
    (4, 4, 4, False),
    (16, 128, 200, False),
    (64, 250, 250, False),
    (64, 1000, 1000, False),
    (256, 250, 250, False),
    (256, 1000, 250, False),
    (256, 1000, 1000, False),
    (256, 1000, 250, True),
    (256, 1000, 1000, True),
)
LARGEST = (256, 1000, 1000, False)
FEATURES = 8
TARGETS = {"conversion_seconds": 60, "conversion_peak_mb": 1000}

_ONE = flags.DEFINE_string("one", None, "One shape, in JSON: prints its seconds and peak in MB.")


def one(units, timesteps, samples, return_sequences):
    """Converts one model: prints the seconds, and the peak of this process."""
    import keras
    import numpy as np

    from keras_fastgrnn import FastGRNN
    from keras_fastgrnn.export import convert

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(samples, timesteps, FEATURES)).astype(np.float32)
    layer = FastGRNN(units, return_sequences=return_sequences)
    model = keras.Sequential([keras.Input((timesteps, FEATURES)), layer])
    start = time.perf_counter()
    convert(model, representative_dataset=x)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def measure(shape):
    """`one()` in a process of its own."""
    command = [sys.executable, __file__, f"--one={json.dumps(shape)}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def main(argv):
    if _ONE.value:
        one(*json.loads(_ONE.value))
        return
    empty, *shapes = SHAPES
    base = measure(empty)["peak_mb"]
    rows, found = [], {}
    for shape in shapes:
        run = measure(shape)
        found[shape] = run["seconds"], run["peak_mb"] - base
        units, timesteps, samples, sequences = shape
        output = "every step" if sequences else "last step"
        rows.append((units, timesteps, samples, output, *(f"{v:.1f}" for v in found[shape])))
        print(*rows[-1], sep=", ", flush=True)
    print(record.table(("units", "time steps", "samples", "output", "seconds", "MB"), rows))
    figures = dict(zip(TARGETS, found[LARGEST], strict=True))
    for name, target in TARGETS.items():
        reached = "" if record.reached(figures[name], "<=", target) else ", missed"
        print(f"{name}: {figures[name]:.1f} (at most {target}{reached})")
    table = [
        dict(zip(("units", "timesteps", "samples", "return_sequences"), shape, strict=True))
        | dict(zip(("seconds", "peak_mb"), values, strict=True))
        for shape, values in found.items()
    ]
    versions = record.versions()
    record.figures("conversion.json", {**figures, "features": FEATURES, "runs": table} | versions)


if __name__ == "__main__":
    app.run(main)
