"""Converts a .keras file to an int8 .tflite file and says what became of it.

python -m keras_fastgrnn.export --model=model.keras --samples=samples.npy --output=model.tflite
"""

import os
import pathlib
import sys
import tempfile

import numpy as np
from absl import app, flags

import keras_fastgrnn  # noqa: F401  # registers the layers for keras.models.load_model
from keras_fastgrnn.compat import keras
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.export.report import report

_MODEL = flags.DEFINE_string("model", None, "The .keras file to convert.")
_SAMPLES = flags.DEFINE_multi_string(
    "samples",
    None,
    "An .npy file of representative samples (n, ...). Once for each input of the model.",
)
_OUTPUT = flags.DEFINE_string("output", None, "The .tflite file to write.")
_STREAMING = flags.DEFINE_bool(
    "streaming", False, "Whether the model takes one time step an invocation and keeps its state."
)
_TYPES = ["float32", "int8"]
_INPUT_TYPE = flags.DEFINE_enum("input_type", "float32", _TYPES, "Type of the model's inputs.")
_OUTPUT_TYPE = flags.DEFINE_enum("output_type", "float32", _TYPES, "Type of its outputs.")
_OPTIMIZE = flags.DEFINE_enum(
    "optimize", "size", ["size", "speed"], "What the recurrent matrices are stored for."
)
flags.mark_flags_as_required(["model", "samples", "output"])


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    try:
        model = keras.models.load_model(_MODEL.value, compile=False)
        samples = [np.load(path, allow_pickle=False) for path in _SAMPLES.value]
        result = conversion(
            model,
            representative_dataset=samples[0] if len(samples) == 1 else [samples],
            streaming=_STREAMING.value,
            input_type=_INPUT_TYPE.value,
            output_type=_OUTPUT_TYPE.value,
            optimize=_OPTIMIZE.value,
        )
        _write(pathlib.Path(_OUTPUT.value), result.model)
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
    print("\n".join(report(result)))


def _write(path, data):
    """Writes a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(data)
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


if __name__ == "__main__":
    app.run(main)
