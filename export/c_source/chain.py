"""Reads a .tflite file of recurrent layers, one after another, back into integers."""

import dataclasses
import math

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.c_source.sensor import Quantizer
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import unpack
from keras_fastgrnn.export.cell.reference import IntegerCell, round_shift
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.affine import Affine
from keras_fastgrnn.micro.verify import verify

# The least and the largest output of a fused activation.
_ENDS = {
    schema.ActivationFunctionType.RELU: (0, math.inf),
    schema.ActivationFunctionType.RELU_N1_TO_1: (-1, 1),
    schema.ActivationFunctionType.RELU6: (0, 6),
}

# The activations that may end a model, by their names in Keras. They are monotonic: the largest
# output stays the largest.
_ACTIVATIONS = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid", "TANH": "tanh"}

# The names of common layers, for errors about their operators.
_WORDS = {
    "ADD": "an addition",
    "AVERAGE_POOL_2D": "an average pooling",
    "CONCATENATION": "a concatenation",
    "CONV_2D": "a convolution",
    "DEPTHWISE_CONV_2D": "a depthwise convolution",
    "FASTGRNN": "a FastRNN or FastGRNN layer",
    "FULLY_CONNECTED": "a Dense layer",
    "LOGISTIC": "a sigmoid",
    "MAX_POOL_2D": "a max pooling",
    "MEAN": "an average",
    "MUL": "a multiplication",
    "RESHAPE": "a Reshape or Flatten",
    "SUB": "a subtraction",
}
_WAY_OUT = (
    "Use TFLite Micro (docs/tflm.md), or a model of FastRNN and FastGRNN layers one after another, "
    "then at most a Dense layer with a softmax, sigmoid or tanh. A Normalization or Rescaling may "
    "come first, in a file with float32 inputs."
)


class Unsupported(ValueError):
    """A model that C99 has no code for."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A FASTGRNN operator: its options block, and the cell of its two blocks."""

    options: bytes
    integer_cell: IntegerCell
    stateful: bool


@dataclasses.dataclass(frozen=True)
class Dense:
    """A FULLY_CONNECTED operator, as TFLite Micro computes it.

    An int8 output is `weights x + bias`, times `multiplier / 2**31 * 2**shift`, plus `zero_point`,
    cut off at `low` and `high`. An int16 output is `weights x + bias`, times
    `multiplier / 2**shift`, rounded half up, and cut off.

    Attributes:
        weights: int8 `(units, features)`.
        bias, multiplier, shift: lists of `units` integers. The bias includes the zero point of x.
        zero_point, low, high: integers.
        is_int16: boolean.
    """

    weights: np.ndarray
    bias: list
    multiplier: list
    shift: list
    zero_point: int
    low: int
    high: int
    is_int16: bool

    def run(self, x):
        """Integers `(n, features)` -> integers `(n, units)`."""
        sums = x.astype(np.int64) @ self.weights.T.astype(np.int64) + self.bias
        if self.is_int16:
            y = round_shift(sums * self.multiplier, np.array(self.shift))
            return np.clip(y, self.low, self.high).astype(np.int16)
        y = rescale(sums, np.array(self.multiplier), np.array(self.shift)) + self.zero_point
        return np.clip(y, self.low, self.high).astype(np.int8)


