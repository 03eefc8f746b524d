"""The example's model in TFLite Micro on a Cortex-M4 (QEMU), byte by byte and in figures.

    make demo
    make tflm-firmware TFLM_DIR=...

docs/tflm.md says how to get a tree of TFLite Micro. What FASTGRNN writes is compared with the
integer model in NumPy, the logits with those of TFLite Micro on this machine. The figures are put
into benchmarks/results/microcontrollers.json.
"""

import pathlib
import sys
import tempfile

import numpy as np
from absl import app, flags

from benchmarks import record
from examples import activity_recognition as example
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import unpack
from keras_fastgrnn.micro import Interpreter
from tests.boards import tflm

_TFLM_DIR = flags.DEFINE_string("tflm_dir", None, "The tree of TFLite Micro, with its library.")
_MODEL = flags.DEFINE_string(
    "model", "build/activity_recognition.tflite", "FASTGRNN and FULLY_CONNECTED, as the example's."
)
WINDOWS = 50


def expected(model, x):
    """What a model has to make of float windows.

    Args:
        model: bytes of a .tflite file, FASTGRNN first and all of it int8.
        x: float `(n, timesteps, features)`.

    Returns:
        `(x, recurrent, y)`: int8 input, output of FASTGRNN and output of the model, `(n, ...)`.
    """
    chain = read_chain(model)
    (operator,) = chain.cells
    if operator.stateful:
        raise ValueError("The model is stateful: its windows are no sequences of their own.")
    cell, flags = unpack(operator.options, operator.weights)
    flags.pop("stateful")
    x = chain.input.quantize(x)
    interpreter = Interpreter(model)
    recurrent, _ = reference.run(cell, x, **flags)
    return x, recurrent, np.concatenate([interpreter.invoke(window[None]) for window in x])


def main(argv):
    path = pathlib.Path(_MODEL.value)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tflm.configure(_TFLM_DIR.value or None, folder)
            if not path.is_file():
                raise ValueError(
                    f"There is no {path}: make demo trains it, or name one by --model."
                )
            _, _, test = example.start(argv)
            arrays = expected(path.read_bytes(), test.x[:: len(test.x) // WINDOWS][:WINDOWS])
            m = tflm.run(_TFLM_DIR.value, path.read_bytes(), *arrays, folder)
        except (ValueError, RuntimeError) as error:
            sys.exit(str(error))
    figures = {
        "tflm_m4_text_bytes": m.text,
        "tflm_m4_data_bytes": m.data,
        "tflm_m4_arena_bytes": m.arena,
        "tflm_m4_windows_equal": m.windows_equal,
        "tflm_m4_instructions": m.instructions,
        "tflm_commit": m.commit,
    }
    record.figures("microcontrollers.json", figures)
    print(f"{path} in TFLite Micro, commit {m.commit}, on a Cortex-M4:")
    print(f"  {m.windows_equal:6,} of {WINDOWS} windows equal, to the byte")
    print(f"  {m.text:6,} bytes of text, the model's {path.stat().st_size:,} with it")
    print(f"  {m.data:6,} bytes of data, and an arena of {m.arena:,} bytes")
    print(
        f"  {m.instructions:6,} instructions an inference, {m.recurrent_instructions:,} of FASTGRNN"
    )


if __name__ == "__main__":
    app.run(main)
