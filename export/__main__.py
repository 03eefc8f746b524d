"""Converts a .keras file to an integer .tflite file, and reports its scales, bytes and errors.

python -m keras_fastgrnn.export --model=model.keras --samples=samples.npy --output=model.tflite
"""

import pathlib
import sys

from absl import app, flags, logging

from keras_fastgrnn.export.converter import CHOICES, conversion
from keras_fastgrnn.export.files import (
    by_input,
    read_model,
    read_samples,
    shown_warnings,
    write_file,
)
from keras_fastgrnn.export.keras_model import functional
from keras_fastgrnn.export.report.findings import examine
from keras_fastgrnn.export.report.resolution import warn
from keras_fastgrnn.export.report.text import text

_MODEL = flags.DEFINE_string("model", None, "The .keras file to convert.")
_SAMPLES = flags.DEFINE_multi_string(
    "samples",
    None,
    "An .npy file of representative samples (n, ...), once for each input of the model, in their "
    "order; or one .npz file with an array for each by its name.",
)
_OUTPUT = flags.DEFINE_string("output", None, "The .tflite file to write.")
_STREAMING = flags.DEFINE_bool(
    "streaming", False, "Whether the model takes one time step an invocation and keeps its state."
)
_CHOSEN = {
    name: flags.DEFINE_enum(name, CHOICES[name][0], CHOICES[name], help)
    for name, help in {
        "reset": "Where a stream begins: at each sample, or all samples are one, in their order.",
        "activations": "Type of the activations; int16 where int8 is too coarse.",
        "input_type": "Type of the model's inputs.",
        "output_type": "Type of its outputs.",
        "optimize": "Whether matrices are stored for size or for speed.",
    }.items()
}
_REPORT = flags.DEFINE_string(
    "report", None, "The .html file to write a report with charts to. Needs matplotlib."
)
_VERBOSE = flags.DEFINE_bool("verbose", False, "Whether TensorFlow's own messages are shown.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    if not _VERBOSE.value:
        logging.set_verbosity(logging.ERROR)
    output = pathlib.Path(_OUTPUT.value)
    if output.is_dir() or not output.parent.is_dir():
        sys.exit(f"--output={output} is not a file in a folder that exists: name such a file.")
    page = None if _REPORT.value is None else _page(_REPORT.value, output)
    try:
        files = [read_samples(path) for path in _SAMPLES.value]
        model = read_model(_MODEL.value, output)
        samples = by_input(_SAMPLES.value, files, [x.name for x in functional(model).inputs])
        with shown_warnings():
            result = conversion(
                model,
                representative_dataset=samples,
                streaming=_STREAMING.value,
                **{name: flag.value for name, flag in _CHOSEN.items()},
            )
            write_file(output, result.model)
            findings = examine(result)
            for message in findings.warnings:
                warn(message)
        print("\n".join(text(findings)))
        if page is not None:
            write_file(pathlib.Path(_REPORT.value), page(findings, output.name).encode())
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")


def _page(report, output):
    """Returns the function that writes the page, and refuses a bad path before the conversion."""
    path = pathlib.Path(report)
    if path.is_dir() or not path.parent.is_dir():
        sys.exit(f"--report={report} is not a file in a folder that exists: name such a file.")
    if path.resolve() == output.resolve():
        sys.exit(f"--report={report} is the file of --output: name another.")
    try:
        from keras_fastgrnn.export.report.html import page
    except ModuleNotFoundError as error:
        sys.exit(
            f"--report draws with {error.name.partition('.')[0]}, which is not installed: "
            "pip install matplotlib"
        )
    return page


if __name__ == "__main__":
    # Not above: its tests import this module into the process of other commands' tests.
    flags.mark_flags_as_required(["model", "samples", "output"])
    app.run(main)
