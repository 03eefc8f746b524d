"""Writes a .tflite file of keras_fastgrnn.export as a folder of C.

python -m keras_fastgrnn.export.c_source --model=model.tflite --output=folder [--name=model]
    [--layout=c|cmake|arduino|platformio|esp-idf|zephyr] [--classes=walk,run]
    [--unit=0.000244 [--mean=0.1,0,1] [--std=0.5] [--sensor=int16|int32]]
"""

import pathlib
import sys

from absl import app, flags

from keras_fastgrnn.export import c_source
from keras_fastgrnn.export.c_source.layouts import LAYOUTS
from keras_fastgrnn.export.c_source.sensor import SENSORS
from keras_fastgrnn.export.files import write_file

flags.DEFINE_string("model", None, "The .tflite file, written by keras_fastgrnn.export.")
flags.DEFINE_string("output", None, "The folder to write.")
flags.DEFINE_string("name", "model", "The name of the model in the C, and of the C files.")
flags.DEFINE_enum("layout", "c", LAYOUTS, "The build system that the folder is for.")
flags.DEFINE_list("classes", None, "The names of the classes, separated by commas.")
flags.DEFINE_list("unit", None, "The real value of 1 in the sensor's integers, or one per feature.")
flags.DEFINE_list("mean", None, "The mean subtracted before the model, or one per feature.")
flags.DEFINE_list("std", None, "The deviation divided by before the model, or one per feature.")
flags.DEFINE_enum("sensor", None, SENSORS, "The type of the sensor's integers; int16 by default.")
flags.DEFINE_bool("verbose", False, "Whether to show TensorFlow's own messages.")
flags.mark_flags_as_required(["model", "output"])


def _write(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_file(folder / path, text.encode())


def _numbers(flag, texts):
    """The numbers of a flag such as `0.5` or `0.5,1,2`; `None` if it is not given."""
    try:
        return texts and [float(text) for text in texts]
    except ValueError:
        raise ValueError(
            f"--{flag}={','.join(texts)} is not supported: give one number, or one for each "
            "feature, separated by commas."
        ) from None


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}: flags begin with --.")
    arguments = flags.FLAGS
    model, output = pathlib.Path(arguments.model), pathlib.Path(arguments.output)
    if not model.is_file():
        sys.exit(f"--model={model} is not a file: name a .tflite file.")
    try:
        files = c_source(
            model.read_bytes(),
            name=arguments.name,
            layout=arguments.layout,
            classes=arguments.classes,
            sensor=arguments.sensor,
            **{flag: _numbers(flag, arguments[flag].value) for flag in ("unit", "mean", "std")},
        )
        _write(output, files)
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
    print("\n".join(str(output / path) for path in files))


if __name__ == "__main__":
    app.run(main)
