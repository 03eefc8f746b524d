"""Converts a .keras file to an integer .tflite file, and reports its scales, bytes and errors.

python -m keras_fastgrnn.export --model=model.keras --samples=samples.npy --output=model.tflite

Before a model is trained, --estimate prints its bytes, and its time on each chip:

python -m keras_fastgrnn.export --model=model.keras --estimate --sparsity=0.5
"""

import pathlib
import sys

from absl import app, flags, logging

from keras_fastgrnn.export.converter import CHOICES, conversion
from keras_fastgrnn.export.cost import estimate
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
_ESTIMATE = flags.DEFINE_bool(
    "estimate", False, "Whether to print what the model will cost on a chip, and write no file."
)
_SPARSITY = flags.DEFINE_float(
    "sparsity", 0.0, "With --estimate: the fraction of the weights that pruning will remove."
)
_BLOCK_SIZE = flags.DEFINE_list(
    "block_size", ["1", "1"], "With --estimate: the inputs and outputs of the blocks of weights."
)
_CHIP = flags.DEFINE_string("chip", None, "With --estimate: one chip, such as Cortex-M4.")
_MEGAHERTZ = flags.DEFINE_float(
    "megahertz", 48.0, "With --estimate: the clock of the chips.", 0.001
)
_VERBOSE = flags.DEFINE_bool("verbose", False, "Whether to show TensorFlow's own messages.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}: flags begin with --.")
    if not _VERBOSE.value:
        logging.set_verbosity(logging.ERROR)
    try:
        if _ESTIMATE.value:
            print("\n".join(_estimate()))
            return
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


def _estimate():
    """Yields the lines of an estimate."""
    found = estimate(
        read_model(_MODEL.value),
        chip=_CHIP.value,
        sparsity=_SPARSITY.value,
        block_size=[int(size) if size.isdecimal() else size for size in _BLOCK_SIZE.value],
        streaming=_STREAMING.value,
        activations=_CHOSEN["activations"].value,
        optimize=_CHOSEN["optimize"].value,
    )
    yield f"{found.tflite_bytes:>12,}  bytes of .tflite"
    yield f"{found.constant_bytes:>12,}  bytes of constants in it"
    if found.arena_bytes is not None:
        yield f"{found.arena_bytes:>12,}  bytes of arena in TensorFlow Lite Micro on this machine"
    if found.ram_bytes is not None:
        yield f"{found.ram_bytes:>12,}  bytes of state in C"
    yield f"{found.macs:>12,}  multiplications of an inference in recurrent layers"
    yield f"{found.other_macs:>12,}  in other layers, which the chips below leave out"
    yield ""
    clock = f"ms at {_MEGAHERTZ.value:g} MHz"
    heading = "chip", "a step", "an inference", "counts", "within", clock
    yield "{:<12} {:>12} {:>14} {:<12} {:>6} {:>14}".format(*heading)
    for cost in found.chips.values():
        yield (
            f"{cost.chip:<12} {cost.step:>12,.0f} {cost.inference:>14,.0f} {cost.counts:<12} "
            f"{cost.error:>6.1%} {cost.milliseconds(_MEGAHERTZ.value):>14.3g}"
        )
    yield "Milliseconds: at one cycle an instruction, the least that an inference takes."


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
    flags.mark_flag_as_required("model")
    flags.register_multi_flags_validator(
        ["estimate", "samples", "output"],
        lambda given: given["estimate"] or (given["samples"] and given["output"]),
        "Give --samples and --output, or --estimate.",
    )
    app.run(main)
