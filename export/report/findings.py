"""The ranges, bytes and errors of a conversion."""

import collections
import dataclasses
from typing import NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.converter import Conversion
from keras_fastgrnn.export.operators import Operator, StateRange
from keras_fastgrnn.export.report.measure import (
    Compared,
    compare,
    compare_outputs,
    integer_run,
    large_errors,
)
from keras_fastgrnn.export.report.resolution import unresolved
from keras_fastgrnn.export.tflite import flatbuffer

STRUCTURE = "structure of the file"


class Layer(NamedTuple):
    """An operator with int8 weights.

    Attributes:
        name: string, the Keras layer's for a recurrent one, else the operator's.
        weights: dict of int8 arrays.
        operator: `Operator`; `None`, like the next two, for an operator of TensorFlow Lite.
        compared: `measure.Compared` of the operator's output.
        states: `StateRange`.
    """

    name: str
    weights: dict
    operator: Operator | None = None
    compared: Compared | None = None
    states: StateRange | None = None


@dataclasses.dataclass(frozen=True)
class Findings:
    """The contents of a report.

    Attributes:
        conversion: `Conversion`.
        model: `schema.ModelT`, the file.
        parts: dict from the name of each part of the file to its bytes. They sum to the file.
        layers: list of `Layer`, the recurrent ones first.
        outputs: list of `Compared`, one for each output of the model.
        measured_in: string, the interpreter that ran the model for `outputs`. Values inside the
            model come from the integer model, which has the bytes of the recurrent operators.
    """

    conversion: Conversion
    model: schema.ModelT
    parts: dict
    layers: list
    outputs: list
    measured_in: str

    @property
    def stream(self):
        """Whether the samples are the steps of streams, as in a streaming model."""
        stateful = [operator.recurrent.stateful for operator in self.conversion.operators]
        steps = all(x.shape[1:2] == (1,) for x in self.conversion.inputs)
        return bool(stateful) and all(stateful) and steps

    @property
    def compared(self):
        return [*(layer.compared for layer in self.layers if layer.operator), *self.outputs]

    @property
    def warnings(self):
        """A list of messages on faults in the numbers of the file."""
        return [*unresolved(self.conversion), *large_errors(self.conversion, self.outputs)]


def examine(conversion):
    """`Conversion` -> `Findings`. Most of its time, it runs the model."""
    model = schema.ModelT.InitFromPackedBuf(conversion.model, 0)
    cells, integer_outputs = integer_run(conversion)
    outputs, measured_in = compare_outputs(conversion, integer_outputs)
    layers = []
    for operator, (states, y) in zip(conversion.operators, cells, strict=True):
        name, cell = operator.recurrent.name, operator.integer_cell
        matrices = {}
        for kind in ("kernel", "recurrent_kernel"):
            *first, last = (matrix.values for matrix in getattr(cell, kind))
            matrices |= {f"{kind}_a": values for values in first} | {kind: last}
        affine = operator.formats.output
        compared = compare(name, affine, operator.y, affine.dequantize(y))
        layers.append(Layer(name, matrices, operator, compared, states))
    for name, operator in operator_names(model, conversion.operators):
        if not name.startswith("FASTGRNN"):
            layers += [
                Layer(name, {"weights": data.view(np.int8)})
                for tensor, data in _constants(model, operator)
                if tensor.type == schema.TensorType.INT8
            ]
    return Findings(conversion, model, parts(model, conversion), layers, outputs, measured_in)


class Range(NamedTuple):
    """The range of a tensor's values on the calibration set.

    Attributes:
        name, type: strings.
        low, high: floats, the smallest and the largest value.
        least, most: floats, the limits of the format.
        saturated: the fraction of values beyond the limits; `None` if only the largest magnitude
            is known.
    """

    name: str
    type: str
    low: float
    high: float
    least: float
    most: float
    saturated: float | None


def end_ranges(findings):
    """Returns the `Range` of each quantised input and output of the model."""
    conversion = findings.conversion
    inputs = zip(
        conversion.names[0], conversion.rounded_inputs, conversion.rest.inputs, strict=True
    )
    for i, (name, values, affine) in enumerate(inputs):
        if affine is not None:
            yield _end_range(f"input {i} ({name})", values, affine)
    for at in findings.outputs:
        yield _end_range(at.name, at.expected, at.affine)


def layer_ranges(layer):
    """Returns the `Range` of each tensor of a recurrent layer with a format from calibration."""
    operator = layer.operator
    formats, seen = operator.formats, operator.ranges
    yield _end_range("reads", operator.x, formats.input)
    unit = formats.state_scale
    magnitudes = []
    for name, matrices, of_input in (
        ("kernel", formats.kernel, formats.input_unit),
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
    yield Range("state", "int16", *(v * unit for v in states[:2]), -limit, limit, states.saturated)
    yield _end_range("writes", operator.y, formats.output)


def _end_range(name, values, affine):
    least, most = affine.limits
    half = affine.scale / 2  # a value that rounds to a limit does not saturate
    saturated = np.mean((values < least - half) | (values > most + half))
    return Range(name, affine.dtype, values.min(), values.max(), least, most, saturated)


def worst(findings, most, apart):
    """Returns the indexes of at most `most` samples, with the largest error at any output in
    steps of its format. The steps of a stream are more than `apart` from each other."""
    errors = np.max([at.by_sample / at.affine.scale for at in findings.outputs], axis=0)
    found = []
    for i in np.argsort(-errors, kind="stable").tolist():
        if len(found) < most and not (findings.stream and any(abs(i - j) <= apart for j in found)):
            found.append(i)
    return found


def stream_limits(findings):
    """Returns a sentence for each stateful layer: after how many steps its state saturates."""
    conversion = findings.conversion
    for operator, steps in zip(conversion.operators, conversion.steps_to_saturation, strict=True):
        name = operator.recurrent.name
        if steps is not None:
            yield f"{name}: without a reset its state saturates after {steps:,} steps"
        elif operator.recurrent.stateful:
            yield f"{name}: without a reset its state does not saturate on all samples in a row"


def operator_names(model, operators):
    """Returns a name for each operator of the file: FASTGRNN has its Keras layer's."""
    recurrent = {operator.weights: operator.recurrent.name for operator in operators}
    graph = model.subgraphs[0]
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name == "FASTGRNN":
            weights = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
            name = f"FASTGRNN {recurrent[bytes(weights)]}"
        yield name, operator


def _constants(model, operator):
    """Yields `(tensor, bytes as an array)` for each constant that an operator reads."""
    graph = model.subgraphs[0]
    for index in operator.inputs:
        data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
        if data is not None:
            yield graph.tensors[index], np.asarray(data, np.uint8)


def parts(model, conversion):
    """Returns a dict from the name of each part of a file to its bytes."""
    found = collections.Counter()
    for operator in conversion.operators:
        name = operator.recurrent.name
        cell = operator.integer_cell
        bias = cell.bias.size * 2
        found[f"{name}: options"] += len(operator.options)
        found[f"{name}: biases"] += bias
        found[f"{name}: matrices"] += len(operator.weights) - bias
    for name, operator in operator_names(model, conversion.operators):
        if name.startswith("FASTGRNN"):
            continue
        for _, data in _constants(model, operator):
            found[f"{name}: constants"] += len(data)
    found[STRUCTURE] = len(conversion.model) - found.total()
    return dict(found)
