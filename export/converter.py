"""`convert()`: the way from a Keras model to a .tflite file."""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.aware.quantized_layers import plain_dense
from keras_fastgrnn.export.blame import explain
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import pack
from keras_fastgrnn.export.cell.calibrate import Ranges, calibrate, merged
from keras_fastgrnn.export.cell.float_cell import FloatCell, fold
from keras_fastgrnn.export.cell.formats import (
    Formats,
    affine_int8,
    choose_formats,
    round_to,
)
from keras_fastgrnn.export.cell.reference import IntegerCell
from keras_fastgrnn.export.cell.sequences import run_in_blocks
from keras_fastgrnn.export.front import Front, fronts
from keras_fastgrnn.export.keras_model import Recurrent, call_layer, functional, walk
from keras_fastgrnn.export.report.measure import compare_outputs, few_samples, large_errors
from keras_fastgrnn.export.report.resolution import unresolved, warn
from keras_fastgrnn.export.samples import representative_arrays
from keras_fastgrnn.export.streaming import (
    as_steps,
    check_streaming,
    find_saturation,
    in_streams,
)
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.export.tflite.loop_free import convert_loop_free
from keras_fastgrnn.micro.verify import seal, verify


class StateRange(NamedTuple):
    """What an int16 state takes: `low`, `high`, and the share of its values that is `saturated`."""

    low: int
    high: int
    saturated: float


@dataclasses.dataclass(eq=False)
class Operator:
    """One recurrent operator of a converted model.

    Attributes:
        recurrent: `Recurrent`, where it stands in the Keras model.
        cell: `FloatCell`.
        ranges: `Ranges` of the calibration; `None` if the formats were given by training.
        x, y: float arrays, the representative sequences that it read and wrote.
        lengths: integers, the steps of each stream in x, before which the state is 0; `None`: each
            sequence is one.
        steps_to_saturation: integer, the steps without a reset after which the int16 state
            saturates, on the samples one after the other; `None` if it does not there.
        formats: `Formats`.
        integer_cell: `IntegerCell`.
        options, weights: the two blocks of bytes.
    """

    recurrent: Recurrent
    cell: FloatCell
    ranges: Ranges | None
    x: np.ndarray
    lengths: np.ndarray | None
    y: np.ndarray = None
    steps_to_saturation: int | None = None
    formats: Formats = None
    integer_cell: IntegerCell = None
    options: bytes = None
    weights: bytes = None

    @property
    def input(self):
        """`Affine` of x."""
        return self.formats.input

    @property
    def output(self):
        """`Affine` of y."""
        return self.formats.output

    def run_integers(self, x):
        """Runs the integer cell as the layer would.

        Args:
            x: `(n, timesteps, features)`: int8, or real values, which are rounded to it.

        Returns:
            `(y, StateRange)`: int8, in the layer's shape.
        """
        cell, lows, highs, saturated = self.integer_cell, [], [], []

        def advance(x, state):
            x = x if x.dtype == np.int8 else self.input.quantize(x)
            h = reference.states(cell, x, state)
            lows.append(int(h.min()))
            highs.append(int(h.max()))
            saturated.append(np.count_nonzero((h == 32767) | (h <= -32767)))
            return reference.output(cell, h), h[:, -1]

        def run(x):
            return run_in_blocks(
                advance,
                x,
                units=cell.units,
                dtype=np.int8,
                return_sequences=self.keeps_sequences,
            )

        y = self.recurrent.write(in_streams(run, self.recurrent.read(x), self.lengths))
        values = x.shape[0] * x.shape[1] * cell.units
        return y, StateRange(min(lows), max(highs), sum(saturated) / values)

    @property
    def keeps_sequences(self):
        """Whether a run keeps more than its last step: a stream is cut into its samples behind."""
        return self.recurrent.return_sequences or self.lengths is not None


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A converted model and what it was made from.

    Attributes:
        model: bytes, the .tflite file.
        loop_free: bytes, the same without its recurrent operators and with int8 inputs and outputs:
            those of the model, and then what each recurrent operator writes and reads.
        operators: list of `Operator`, in the order in which they run.
        inputs, outputs: lists of float arrays, the representative samples and what the Keras model
            makes of them.
        fronts: list of the `Front` of each input, which the file computes in float32.
        lengths: integers, the steps of each stream of a streaming model; `None` for another.
    """

    model: bytes
    loop_free: bytes
    operators: list
    inputs: list
    outputs: list
    fronts: list
    lengths: np.ndarray | None

    @property
    def rounded_inputs(self):
        """The samples as they are where they are rounded to int8."""
        return [front(x) for front, x in zip(self.fronts, self.inputs, strict=True)]


def convert(
    model,
    *,
    representative_dataset,
    streaming=False,
    reset="sample",
    input_type="float32",
    output_type="float32",
    optimize="size",
):
    """Converts a Keras model with FastRNN or FastGRNN layers to an int8 TFLite model.

    Each recurrent layer becomes one custom operator, `FASTGRNN` (docs/format.md). Every other layer
    becomes what TensorFlow's converter makes of it in int8. The model runs in TensorFlow Lite for
    Microcontrollers, with a batch of 1 and as many time steps as the representative samples have.

    Args:
        model: built `keras.Sequential` or functional `keras.Model`. FastRNN, FastGRNN and
            `keras.layers.RNN` over their cells may stand anywhere in it, also in `Bidirectional`
            and in models within the model.
        representative_dataset: what the model will read, from which all ranges are taken: an array
            `(n, ...)`, of several inputs a dict by their names or a list in their order; or batches
            of these, as a list, a generator, a function that returns one, a `tf.data.Dataset` or a
            `keras.utils.PyDataset`. Of `(x, y)` the labels are left out (docs/quantize.md). A
            hundred samples are usually enough, of all classes; do not use test samples.
        streaming: boolean. If `True`, the model takes one time step an invocation and keeps its
            state; layers behind the recurrent ones then run at each step. Samples may have any
            number of steps.
        reset: of a streaming model, where a stream begins, with a state of 0. `"sample"`: at each
            sample; the chip has to be reset as well. `"never"`: all samples are one stream, in
            their order, and as long a one as the chip will see. Layers with `stateful=True` take
            all samples as one stream, whatever this is.
        input_type, output_type: `"float32"` or `"int8"`.
        optimize: `"size"`: each recurrent matrix takes the encoding of the fewest bytes. `"speed"`:
            the one that a Cortex-M with DSP instructions is fastest with (docs/format.md).

    Returns:
        bytes, the content of a .tflite file.

    Raises:
        ValueError: if the model or the data can not be converted, with the layer and the reason.

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
        input_type=input_type,
        output_type=output_type,
        optimize=optimize,
    )
    compared, _ = compare_outputs(few_samples(result))
    for message in (*unresolved(result), *large_errors(result, compared)):
        warn(message)
    return result.model


