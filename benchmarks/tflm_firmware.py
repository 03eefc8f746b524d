"""The example's model in TFLite Micro on a Cortex-M4 (QEMU), byte by byte and in figures.

    make demo
    make tflm-firmware TFLM_DIR=...

docs/tflm.md says how to get a tree of TFLite Micro. What FASTGRNN writes is compared with the
integer model in NumPy, the logits with those of TFLite Micro on this machine. The figures are put
into benchmarks/results/microcontrollers.json.
"""

import tempfile

import numpy as np

from benchmarks import record
from benchmarks.tflm_tree import TFLM_DIR
from examples.common import activity, command, data
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.micro import Interpreter
from tests.boards import tflm

MODEL = record.ROOT / "build" / "activity_recognition.tflite"
WINDOWS = 50


def expected(model, x):
    """What a model has to make of float windows.

    Args:
        model: bytes of a .tflite file, integers in and out; FASTGRNN comes first and returns its
            last output.
        x: float `(n, timesteps, features)`.

    Returns:
        `(x, recurrent, y)`: integer input, output of FASTGRNN and output of the model, `(n, ...)`.
    """
    chain = read_chain(model)
    (cell,) = chain.cells
    if cell.stateful:
        raise ValueError("The model is stateful: its windows are no sequences of their own.")
    x = chain.input.quantize(x)
    interpreter = Interpreter(model)
    recurrent, _ = reference.run(cell.integer_cell, x)
    return x, recurrent, np.concatenate([interpreter.invoke(window[None]) for window in x])


def measure(tflm_dir, folder):
    """Builds and runs the firmware: `tflm.Measurement`."""
    tflm.configure(tflm_dir, folder)
    if not MODEL.is_file():
        raise ValueError(f"There is no {MODEL}: make demo trains it.")
    _, _, test = data.load(activity.load)
    arrays = expected(MODEL.read_bytes(), test.x[:: len(test.x) // WINDOWS][:WINDOWS])
    return tflm.run(tflm_dir, MODEL.read_bytes(), *arrays, folder)


def main():
    with tempfile.TemporaryDirectory() as folder, command.one_line():
        m = measure(TFLM_DIR.value or None, folder)
    figures = {
        "tflm_m4_text_bytes": m.text,
        "tflm_m4_data_bytes": m.data,
        "tflm_m4_arena_bytes": m.arena,
        "tflm_m4_windows_equal": m.windows_equal,
        "tflm_m4_instructions": m.instructions,
        "tflm_commit": m.commit,
    }
    for name, value in figures.items():
        print(f"{name:30}{value:>14}")
    print(f"of these instructions {m.recurrent_instructions:,} are FASTGRNN's")
    record.figures("microcontrollers.json", figures)


if __name__ == "__main__":
    command.run(main)
