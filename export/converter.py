"""`convert()`: from a Keras model to a .tflite file."""

import dataclasses

import numpy as np

from keras_fastgrnn.compat import keras
from keras_fastgrnn.export.blame import explain
from keras_fastgrnn.export.calibration_set import calibration_set
from keras_fastgrnn.export.operators import quantize_layer, run_float
from keras_fastgrnn.export.report.measure import compare_outputs, few_samples, large_errors
from keras_fastgrnn.export.report.resolution import unresolved, warn
from keras_fastgrnn.export.rest import Rest, convert_rest
from keras_fastgrnn.export.streaming import find_saturation
from keras_fastgrnn.export.tflite.assemble import assemble
from keras_fastgrnn.micro.verify import verify

# The values that options of `convert()` take.
CHOICES = {
    "activations": ("int8", "int16"),
    **dict.fromkeys(("input_type", "output_type"), ("float32", "int8", "int16")),
    "reset": ("sample", "never"),
    "optimize": ("size", "speed"),
}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A converted model and the results of each step of its conversion.

    Attributes:
        model: bytes, the .tflite file.
        rest: `Rest`, the same without its recurrent operators and with integer inputs and outputs.
        names: `(inputs, outputs)`, lists of names.
        operators: list of `Operator`, in the order in which they run.
        inputs, outputs: lists of arrays, the calibration set and the outputs of the Keras model.
        rounded_inputs: list of arrays, the calibration set where the file rounds it to integers.
        lengths: integers, the steps of each stream of a streaming model; else `None`.
        steps_to_saturation: list with one item for each operator: the steps without a reset after
            which its int16 state saturates on the calibration set, or `None` if it does not.
    """

    model: bytes
    rest: Rest
    names: tuple
    operators: list
    inputs: list
    outputs: list
    rounded_inputs: list
    lengths: np.ndarray | None
    steps_to_saturation: list


def convert(
    model: keras.Model,
    *,
    representative_dataset,
    streaming: bool = False,
    reset: str = "sample",
    activations: str = "int8",
    input_type: str = "float32",
    output_type: str = "float32",
    optimize: str = "size",
) -> bytes:
    """Converts a Keras model with FastRNN or FastGRNN layers to an integer TFLite model.

    Each recurrent layer becomes one custom operator, `FASTGRNN` (docs/format.md). TensorFlow's
    converter makes integer operators of all other layers. The model runs in TensorFlow Lite for
    Microcontrollers, with a batch of 1 and the time steps of the representative samples.

    Args:
        model: built `keras.Sequential` or functional `keras.Model`. FastRNN, FastGRNN and
            `keras.layers.RNN` over their cells may stand anywhere in it, also in `Bidirectional`
            and in nested models.
        representative_dataset: the calibration set, from which all ranges are taken: an array
            `(n, ...)`, for several inputs a dict by name or a list in their order; or batches of
            these, as a list, a generator, a function that returns one, a `tf.data.Dataset` or a
            `keras.utils.PyDataset`. The labels of `(x, y)` are ignored (docs/quantize.md). A
            hundred samples are usually enough; take them from all classes, not from the test data.
        streaming: boolean. If `True`, the model takes one time step an invocation and keeps its
            state; layers after the recurrent ones then run at each step. Samples may have any
            number of steps.
        reset: where a stream of a streaming model begins, with a state of 0. `"sample"`: at each
            sample; the chip has to be reset as well. `"never"`: all samples are one stream, in
            their order, as long as any stream on the chip. Layers with `stateful=True` always take
            all samples as one stream.
        activations: `"int8"`, or `"int16"` where int8 is too coarse: for features whose values lie
            in a small part of an input's range, and for outputs that are numbers rather than
            classes. Weights stay int8 (docs/quantize.md).
        input_type, output_type: `"float32"`, or the type of the activations.
        optimize: `"size"`: each recurrent matrix takes its smallest encoding. `"speed"`: the
            encoding that runs fastest on a Cortex-M with DSP instructions (docs/format.md).

    Returns:
        bytes, the content of a .tflite file.

    Raises:
        ValueError: if the model or the data cannot be converted, with the layer and the reason.

    Example:

    >>> samples = np.random.default_rng(0).choice(x_train, 200, replace=False)
    >>> model_bytes = keras_fastgrnn.export.convert(model, representative_dataset=samples)
    >>> pathlib.Path("model.tflite").write_bytes(model_bytes)
    """
    result = conversion(
        model,
        representative_dataset=representative_dataset,
        streaming=streaming,
        reset=reset,
        activations=activations,
        input_type=input_type,
        output_type=output_type,
        optimize=optimize,
    )
    for message in doubts(result):
        warn(message)
    return result.model


def doubts(result):
    """What `convert()` warns of: a list of texts, from a `Conversion`."""
    compared, _ = compare_outputs(few_samples(result))
    return [*unresolved(result), *large_errors(result, compared)]


def conversion(
    model,
    *,
    representative_dataset,
    streaming=False,
    reset="sample",
    activations="int8",
    input_type="float32",
    output_type="float32",
    optimize="size",
):
    """Runs the steps of `convert()` and returns all their results as a `Conversion`."""
    _check_options(
        streaming,
        activations=activations,
        input_type=input_type,
        output_type=output_type,
        reset=reset,
        optimize=optimize,
    )
    calibration = calibration_set(
        model, representative_dataset, streaming=streaming, reset=reset, input_type=input_type
    )
    run = run_float(model, calibration)
    rest = convert_rest(model, calibration, run, activations)
    operators = [
        quantize_layer(layer, input=x, output=y, optimize=optimize)
        for layer, x, y in zip(run.layers, rest.reads, rest.writes, strict=True)
    ]
    _warn_of_saturation(operators)
    limits = find_saturation(model, calibration.samples, operators)
    names = [x.name for x in model.inputs], [y._keras_history[0].name for y in model.outputs]
    data = assemble(
        rest,
        operators,
        ends=[
            None if x.dtype == np.float32 and input_type != "float32" else (x.dtype.name, front)
            for front, x in zip(calibration.fronts, calibration.samples, strict=True)
        ],
        float_outputs=output_type == "float32",
        names=names,
        steps_to_saturation=min(filter(None, limits), default=None),
    )
    try:
        verify(data)
    except ValueError as error:
        raise explain(error, model, calibration.samples, operators, activations) from error
    return Conversion(
        model=data,
        rest=rest,
        names=names,
        operators=operators,
        inputs=calibration.samples,
        outputs=run.outputs,
        rounded_inputs=calibration.inputs,
        lengths=calibration.lengths,
        steps_to_saturation=limits,
    )


def _check_options(streaming, **options):
    for name, value in options.items():
        if value not in CHOICES[name]:
            choices = ", ".join(map(repr, CHOICES[name]))
            raise ValueError(f"{name}={value!r} is not supported: use one of {choices}.")
    activations = options["activations"]
    for name in ("input_type", "output_type"):
        if options[name] not in ("float32", activations):
            raise ValueError(
                f"{name}={options[name]!r} does not match activations={activations!r}: use "
                f"'float32' or {activations!r}, or activations={options[name]!r}."
            )
    if options["reset"] == "never" and not streaming:
        raise ValueError(
            "reset='never' needs streaming=True: without it every sample starts from a state of 0."
        )


def _warn_of_saturation(operators):
    """Warns of each int16 state that saturates on the calibration set."""
    for operator in operators:
        if operator.states.saturated > 0:
            warn(
                f"Layer '{operator.recurrent.name}': {operator.states.saturated:.2%} of its int16 "
                "states saturate on the representative samples, where the float model's do not. "
                "Normalise its input."
            )