def rescale(v, multiplier, shift):
    """TFLite's MultiplyByQuantizedMultiplier: `v * multiplier / 2**31`, rounded half up, then
    `* 2**shift`, rounded half away from 0."""
    v = ((v << np.maximum(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    rest, half = v & ((1 << right) - 1), (1 << right) >> 1
    return (v >> right) + (rest + (v >= 0) > half) * (right > 0)


@dataclasses.dataclass(frozen=True)
class Chain:
    """A model.

    Attributes:
        sensor: string, the type of a sensor's integers if the file reads them; else `None`.
        factor, offset: float64 `(features,)`: the model quantises `x * factor + offset`. 1 and 0 if
            it does not begin with a normalisation.
        quantizer: `Quantizer` of a file that normalises in integers; `None` if it uses float32.
        input, output: `Affine` of the integers that the layers read and write.
        timesteps: the length of the sequences that the model was converted for.
        cells: list of `Cell`.
        dense: `Dense` or `None`.
        activation: `"softmax"`, `"sigmoid"` or `"tanh"` at the end of the file, which the C and
            `output` leave out; `None` if there is none.
        steps_to_saturation: integer, in the file's metadata; `None` if there is none.
    """

    sensor: str | None
    quantizer: Quantizer | None
    factor: np.ndarray
    offset: np.ndarray
    input: Affine
    output: Affine
    timesteps: int
    cells: list
    dense: Dense | None
    activation: str | None
    steps_to_saturation: int | None

    @property
    def features(self):
        return self.cells[0].integer_cell.features

    @property
    def outputs(self):
        return len(self.dense.bias) if self.dense else self.cells[-1].integer_cell.units

    def run(self, x):
        """Runs one sequence: integers `(timesteps, features)` -> the outputs after each step,
        integers `(timesteps, outputs)`."""
        for cell in (cell.integer_cell for cell in self.cells):
            [x], _ = reference.run(cell, x[None], return_sequences=True)
        return self.dense.run(x) if self.dense else x


def read_chain(tflite):
    """Reads a model of cells one after another, then at most a Dense layer and a softmax, sigmoid
    or tanh. A normalisation of each feature may come first.

    Args:
        tflite: bytes that `convert()` returned.

    Returns:
        `Chain`.

    Raises:
        ValueError: if the file is damaged, or holds another model; it names the operator that C can
            not have, and why.
    """
    verify(tflite)
    reader = _Reader(tflite)
    dtype, is_quantized = flatbuffer.type_name(reader.tensor), reader.affine is not None
    quantizer, normalization = _read_scaling(reader)
    factor, offset = _read_normalization(reader) if quantizer is None else normalization
    reads_sensor = quantizer is not None or (dtype != "float32" and not is_quantized)
    input, shape = reader.affine, reader.tensor.shape
    cells = _read_cells(reader)
    dense = _read_dense(reader, cells)
    output = reader.affine
    activation = next((name for code, name in _ACTIVATIONS.items() if reader.take(code)), None)
    reader.take("DEQUANTIZE")
    reader.end()
    return Chain(
        sensor=dtype if reads_sensor else None,
        quantizer=quantizer,
        factor=factor,
        offset=offset,
        input=input,
        output=output,
        timesteps=int(shape[1]),
        cells=cells,
        dense=dense,
        activation=activation,
        steps_to_saturation=reader.steps_to_saturation,
    )


class _Reader:
    """Takes the operators of a file one after another; each must read the output of the last."""

    def __init__(self, tflite):
        self._file = schema.ModelT.InitFromPackedBuf(tflite, 0)
        (self._graph,) = self._file.subgraphs
        for ends in ("inputs", "outputs"):
            if (count := len(getattr(self._graph, ends))) != 1:
                raise refusal(f"it has {count} {ends}, and C takes one")
        (self._last,) = self._graph.inputs
        self._rest = list(self._graph.operators)
        self._where, self._cells = "the input", 0
        self.tensors = self._graph.tensors
        self.steps_to_saturation = flatbuffer.steps_to_saturation(self._file)

    @property
    def tensor(self):
        return self.tensors[self._last]

    @property
    def affine(self):
        return flatbuffer.affine(self.tensor)

    def take(self, name):
        """Takes the next operator if it has this name; else returns `None`."""
        if not self._rest or self._name(self._rest[0]) != name:
            return None
        if self._last not in self._rest[0].inputs:
            return None
        operator = self._rest.pop(0)
        (self._last,) = operator.outputs
        self._cells += name == "FASTGRNN"
        places = {
            "FASTGRNN": f"recurrent layer {self._cells}",
            "FULLY_CONNECTED": "the Dense layer",
        }
        self._where = places.get(name, self._where)
        return operator

    def next_of(self, *names):
        """The second of the next operators if they have these names; else `None`."""
        found = [self._name(operator) for operator in self._rest[: len(names)]]
        return self._rest[1] if found == [*names] else None

    def constant(self, index, dtype):
        """The values of a constant tensor; `None` for another tensor."""
        tensor = self.tensors[index]
        data = self._file.buffers[tensor.buffer].data
        return None if data is None else np.frombuffer(bytes(data), dtype).reshape(tensor.shape)

    def end(self):
        """Refuses the operators that were not taken."""
        if self._rest:
            names = [self._name(operator) for operator in self._rest]
            ours = names.index("FASTGRNN", 1) if "FASTGRNN" in names[1:] else len(names)
            kinds = dict.fromkeys(name for name in names[:ours] if name != "DEQUANTIZE")
            words = ", ".join(f"{_WORDS[n]} ({n})" if n in _WORDS else n for n in kinds)
            problem = "C has no code for it there"
            if self._last not in self._rest[0].inputs:
                problem = "it reads another tensor, and C has no branches"
            raise refusal(f"after {self._where} comes {words}: {problem}")
        if not self._cells or self._last != self._graph.outputs[0]:
            raise refusal(
                "its output does not come from a recurrent layer, or a Dense layer after one"
            )

    def _name(self, operator):
        return flatbuffer.operator_name(self._file, operator)


def refusal(problem):
    return Unsupported(f"The model cannot be written as C: {problem}. {_WAY_OUT}")


def _read_scaling(reader):
    """Reads the operators of `flatbuffer.scaled_input()`, which normalise an int16 sensor. Returns
    `(Quantizer, [factor, offset])`; `(None, None)` for another model."""
    features = int(reader.tensor.shape[-1])
    operator = reader.next_of("RESHAPE", "DEPTHWISE_CONV_2D", "RESHAPE")
    if operator is None or reader.affine != flatbuffer.SENSOR:
        return None, None
    weights = reader.constant(operator.inputs[1], np.int8)
    options = operator.builtinOptions
    plain = options.fusedActivationFunction == schema.ActivationFunctionType.NONE
    if weights.shape != (1, 1, 1, features) or not plain or options.strideW != 1:
        return None, None
    weights = weights.ravel().astype(np.int64)
    bias = reader.constant(operator.inputs[2], np.int64).ravel()
    scale = reader.tensors[operator.inputs[1]].quantization.scale.astype(np.float64)
    output = flatbuffer.affine(reader.tensors[operator.outputs[0]])
    multiplier, shift = _multipliers_int16(scale / output.scale)
    for name in ("RESHAPE", "DEPTHWISE_CONV_2D", "RESHAPE"):
        reader.take(name)
    quantizer = Quantizer(
        dtype="int16",
        output="int16",
        low=[0] * features,
        narrow=[0] * features,
        multiplier=(weights * multiplier).tolist(),
        offset=(bias * multiplier).tolist(),
        shift=shift,
    )
    return quantizer, [weights * scale, bias * scale]


def _read_normalization(reader):
    """Reads the normalisation in float32: `[factor, offset]`, an array of all features each."""
    features = int(reader.tensor.shape[-1])
    values = [np.ones(features), np.zeros(features)]
    if reader.affine is None:
        reader.take("CAST")
        for i, name in enumerate(("MUL", "ADD")):
            x = reader.tensor
            if operator := reader.take(name):
                values[i] = _feature_constant(reader, operator, x, features)
        reader.take("QUANTIZE")
    return values


def _feature_constant(reader, operator, x, features):
    """The constant that an operator multiplies by, or adds to, each feature of the tensor x."""
    others = [index for index in operator.inputs if reader.tensors[index] is not x]
    value = reader.constant(others[0], np.float32) if others else None
    if value is None:
        raise refusal("its input is added to, or multiplied by, a tensor that is not constant")
    if value.size not in (1, features) or value.size != (value.shape or (1,))[-1]:
        raise refusal(
            f"its normalisation has values of shape {list(value.shape)}, and C takes one for "
            f"each of the {features} features"
        )
    if operator.builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.NONE:
        raise refusal("an activation follows its normalisation")
    return np.broadcast_to(value.ravel().astype(np.float64), features)


def _read_cells(reader):
    """Reads the recurrent layers: a list of `Cell`."""
    cells = []
    while operator := reader.take("FASTGRNN"):
        options = bytes(operator.customOptions)
        weights = reader.constant(operator.inputs[1], np.int8).tobytes()
        cell, flags = unpack(options, weights)
        layer = f"recurrent layer {len(cells) + 1}"
        if flags["go_backwards"] or flags["reverse_output"]:
            raise refusal(
                f"{layer} reads or writes the steps from last to first (go_backwards, "
                "Bidirectional), and a chip gets the first step first"
            )
        if cells and flags["stateful"] != cells[0].stateful:
            raise refusal(
                f"{layer} has stateful={flags['stateful']}, and the layer before it "
                f"stateful={cells[0].stateful}"
            )
        if cells:
            _check_dtype(cells, cell.input_dtype, layer)
        cells.append(Cell(options, cell, flags["stateful"]))
    return cells


def _check_dtype(cells, dtype, layer):
    """Refuses a layer that reads another type than the second one: all read the same memory."""
    first = cells[0].integer_cell.output_dtype
    if dtype != first:
        raise refusal(f"{layer} reads {dtype}, and the first recurrent layer writes {first}")


def _read_dense(reader, cells):
    """Reads the `Dense` after the cells; `None` if there is none."""
    x = reader.affine
    if not cells or not (operator := reader.take("FULLY_CONNECTED")):
        return None
    _check_dtype(cells, x.dtype, "its Dense layer")
    weights, units = reader.constant(operator.inputs[1], np.int8), cells[-1].integer_cell.units
    if weights.shape[1] != units:
        raise refusal(
            f"its Dense layer reads {weights.shape[1]} values at once, and a step gives {units}"
        )
    has_bias = len(operator.inputs) == 3 and operator.inputs[2] != -1
    dtype = np.int64 if x.dtype == "int16" else np.int32
    return _dense(
        weights,
        reader.constant(operator.inputs[2], dtype).ravel() if has_bias else dtype(0),
        reader.tensors[operator.inputs[1]].quantization.scale,
        operator.builtinOptions.fusedActivationFunction,
        x,
        reader.affine,
    )


def _dense(weights, bias, scales, activation, input, output):
    """Returns a `Dense`, and refuses one whose sums may overflow."""
    w = weights.astype(np.int64)
    bias = bias - input.zero_point * w.sum(axis=1)
    factors = np.broadcast_to(input.scale * scales.astype(np.float64) / output.scale, len(w))
    multiplier, shift = _multipliers(factors)

    ends, limits = np.iinfo(input.dtype), np.iinfo(output.dtype)
    least = bias + np.minimum(ends.min * w, ends.max * w).sum(axis=1)
    most = bias + np.maximum(ends.min * w, ends.max * w).sum(axis=1)
    largest = np.maximum(-least, most).tolist()
    if max(v << max(s, 0) for v, s in zip(largest, shift, strict=True)) + 128 >= 2**31:
        # 128 is for the zero point.
        raise refusal("the sums of its Dense layer may overflow 32 bits")

    low, high = limits.min, limits.max
    if activation != schema.ActivationFunctionType.NONE:
        least, most = _ENDS[activation]
        low = max(low, _quantize_end(least, output))
        high = min(high, _quantize_end(most, output))
    is_int16 = output.dtype == "int16"
    if is_int16:
        multiplier, shift = _multipliers_int16(factors)
    return Dense(weights, bias.tolist(), multiplier, shift, output.zero_point, low, high, is_int16)


def _quantize_end(value, output):
    """Rounds half away from 0 after a division in float32, as TFLite Micro does."""
    value = float(np.float32(value) / np.float32(output.scale))
    if math.isinf(value):
        return np.iinfo(output.dtype).max
    return output.zero_point + int(math.copysign(math.floor(abs(value) + 0.5), value))


def _multipliers(factors):
    """Floats -> `(multipliers, shifts)`, lists of integers."""
    pairs = [_quantize_multiplier(factor) for factor in np.ravel(factors).tolist()]
    return tuple(list(column) for column in zip(*pairs, strict=True))


def _multipliers_int16(factors):
    """The same for TFLite Micro's int16 kernels: 15 bits, and shifts to the right."""
    multipliers, shifts = _multipliers(factors)
    return [min((m + (1 << 15)) >> 16, 32767) for m in multipliers], [15 - s for s in shifts]


def _quantize_multiplier(value):
    """`(multiplier, shift)` whose `multiplier / 2**31 * 2**shift` is nearest to `value`."""
    fraction, shift = math.frexp(value)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)