def conversion(
    model,
    *,
    representative_dataset,
    streaming=False,
    reset="sample",
    input_type="float32",
    output_type="float32",
    optimize="size",
):
    """`convert()`, with all that it found on the way: returns a `Conversion`."""
    for name, value, known in (
        ("input_type", input_type, ("float32", "int8")),
        ("output_type", output_type, ("float32", "int8")),
        ("reset", reset, ("sample", "never")),
        ("optimize", optimize, ("size", "speed")),
    ):
        if value not in known:
            choice = " or ".join(map(repr, known))
            raise ValueError(f"{name}={value!r} is not supported: use {choice}.")
    if reset == "never" and not streaming:
        raise ValueError("reset='never' is for streaming=True: other models begin at each sample.")
    columns = representative_arrays(
        functional(model).inputs, representative_dataset, streaming=streaming
    )
    if streaming:
        samples, lengths = as_steps(columns)
        check_streaming(model, samples, lengths)
        if reset == "never":
            lengths = lengths.sum(keepdims=True)
    else:
        samples, lengths = [np.concatenate(column) for column in columns], None
    ends, passed = _fronts(model, samples, input_type)
    inputs = [front(x) for front, x in zip(ends, samples, strict=True)]

    def call(layer, args, kwargs):
        return args[0] if layer in passed else call_layer(layer, args, kwargs)

    operators = []

    def run_float(recurrent, x):
        operator = _run_float(recurrent, x, lengths)
        tensor = _tensor(operator.y)
        operator.y = np.asarray(tensor)  # its memory: a copy may be a gigabyte
        operators.append(operator)
        return tensor

    tensors = [_tensor(x) for x in inputs]
    outputs = [np.asarray(y) for y in walk(model, tensors, run_float, call=call)]

    def loop_free(*tensors):
        """Of the model's inputs and the recurrent layers' outputs; gives the model's outputs, the
        recurrent layers' inputs, and what has a format from training."""
        unread, read = list(tensors[len(inputs) :]), []

        def cut(_, x):
            read.append(x)
            return unread.pop(0)

        with plain_dense() as products:
            results = walk(model, list(tensors[: len(inputs)]), cut, call=call) + read
        output_formats[:] = [layer.output_format for layer, _ in products]
        return results + [product for _, product in products]

    arguments = [*inputs, *(operator.y for operator in operators)]
    results = [*outputs, *(operator.x for operator in operators)]
    output_formats = []
    try:
        tflite = convert_loop_free(loop_free, _with_ends(inputs, operators))
    except ValueError as error:
        raise explain(error, model, samples, [operator.y for operator in operators]) from error
    flatbuffer.strip(tflite)
    graph = tflite.subgraphs[0]
    for index, output_format in zip(graph.outputs[len(results) :], output_formats, strict=True):
        flatbuffer.set_affine(graph.tensors[index], output_format)
    graph.outputs = graph.outputs[: len(results)]
    for index, values in [
        *zip(graph.inputs, arguments, strict=True),
        *zip(graph.outputs, results, strict=True),
    ]:
        # What only recurrent layers touch, the converter passed on and gave no scale.
        tensor = graph.tensors[index]
        if flatbuffer.affine(tensor) is None and values.dtype == np.float32:
            flatbuffer.set_affine(tensor, affine_int8(values.min(), values.max()))

    placed = [
        *zip(operators, graph.outputs[len(outputs) :], graph.inputs[len(inputs) :], strict=True)
    ]
    for operator, x, y in placed:
        if operator.formats is not None:
            _keep_formats(tflite, operator, x, y)
    loop_free_bytes = flatbuffer.serialize(tflite)
    for operator, x, y in placed:
        recurrent = operator.recurrent
        try:
            if operator.formats is None:
                input, output = (flatbuffer.affine(graph.tensors[index]) for index in (x, y))
                operator.formats, cell = choose_formats(
                    operator.cell, operator.ranges, input=input, output=output
                )
                operator.integer_cell = round_to(operator.formats, cell)
            operator.options, operator.weights = pack(
                operator.integer_cell,
                return_sequences=recurrent.return_sequences,
                go_backwards=recurrent.go_backwards,
                reverse_output=recurrent.reverse_output,
                stateful=recurrent.stateful,
                optimize=optimize,
            )
        except ValueError as error:
            raise ValueError(f"Layer '{recurrent.name}': {error}") from error
        _warn_if_saturated(operator)
        flatbuffer.add_recurrent(tflite, x, y, operator.options, operator.weights)
    find_saturation(model, samples, operators)
    limits = [operator.steps_to_saturation for operator in operators]
    if any(limits):
        flatbuffer.set_steps_to_saturation(tflite, min(filter(None, limits)))

    graph.inputs = list(graph.inputs[: len(inputs)])
    graph.outputs = list(graph.outputs[: len(outputs)])
    for i, values in enumerate(inputs):
        if input_type == "float32" and values.dtype == np.float32:
            flatbuffer.float_input(tflite, i, ends[i])
    for i in range(len(outputs)):
        if output_type == "float32":
            flatbuffer.float_output(tflite, i)
    for index, name in [
        *zip(graph.inputs, (x.name for x in model.inputs), strict=True),
        *zip(graph.outputs, (y._keras_history[0].name for y in model.outputs), strict=True),
    ]:
        graph.tensors[index].name = name
    data = seal(flatbuffer.serialize(tflite))
    try:
        verify(data)
    except ValueError as error:
        raise explain(error, model, samples, [operator.y for operator in operators]) from error
    return Conversion(data, loop_free_bytes, operators, samples, outputs, ends, lengths)


