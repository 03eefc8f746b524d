"""`convert()`: the way from a Keras model to a .tflite file."""

import dataclasses
import warnings

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export import flatbuffer, reference
from keras_fastgrnn.export.calibrate import Ranges, calibrate
from keras_fastgrnn.export.fold import FloatCell, fold
from keras_fastgrnn.export.front import Front, fronts
from keras_fastgrnn.export.graph import Recurrent, functional, walk
from keras_fastgrnn.export.loop_free import convert_loop_free
from keras_fastgrnn.export.measure import compare_outputs, few_samples, large_errors
from keras_fastgrnn.export.options import pack
from keras_fastgrnn.export.quantize import (
    HEADROOM,
    Formats,
    affine_int8,
    choose_formats,
    round_to,
)
from keras_fastgrnn.export.quantized_layers import plain_dense
from keras_fastgrnn.export.reference import IntegerCell
from keras_fastgrnn.export.resolution import unresolved, warn
from keras_fastgrnn.micro.verify import seal, verify


@dataclasses.dataclass
class Operator:
    """One recurrent operator of a converted model.

    Attributes:
        recurrent: `Recurrent`, where it stands in the Keras model.
        cell: `FloatCell`.
        ranges: `Ranges` of the calibration; `None` if the formats were given by training.
        x, y: float arrays, the representative sequences that it read and wrote.
        formats: `Formats`.
        integer_cell: `IntegerCell`.
        options, weights: the two blocks of bytes.
    """

    recurrent: Recurrent
    cell: FloatCell
    ranges: Ranges | None
    x: np.ndarray
    y: np.ndarray = None
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

    def integer_states(self, x):
        """int8 `x (n, timesteps, features)` -> the int16 states `(n, timesteps, units)`, in the
        order in which the cell reads the steps; of a stateful one the sequences are one stream."""
        x = self.recurrent.read(x)
        stream = x.reshape(1, -1, x.shape[2]) if self.recurrent.stateful else x
        return reference.states(self.integer_cell, stream).reshape(*x.shape[:2], self.cell.units)


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
    """

    model: bytes
    loop_free: bytes
    operators: list
    inputs: list
    outputs: list
    fronts: list

    @property
    def rounded_inputs(self):
        """The samples as they are where they are rounded to int8."""
        return [front(x) for front, x in zip(self.fronts, self.inputs, strict=True)]


def convert(
    model,
    *,
    representative_dataset,
    streaming=False,
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
            `(n, ...)` of inputs, or an iterable of such batches, or a function without arguments
            that returns one. If the model has several inputs, each batch is a list of arrays. A
            hundred samples are usually enough; do not use test samples.
        streaming: boolean. If `True`, the model takes one time step an invocation and keeps its
            state; layers behind the recurrent ones then run at each step. The representative
            sequences are read as one stream, in their order.
        input_type, output_type: `"float32"` or `"int8"`.
        optimize: `"size"`: each recurrent matrix takes the encoding of the fewest bytes. `"speed"`:
            the one that a Cortex-M with DSP instructions is fastest with (docs/format.md).

    Returns:
        bytes, the content of a .tflite file.

    Raises:
        ValueError: if the model or the data can not be converted, with the layer and the reason.

    Example:

    >>> model_bytes = keras_fastgrnn.export.convert(model, representative_dataset=x_train[:200])
    >>> pathlib.Path("model.tflite").write_bytes(model_bytes)
    """
    result = conversion(
        model,
        representative_dataset=representative_dataset,
        streaming=streaming,
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
    input_type="float32",
    output_type="float32",
    optimize="size",
):
    """`convert()`, with all that it found on the way: returns a `Conversion`."""
    for name, value, known in (
        ("input_type", input_type, ("float32", "int8")),
        ("output_type", output_type, ("float32", "int8")),
        ("optimize", optimize, ("size", "speed")),
    ):
        if value not in known:
            choice = " or ".join(map(repr, known))
            raise ValueError(f"{name}={value!r} is not supported: use {choice}.")
    inputs = _representative_arrays(functional(model).inputs, representative_dataset)
    if streaming:
        _check_streaming(model, inputs)
        inputs = _as_steps(inputs)
    samples = inputs
    ends, passed = _fronts(model, samples, input_type)
    inputs = [front(x) for front, x in zip(ends, samples, strict=True)]

    operators = []

    def run_float(recurrent, x):
        operator = _run_float(recurrent, x, streaming)
        recurrent, ranges = operator.recurrent, operator.ranges
        growing = ranges is not None and ranges.state > HEADROOM * ranges.early_state
        if recurrent.stateful and growing:
            warnings.warn(
                f"Layer '{recurrent.name}': its state was still growing at the end of the "
                f"representative stream ({ranges.early_state:g} in the first half, then "
                f"{ranges.state:g}), so a longer one would saturate it. Reset the model from time "
                "to time, or give a longer stream.",
                stacklevel=2,
            )
        operators.append(operator)
        return _tensor(operator.y)

    tensors = [_tensor(x) for x in inputs]
    outputs = [np.asarray(y) for y in walk(model, tensors, run_float, passed=passed)]

    def loop_free(*tensors):
        """Of the model's inputs and the recurrent layers' outputs; gives the model's outputs, the
        recurrent layers' inputs, and what has a format from training."""
        unread, read = list(tensors[len(inputs) :]), []

        def cut(_, x):
            read.append(x)
            return unread.pop(0)

        with plain_dense() as products:
            results = walk(model, list(tensors[: len(inputs)]), cut, passed=passed) + read
        output_formats[:] = [layer.output_format for layer, _ in products]
        return results + [product for _, product in products]

    arguments = [*inputs, *(operator.y for operator in operators)]
    results = [*outputs, *(operator.x for operator in operators)]
    output_formats = []
    tflite = convert_loop_free(loop_free, _with_ends(inputs, operators))
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
        raise ValueError(f"The model can not run in TensorFlow Lite Micro: {error}") from error
    return Conversion(data, loop_free_bytes, operators, samples, outputs, ends)


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
    states = operator.integer_states(operator.input.quantize(operator.x))
    saturated = np.mean(np.abs(states.astype(np.int32)) >= 32767)
    if saturated > 0:
        warnings.warn(
            f"Layer '{operator.recurrent.name}': {saturated:.2%} of its int16 states saturate on "
            "the representative samples, where the float model's do not. Normalise its input.",
            stacklevel=3,
        )


