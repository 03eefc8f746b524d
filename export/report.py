"""What a conversion did: scales, bytes and errors, as data and as text."""

import collections
import dataclasses
import math
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export import flatbuffer, reference
from keras_fastgrnn.export.converter import Conversion, Operator
from keras_fastgrnn.export.quantize import Affine

_TYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if name.isupper()}
_BUILTINS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


class Compared(NamedTuple):
    """What the integer model makes of the representative samples, at one place.

    Attributes:
        name: string, of the recurrent operator, or `output i`.
        affine: `Affine` of the int8 values.
        expected: float array, what the Keras model has there.
        error: float64 array, the integer model's value less that.
        by_sample: array `(n,)`, the largest magnitude of the error in each sample.
        rms, largest, float_rms: floats, of the error, and of `expected`.
    """

    name: str
    affine: Affine
    expected: np.ndarray
    error: np.ndarray
    by_sample: np.ndarray
    rms: float
    largest: float
    float_rms: float


class Layer(NamedTuple):
    """An operator with int8 weights.

    Attributes:
        name: string, the Keras layer's for ours, else the operator's.
        weights: dict of int8 arrays.
        operator: `Operator`; `None` for one of TensorFlow Lite's, as are the next two.
        compared: `Compared`, of what it writes.
        states: int16 `(n, timesteps, units)`, in the order in which it reads the steps.
    """

    name: str
    weights: dict
    operator: Operator | None = None
    compared: Compared | None = None
    states: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a report is written from.

    Attributes:
        conversion: `Conversion`.
        model: `schema.ModelT`, the file.
        parts: dict, the bytes of each part of the file by its name. Their sum is the file.
        layers: list of `Layer`, the recurrent ones first.
        outputs: list of `Compared`, one for each output of the model.
    """

    conversion: Conversion
    model: schema.ModelT
    parts: dict
    layers: list
    outputs: list

    @property
    def stream(self):
        """Whether the samples are the steps of one stream, as streaming makes them."""
        stateful = [operator.recurrent.stateful for operator in self.conversion.operators]
        steps = all(x.shape[1:2] == (1,) for x in self.conversion.inputs)
        return bool(stateful) and all(stateful) and steps

    @property
    def compared(self):
        return [*(layer.compared for layer in self.layers if layer.operator), *self.outputs]


def examine(conversion):
    """`Conversion` -> `Findings`. Runs the integer model, which takes most of the time."""
    model = schema.ModelT.InitFromPackedBuf(conversion.model, 0)
    cells, outputs = integer_run(conversion)
    layers = []
    for operator, (states, y) in zip(conversion.operators, cells, strict=True):
        name, cell = operator.recurrent.name, operator.integer_cell
        matrices = {}
        for kind in ("kernel", "recurrent_kernel"):
            *first, last = (matrix.values for matrix in getattr(cell, kind))
            matrices |= {f"{kind}_a": values for values in first} | {kind: last}
        compared = _compare(name, operator.output, operator.y, y)
        layers.append(Layer(name, matrices, operator, compared, states))
    for name, operator in _operator_names(model, conversion.operators):
        constants = _constants(model, operator)
        if not name.startswith("FASTGRNN"):
            is_int8 = schema.TensorType.INT8
            int8 = [data.view(np.int8) for tensor, data in constants if tensor.type == is_int8]
            layers += [Layer(name, {"weights": values}) for values in int8]
    return Findings(
        conversion,
        model,
        _parts(model, conversion),
        layers,
        [
            _compare(f"output {i}", affine, expected, y)
            for i, ((y, affine), expected) in enumerate(
                zip(outputs, conversion.outputs, strict=True)
            )
        ],
    )


def _compare(name, affine, expected, y):
    error = affine.dequantize(y) - expected
    by_sample = np.abs(error).reshape(len(error), -1).max(axis=1)
    rms, float_rms = (np.sqrt(np.mean(np.square(v, dtype=np.float64))) for v in (error, expected))
    return Compared(name, affine, expected, error, by_sample, rms, by_sample.max(), float_rms)


class Range(NamedTuple):
    """What a tensor takes on the samples.

    Attributes:
        name, type: strings.
        low, high: floats.
        least, most: floats, the limits of its format.
        saturated: the share of its values that is beyond them; `None` if only the largest
            magnitude is known.
    """

    name: str
    type: str
    low: float
    high: float
    least: float
    most: float
    saturated: float | None


def end_ranges(findings):
    """The `Range` of each int8 input and output of the model."""
    conversion, graph = findings.conversion, findings.model.subgraphs[0]
    loop_free = schema.ModelT.InitFromPackedBuf(conversion.loop_free, 0).subgraphs[0]
    for i, values in enumerate(conversion.rounded_inputs):
        affine = flatbuffer.affine(loop_free.tensors[loop_free.inputs[i]])
        name = graph.tensors[graph.inputs[i]].name.decode()
        yield _int8_range(f"input {i} ({name})", values, affine)
    for at in findings.outputs:
        yield _int8_range(at.name, at.expected, at.affine)


def layer_ranges(layer):
    """The `Range` of each tensor of a recurrent layer whose format follows from the samples."""
    operator = layer.operator
    formats, seen = operator.formats, operator.ranges
    yield _int8_range("reads", operator.x, operator.input)
    exponent = formats.fraction_bits + sum(shift for _, shift in formats.recurrent_kernel)
    unit = 2.0**-exponent / math.prod(scale for scale, _ in formats.recurrent_kernel)
    magnitudes = []
    for name, matrices, of_input in (
        ("kernel", formats.kernel, operator.input.scale / formats.input_multiplier),
        ("recurrent_kernel", formats.recurrent_kernel, unit),
    ):
        if len(matrices) == 2:
            scale, shift = matrices[0]
            magnitudes.append((f"{name}_a", name, 32767 * of_input * scale * 2.0**shift))
    if formats.activation == "relu":
        magnitudes.append(("candidate", "candidate", 32767 * 2.0**-formats.fraction_bits))
    if formats.recurrent_activation == "relu":
        magnitudes.append(("gate", "gate", 2.0**formats.gate_shift))
    for name, attribute, limit in magnitudes if seen is not None else []:
        largest = getattr(seen, attribute)
        yield Range(name, "int16", -largest, largest, -limit, limit, None)
    states, limit = layer.states, 32767 * unit
    saturated = np.mean((states >= 32767) | (states <= -32767))
    yield Range(
        "state", "int16", states.min() * unit, states.max() * unit, -limit, limit, saturated
    )
    yield _int8_range("writes", operator.y, operator.output)


def _int8_range(name, values, affine):
    least, most = affine.dequantize(np.array([-128, 127]))
    half = affine.scale / 2  # what is rounded to a limit does not saturate
    saturated = np.mean((values < least - half) | (values > most + half))
    return Range(name, "int8", values.min(), values.max(), least, most, saturated)


def worst(findings, most, apart):
    """The indexes of the samples with the largest error at any output, in steps of its int8; no
    more than `most`. Those of a stream are more than `apart` from each other."""
    errors = np.max([at.by_sample / at.affine.scale for at in findings.outputs], axis=0)
    found = []
    for i in np.argsort(-errors, kind="stable").tolist():
        if len(found) < most and not (findings.stream and any(abs(i - j) <= apart for j in found)):
            found.append(i)
    return found


def report(conversion):
    """Returns the lines of a report on a `Conversion`."""
    return text(examine(conversion))


def text(findings):
    """Returns the lines of a report on `Findings`."""
    return [
        *_tensors(findings.model, findings.conversion.operators),
        "",
        "bytes  part",
        *(f"{size:>5}  {part}" for part, size in findings.parts.items()),
        f"{len(findings.conversion.model):>5}  in all",
        "",
        # The error at each recurrent operator and output.
        "error against the Keras model, on the representative samples",
        f"{'at':<32} {'rms':>10} {'largest':>10} {'float rms':>10}",
        *(
            f"{at.name:<32} {at.rms:>10.4g} {at.largest:>10.4g} {at.float_rms:>10.4g}"
            for at in findings.compared
        ),
    ]


def _operator_names(model, operators):
    """A name for each operator of the file: the Keras layer's for ours, else the builtin's."""
    recurrent = {operator.weights: operator.recurrent.name for operator in operators}
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = _BUILTINS[code.builtinCode]
        if name == "CUSTOM":
            weights = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
            name = f"FASTGRNN {recurrent[bytes(weights)]}"
        yield name, operator


def _constants(model, operator):
    """`(tensor, bytes as an array)` of each constant that an operator reads."""
    graph = model.subgraphs[0]
    for index in operator.inputs:
        data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
        if data is not None:
            yield graph.tensors[index], np.asarray(data, np.uint8)


def _tensors(model, operators):
    graph = model.subgraphs[0]
    written_by = {index: "input" for index in graph.inputs}
    for name, operator in _operator_names(model, operators):
        written_by.update((index, name) for index in operator.outputs)
    yield f"{'tensor':>6}  {'written by':<32} {'type':<8} {'shape':<16} {'scale':>11} zero  range"
    for index, tensor in enumerate(graph.tensors):
        shape = "x".join(str(n) for n in tensor.shape) if tensor.shape is not None else ""
        line = f"{index:>6}  {written_by.get(index, 'constant'):<32} "
        line += f"{_TYPES[tensor.type]:<8} {shape:<16} "
        q = tensor.quantization
        if q is not None and q.scale is not None:
            scale, zero = q.scale, q.zeroPoint
            limits = np.iinfo(_TYPES[tensor.type])
            low, high = ((limit - zero) * scale for limit in (limits.min, limits.max))
            per_axis = f" (largest of {len(scale)})" if len(scale) > 1 else ""
            line += f"{scale.max():>11.4g} {zero[0]:>4}  {low.min():.4g} .. {high.max():.4g}"
            line += per_axis
        yield line.rstrip()


def _parts(model, conversion):
    parts = collections.Counter()
    for operator in conversion.operators:
        name = operator.recurrent.name
        cell = operator.integer_cell
        bias = cell.bias.size * 2
        parts[f"{name}: options"] += len(operator.options)
        parts[f"{name}: biases"] += bias
        parts[f"{name}: matrices"] += len(operator.weights) - bias
    for name, operator in _operator_names(model, conversion.operators):
        if name.startswith("FASTGRNN"):
            continue
        for _, data in _constants(model, operator):
            parts[f"{name}: constants"] += len(data)
    parts["structure of the file"] = len(conversion.model) - parts.total()
    return dict(parts)


def integer_run(conversion):
    """Runs the integers of a conversion on its representative samples.

    The recurrent operators are the NumPy integer model, the rest is TensorFlow Lite. Each pass over
    the loop-free model adds the input of one more recurrent operator to what is known.

    Returns:
        `(cells, outputs)`: `(int16 states, int8 y)` for each recurrent operator, the states in the
        order in which it reads the steps, and `(array, Affine)` for each output of the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that LiteRT will replace this interpreter
        interpreter = tf.lite.Interpreter(model_content=conversion.loop_free)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    n_outputs = len(conversion.outputs)
    known = [
        Affine(*detail["quantization"]).quantize(x) if detail["dtype"] == np.int8 else x
        for x, detail in zip(conversion.rounded_inputs, inputs, strict=False)
    ]
    n, states = len(known[0]), []

    def run(sample):
        for i, detail in enumerate(inputs):
            value = known[i][sample] if i < len(known) else np.zeros(detail["shape"][1:], np.int8)
            interpreter.set_tensor(detail["index"], value[None])
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"])[0] for detail in outputs]

    for i, operator in enumerate(conversion.operators):
        x = np.stack([run(sample)[n_outputs + i] for sample in range(n)])
        states.append(operator.integer_states(x))
        written = operator.recurrent.write(states[-1])
        known.append(reference.output(operator.integer_cell, written))
    results = [run(sample)[:n_outputs] for sample in range(n)]
    return list(zip(states, known[len(conversion.inputs) :], strict=True)), [
        (np.stack(column), Affine(*detail["quantization"]))
        for column, detail in zip(zip(*results, strict=True), outputs, strict=False)
    ]