def _fronts(model, samples, input_type):
    """`fronts()` of a file that takes float32; one that takes int8 has rounded before."""
    if input_type == "int8":
        return [Front()] * len(samples), set()
    return fronts(model, samples)


def _with_ends(inputs, operators):
    """The representative samples of the model without its recurrent layers. Two more take each
    output whose format is from training to both of its ends, so that the converter finds it too."""
    if all(operator.formats is None for operator in operators):
        return [*inputs, *(operator.y for operator in operators)]
    more = [np.concatenate([x, np.resize(x, (2, *x.shape[1:]))]) for x in inputs]
    for operator in operators:
        y = operator.y
        ends = np.resize(y, (2, *y.shape[1:]))
        if operator.formats is not None:
            low, high = operator.output.dequantize(np.array([-128, 127], np.int8))
            alternate = (np.arange(ends[0].size) % 2).reshape(ends[0].shape)
            ends = np.where(np.stack([alternate, 1 - alternate]), high, low).astype(np.float32)
        more.append(np.concatenate([y, ends]))
    return more


# Of these TensorFlow Lite derives the arithmetic from the scales in the file.
_ANY_OUTPUT_SCALE = {
    getattr(schema.BuiltinOperator, name)
    for name in ("ADD", "SUB", "MUL", "FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
}


def _keep_formats(tflite, operator, x, y):
    """Gives what a recurrent operator reads and writes the formats that it was trained with."""
    graph = tflite.subgraphs[0]
    for does, index, trained in (("reads", x, operator.input), ("writes", y, operator.output)):
        found = flatbuffer.affine(graph.tensors[index])
        writers = [other for other in graph.operators if index in other.outputs]
        readers = [other for other in graph.operators if index in other.inputs]
        codes = {tflite.operatorCodes[writer.opcodeIndex].builtinCode for writer in writers}
        if not readers and codes <= _ANY_OUTPUT_SCALE:
            flatbuffer.set_affine(graph.tensors[index], trained)
        # The converter's scale may be off by the last bit of a float32, which changes no integer.
        elif found.zero_point != trained.zero_point or not np.isclose(
            found.scale, trained.scale, rtol=1e-6, atol=0
        ):
            raise ValueError(
                f"Layer '{operator.recurrent.name}' was trained with {trained}, but what it {does} "
                f"has {found}, which other layers (of pooling, concatenation) share. Give the "
                "samples that quantization_aware() got, and do not train these layers; or leave "
                "them out."
            )


def _warn_if_saturated(operator):
    """Says so if the integer state meets its limit on the representative sequences."""
    _, states = operator.run_integers(operator.x)
    if states.saturated > 0:
        warn(
            f"Layer '{operator.recurrent.name}': {states.saturated:.2%} of its int16 states "
            "saturate on the representative samples, where the float model's do not. Normalise "
            "its input."
        )


def _run_float(recurrent, x, lengths):
    """Runs a cell as the layer would, on `x (n, timesteps, features)`: an `Operator`.

    Streaming makes every layer stateful, with streams of these lengths; else these are `None`, and
    what a stateful layer reads is one stream.
    """
    cell, x = fold(recurrent.cell, recurrent.name), np.asarray(x)
    if lengths is not None:
        recurrent = dataclasses.replace(recurrent, stateful=True)
    elif recurrent.stateful:
        lengths = [x.shape[0] * x.shape[1]]
    operator = Operator(recurrent, cell, None, x, lengths)
    formats = getattr(recurrent.cell, "formats", None)
    if formats is not None:  # chosen before it was trained with them
        operator.formats, operator.integer_cell = formats, round_to(formats, cell)
        y, _ = operator.run_integers(x)
        operator.y = operator.output.dequantize(y).astype(np.float32)
        return operator
    found, steps = [], []

    def run(x):
        ranges, states = calibrate(
            cell, x, return_sequences=operator.keeps_sequences, dtype=np.float32
        )
        found.append(ranges)
        steps.append(x.shape[0] * x.shape[1])
        return states

    try:
        states = in_streams(run, recurrent.read(x), lengths)
    except ValueError as error:
        raise ValueError(f"Layer '{recurrent.name}': {error}") from error
    operator.ranges, operator.y = merged(found, steps), recurrent.write(states)
    return operator


def _tensor(x):
    return tf.convert_to_tensor(x)
