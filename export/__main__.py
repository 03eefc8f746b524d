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
    writable,
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
    "An .npy file of representative samples (n, ...). For several inputs, repeat the flag in their "
    "order, or give one .npz file with an array under the name of each.",
)
_OUTPUT = flags.DEFINE_string("output", None, "The .tflite file to write.")
_STREAMING = flags.DEFINE_bool(
    "streaming", False, "Whether the model takes one time step per invocation and keeps its state."
)
_CHOSEN = {
    name: flags.DEFINE_enum(name, CHOICES[name][0], CHOICES[name], help)
    for name, help in {
        "reset": "sample: each sample begins a stream; never: the samples in order are one stream.",
        "activations": "The type of the activations: int16 where int8 is too coarse.",
        "input_type": "The type of the model's inputs.",
        "output_type": "The type of the model's outputs.",
        "optimize": "Whether to store matrices for size or for speed.",
    }.items()
}
_REPORT = flags.DEFINE_string(
    "report", None, "The .html file to write, a report with charts. Needs matplotlib."
)
_VERBOSE = flags.DEFINE_bool("verbose", False, "Whether to show TensorFlow's own messages.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}: flags begin with --.")
    if not _VERBOSE.value:
        logging.set_verbosity(logging.ERROR)
    try:
        output = writable("output", _OUTPUT.value)
        page = None if _REPORT.value is None else _page(_REPORT.value, output)
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
    if writable("report", report).resolve() == output.resolve():
        raise ValueError(f"--report={report} is also the file of --output: name another.")
    try:
        from keras_fastgrnn.export.report.html import page
    except ModuleNotFoundError as error:
        package = error.name.partition(".")[0]
        raise ValueError(
            f"--report draws with {package}, which is not installed: pip install matplotlib"
        ) from error
    return page


if __name__ == "__main__":
    # Not above: its tests import this module into the process of other commands' tests.
    flags.mark_flags_as_required(["model", "samples", "output"])
    app.run(main)
