"""The .tflite file of recurrent layers one after another -> their integers."""

import dataclasses
import math

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export import flatbuffer
from keras_fastgrnn.export.options import unpack
from keras_fastgrnn.export.quantize import Affine
from keras_fastgrnn.export.reference import IntegerCell
from keras_fastgrnn.micro.verify import verify

# Of the values that a fused activation lets through.
_ENDS = {
    schema.ActivationFunctionType.RELU: (0, math.inf),
    schema.ActivationFunctionType.RELU_N1_TO_1: (-1, 1),
    schema.ActivationFunctionType.RELU6: (0, 6),
}
_BUILTINS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A FASTGRNN operator: its two blocks, and what they say."""

    options: bytes
    weights: bytes
    integer_cell: IntegerCell
    stateful: bool


@dataclasses.dataclass(frozen=True)
class Dense:
    """An int8 FULLY_CONNECTED operator, as TFLite Micro computes it.

    An output is `weights x + bias`, times `multiplier / 2**31 * 2**shift`, plus `zero_point`,
    cut off at `low` and `high`.

    Attributes:
        weights: int8 `(units, features)`.
        bias, multiplier, shift: lists of `units` integers. The bias has the zero point of `x` in
            it.
        zero_point, low, high: integers.
    """

    weights: np.ndarray
    bias: list
    multiplier: list
    shift: list
    zero_point: int
    low: int
    high: int


@dataclasses.dataclass(frozen=True)
class Chain:
    """A model.

    Attributes:
        input, output: `Affine` of its int8 values.
        timesteps: of the sequences that it was converted for.
        cells: list of `Cell`.
        dense: `Dense` or `None`.
        softmax: whether a softmax would follow, which `output` is not of.
    """

    input: Affine
    output: Affine
    timesteps: int
    cells: list
    dense: Dense | None
    softmax: bool


def read_chain(tflite):
    """Reads a model that is cells one after another, then at most a Dense layer and a softmax.

    Args:
        tflite: bytes that `convert()` returned.

    Returns:
        `Chain`.

    Raises:
        ValueError: if the file is damaged, or the model is another, with the operator and why.
    """
    verify(tflite)
    file = schema.ModelT.InitFromPackedBuf(tflite, 0)
    (graph,) = file.subgraphs
    for ends in ("inputs", "outputs"):
        count = len(getattr(graph, ends))
        if count != 1:
            raise ValueError(f"The model has {count} {ends}; only one can be written as C.")
    (last,) = graph.inputs  # the tensor that the next operator has to read
    rest = list(graph.operators)

    def name_of(operator):
        code = file.operatorCodes[operator.opcodeIndex]
        name = _BUILTINS[code.builtinCode]
        return code.customCode.decode() if name == "CUSTOM" else name

    def refuse(operator, problem):
        raise ValueError(
            f"Operator {graph.operators.index(operator)}, {name_of(operator)}, can not be written "
            f"as C: {problem}. Use TFLite Micro, or a model of FastRNN and FastGRNN layers one "
            "after another, then at most a Dense layer and a softmax."
        )

    def take(name):
        """The next operator, if it is the one; else `None`."""
        nonlocal last
        if not rest or name_of(rest[0]) != name or rest[0].inputs[0] != last:
            return None
        (last,) = rest[0].outputs
        return rest.pop(0)

    def affine():
        return flatbuffer.affine(graph.tensors[last])

    def constant(index, dtype):
        data = file.buffers[graph.tensors[index].buffer].data
        return np.frombuffer(bytes(data), dtype).reshape(graph.tensors[index].shape)

    if graph.tensors[last].type == schema.TensorType.FLOAT32:
        take("QUANTIZE")
    input, shape, cells, dense = affine(), graph.tensors[last].shape, [], None
    while operator := take("FASTGRNN"):
        options, weights = bytes(operator.customOptions), constant(operator.inputs[1], np.int8)
        cell, flags = unpack(options, weights.tobytes())
        if flags["go_backwards"] or flags["reverse_output"]:
            refuse(operator, "it reads or writes the steps from last to first")
        if cells and flags["stateful"] != cells[0].stateful:
            refuse(operator, "it is stateful and an operator before it is not, or the reverse")
        cells.append(Cell(options, weights.tobytes(), cell, flags["stateful"]))

    x = affine()
    if cells and (operator := take("FULLY_CONNECTED")):
        weights, units = constant(operator.inputs[1], np.int8), cells[-1].integer_cell.units
        if weights.shape[1] != units:
            refuse(operator, f"it reads {weights.shape[1]} values at once, and a step has {units}")
        has_bias = len(operator.inputs) == 3 and operator.inputs[2] != -1
        dense = _dense(
            weights,
            constant(operator.inputs[2], np.int32).ravel() if has_bias else np.int32(0),
            graph.tensors[operator.inputs[1]].quantization.scale,
            operator.builtinOptions.fusedActivationFunction,
            x,
            affine(),
        )
        if dense is None:
            refuse(operator, "its sums may overflow 32 bits")
    output = affine()
    softmax = take("SOFTMAX") is not None
    take("DEQUANTIZE")
    if rest and rest[0].inputs[0] != last:
        refuse(rest[0], "it does not read what the operator before it writes")
    elif rest:
        refuse(rest[0], "it can not stand here")
    if not cells or last != graph.outputs[0]:
        raise ValueError("The model's output does not come from a FASTGRNN operator.")
    return Chain(input, output, int(shape[1]), cells, dense, softmax)


def _dense(weights, bias, scales, activation, input, output):
    """Returns a `Dense`; `None` if a sum may overflow."""
    w = weights.astype(np.int64)
    bias = bias - input.zero_point * w.sum(axis=1)
    factors = np.broadcast_to(input.scale * scales.astype(np.float64) / output.scale, len(w))
    factors = [_quantize_multiplier(factor) for factor in factors.tolist()]
    multiplier, shift = (list(column) for column in zip(*factors, strict=True))

    least = bias + np.minimum(-128 * w, 127 * w).sum(axis=1)
    most = bias + np.maximum(-128 * w, 127 * w).sum(axis=1)
    largest = np.maximum(-least, most).tolist()
    if max(v << max(s, 0) for v, s in zip(largest, shift, strict=True)) + 128 >= 2**31:
        return None  # 128 is for the zero point

    low, high = -128, 127
    if activation != schema.ActivationFunctionType.NONE:
        least, most = _ENDS[activation]
        low = max(low, _quantize_end(least, output))
        high = min(high, _quantize_end(most, output))
    return Dense(weights, bias.tolist(), multiplier, shift, output.zero_point, low, high)


def _quantize_end(value, output):
    """As TFLite Micro does it: rounded half away from 0, after a division in float32."""
    value = float(np.float32(value) / np.float32(output.scale))
    if math.isinf(value):
        return 127
    return output.zero_point + int(math.copysign(math.floor(abs(value) + 0.5), value))


def _quantize_multiplier(value):
    """`(multiplier, shift)`, for which `multiplier / 2**31 * 2**shift` is nearest to `value`."""
    fraction, shift = math.frexp(value)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)