def _run_float(recurrent, x, streaming):
    """Runs a cell as the layer would, on `x (n, timesteps, features)`: an `Operator`.

    Streaming makes every layer stateful: its n samples of one time step are one stream.
    """
    recurrent = dataclasses.replace(recurrent, stateful=recurrent.stateful or streaming)
    cell, x = fold(recurrent.cell, recurrent.name), np.asarray(x)
    formats = getattr(recurrent.cell, "formats", None)
    if formats is not None:  # chosen before it was trained with them
        operator = Operator(recurrent, cell, None, x, None, formats, round_to(formats, cell))
        states = operator.integer_states(operator.input.quantize(x))
        y = operator.output.dequantize(reference.output(operator.integer_cell, states))
        operator.y = recurrent.write(y.astype(np.float32))
        return operator
    try:
        ranges, states = calibrate(cell, recurrent.read(x), stateful=recurrent.stateful)
    except ValueError as error:
        raise ValueError(f"Layer '{recurrent.name}': {error}") from error
    return Operator(recurrent, cell, ranges, x, recurrent.write(states.astype(np.float32)))


def _representative_arrays(inputs, dataset):
    """One array for each of the model's inputs, of all samples."""
    if callable(dataset):
        dataset = dataset()
    batches = [dataset] if hasattr(dataset, "shape") else list(dataset)
    wanted = [(x.name, tuple(x.shape), tf.as_dtype(x.dtype).as_numpy_dtype) for x in inputs]
    columns = [[] for _ in wanted]
    for batch in batches:
        arrays = [np.asarray(a) for a in tf.nest.flatten(batch)]
        if len(arrays) != len(wanted):
            raise ValueError(
                f"A batch of the representative dataset holds {len(arrays)} arrays; the model has "
                f"{len(wanted)} inputs. Leave out labels."
            )
        for column, array in zip(columns, arrays, strict=True):
            column.append(array)
    if not batches:
        raise ValueError("The representative dataset is empty: give at least one batch.")
    return [_check_array(*spec, column) for spec, column in zip(wanted, columns, strict=True)]


def _check_array(name, shape, dtype, column):
    for array in column:
        if array.ndim != len(shape) or any(
            want not in (None, got) for want, got in zip(shape[1:], array.shape[1:], strict=True)
        ):
            raise ValueError(
                f"A representative sample for input '{name}' has shape {array.shape}; expected "
                f"(n, {', '.join('any' if s is None else str(s) for s in shape[1:])})."
            )
    shapes = {array.shape[1:] for array in column}
    if len(shapes) > 1:
        raise ValueError(
            f"The representative samples for input '{name}' have different shapes: "
            f"{sorted(shapes)}. The exported model has one: pad or cut them."
        )
    array = np.concatenate(column).astype(dtype)
    if array.size == 0:
        raise ValueError(f"The representative samples for input '{name}' are empty.")
    if not np.isfinite(array).all():
        raise ValueError(
            f"The representative samples for input '{name}' hold NaN or infinity: leave such "
            "samples out."
        )
    return array


def _as_steps(inputs):
    """`(n, timesteps, ...)` arrays -> `(n * timesteps, 1, ...)`."""
    return [x.reshape(-1, 1, *x.shape[2:]) for x in inputs]


def _check_streaming(model, inputs):
    """Refuses a model of which one step at a time does not give what the sequence gives."""

    timesteps = {x.shape[1] if x.ndim > 2 else None for x in inputs}
    if len(timesteps) > 1 or None in timesteps:
        raise ValueError(
            "Streaming needs inputs of shape (timesteps, features) with the same timesteps; got "
            f"{[x.shape[1:] for x in inputs]}."
        )
    (timesteps,) = timesteps

    def run(x, streaming, visit):
        def run_float(recurrent, x):
            if recurrent.go_backwards:
                raise ValueError(
                    f"Layer '{recurrent.name}' reads its sequence backwards (go_backwards or "
                    "Bidirectional), which streaming can not do."
                )
            return _tensor(_run_float(recurrent, x, streaming).y)

        walk(model, [_tensor(x) for x in x], run_float, visit)

    whole = []
    first = [x[:1] for x in inputs]
    run(first, False, lambda _, outputs: whole.append(tf.nest.flatten(outputs)))
    whole = iter(whole)

    def compare(name, outputs):
        for got, expected in zip(tf.nest.flatten(outputs), next(whole), strict=True):
            got, expected = np.asarray(got), np.asarray(expected)
            # A sequence is compared at every step, what follows one at the last step.
            if got.shape[1:2] == (1,) and expected.shape[1:2] == (timesteps,):
                got = got.swapaxes(0, 1)
            else:
                got = got[-1:]
            if got.shape != expected.shape or not np.allclose(got, expected, 1e-3, 1e-4):
                raise ValueError(
                    f"Layer '{name}' mixes time steps: given one at a time, its result would be "
                    "another. Convert the model without streaming, or leave the layer out."
                )

    run(_as_steps(first), True, compare)


def _tensor(x):
    return tf.convert_to_tensor(x)
