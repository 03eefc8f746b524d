"""Rewrites the converter's operators for TFLite Micro, with the same values or more exact ones.

TFLite Micro lacks some of TensorFlow Lite's operators, has others only in float32, and has kernels
that assume equal scales of inputs and outputs (micro/operator_rules.py).
"""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.affine import choose_affine
from keras_fastgrnn.micro.operator_rules import FLOAT, NOT_INT16, RULES, SHARED
from keras_fastgrnn.micro.operator_shapes import MAX_CONCATENATED

_INT16 = schema.TensorType.INT16
_QUANTIZED = (schema.TensorType.INT8, _INT16)
_CLIPS = {"RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}
_SELECTING = ("MAXIMUM", "MINIMUM", "SELECT", "SELECT_V2")
_VERSIONS = {"BROADCAST_TO": 2}


def rewrite(model):
    """Changes a `ModelT` of the TFLite schema. Operators that TFLite Micro runs stay unchanged."""
    graph = model.subgraphs[0]
    # Iterates over a copy: operators added at the end need no rewriting.
    for operator in list(graph.operators):
        name = flatbuffer.operator_name(model, operator)
        if name == "TILE":
            _broadcast(model, operator)
        elif name == "SELECT" and _same_shapes(graph, operator):
            _rename(model, operator, "SELECT_V2")
        elif name == "CONCATENATION":
            _nest(model, operator)
        elif name in _CLIPS and _saturates(graph, operator, *_CLIPS[name]):
            _rename(model, operator, "QUANTIZE")
        elif (
            name == "RELU_N1_TO_1" and flatbuffer.affine(graph.tensors[operator.inputs[0]]) is None
        ):
            _clip_float(model, operator, *_CLIPS[name])
    for operator in list(graph.operators):
        name = flatbuffer.operator_name(model, operator)
        if name in RULES:
            _convert_formats(model, operator, name)
    _drop_unused_codes(model)


def integer_ends(model):
    """Takes the QUANTIZE behind each input of a model, and the DEQUANTIZE before each output."""
    graph = model.subgraphs[0]
    for x in list(graph.inputs):
        rounded = [op for op in _named(model, "QUANTIZE") if x in op.inputs]
        if not rounded:
            continue
        # The widest format: the converter gives the inputs of a MAXIMUM narrow ones.
        widest = max(rounded, key=lambda op: flatbuffer.affine(graph.tensors[op.outputs[0]]).scale)
        graph.operators.remove(widest)
        [y] = widest.outputs
        graph.inputs = [y if index == x else index for index in graph.inputs]
        for operator in rounded:
            operator.inputs = [y]
        if any(x in operator.inputs for operator in graph.operators) or x in graph.outputs:
            _add(model, "DEQUANTIZE", [y], [x])
    for operator in _named(model, "DEQUANTIZE"):
        [x], [y] = operator.inputs, operator.outputs
        if y in graph.outputs:
            graph.outputs = [x if index == y else index for index in graph.outputs]
            if not any(y in other.inputs for other in graph.operators):
                graph.operators.remove(operator)


def _named(model, *names):
    operators = model.subgraphs[0].operators
    return [op for op in operators if flatbuffer.operator_name(model, op) in names]


def selects(model):
    """Whether the model has operators for `widen()`."""
    return bool(_named(model, *_SELECTING))


def widen(model, ranges):
    """Gives the inputs of MAXIMUM, MINIMUM and SELECT formats that cover their own ranges.

    The converter gives them the format of the output, where they saturate. These operators would
    cut such values off anyway, but other operators read them too: `maximum(x, -x)` would be 0 for a
    negative x.
    """
    graph = model.subgraphs[0]
    read = {index for operator in _named(model, *_SELECTING) for index in operator.inputs}
    # The converter leaves some of these operators in float32.
    for operator in _named(model, "DEQUANTIZE"):
        if not read.isdisjoint(operator.outputs):
            read.update(operator.inputs)
    for index in sorted(read):
        tensor = graph.tensors[index]
        old, (low, high) = flatbuffer.affine(tensor), ranges.get(tensor.name, (0.0, 0.0))
        if tensor.type not in _QUANTIZED or old is None:
            continue
        least, most = old.limits
        if low < least - old.scale or high > most + old.scale:
            new = choose_affine(min(low, least), max(high, most), old.dtype)
            flatbuffer.set_affine(tensor, new)
            _rescale_biases(model, index, old.scale / new.scale)


def int16_constants(model):
    """The tensors for `saturate_constants()`."""
    return [
        tensor
        for tensor in model.subgraphs[0].tensors
        if tensor.type == _INT16 and model.buffers[tensor.buffer].data is not None
    ]


def saturate_constants(model, floats):
    """Rounds the int16 constants of a model again, from those of the model in float32: where the
    converter gives them the format of another tensor, values beyond that wrap around."""
    values = {}
    for tensor in floats.subgraphs[0].tensors:
        data = floats.buffers[tensor.buffer].data
        if data is not None and tensor.type == schema.TensorType.FLOAT32:
            values[tensor.name] = np.frombuffer(bytes(data), np.float32)
    for tensor in int16_constants(model):
        if tensor.name in values:
            rounded = flatbuffer.affine(tensor).quantize(values[tensor.name])
            flatbuffer.set_constant(model, tensor, rounded)


def _rescale_biases(model, index, factor):
    graph = model.subgraphs[0]
    for operator in graph.operators:
        rule = RULES.get(flatbuffer.operator_name(model, operator))
        if rule is None or index not in operator.inputs:
            continue
        for slot, i in zip(rule.reads, operator.inputs, strict=False):
            if slot.type != "bias" or i == -1:
                continue
            bias = graph.tensors[i]
            bias.quantization.scale = bias.quantization.scale / np.float32(factor)
            values = np.frombuffer(
                bytes(model.buffers[bias.buffer].data), flatbuffer.type_name(bias)
            )
            flatbuffer.set_constant(model, bias, np.rint(values * factor).astype(values.dtype))


def _convert_formats(model, operator, name):
    """Converts an operator to float32, or to one shared format, where its kernel needs that."""
    graph = model.subgraphs[0]
    inputs, outputs = list(operator.inputs), list(operator.outputs)
    reads, writes = RULES[name].slots(inputs, outputs)
    types = {
        graph.tensors[index].type
        for slot, index in zip((*reads, *writes), (*inputs, *outputs), strict=True)
        if slot.type == "data" and index >= 0
    }
    # The converter leaves some operators half in float32.
    is_float = schema.TensorType.FLOAT32 in types or (_INT16 in types and name in NOT_INT16)

    def needs_float(slot, tensor):
        return (slot == FLOAT or (slot.type == "data" and is_float)) and tensor.type in _QUANTIZED

    for i, slot in enumerate(reads):
        tensor = graph.tensors[inputs[i]]
        if needs_float(slot, tensor):
            inputs[i] = _dequantize(model, inputs[i])
        elif slot == SHARED and tensor.type in _QUANTIZED:
            inputs[i] = _quantize_as(model, inputs[i], graph.tensors[outputs[0]])
    for i, slot in enumerate(writes):
        if needs_float(slot, graph.tensors[outputs[i]]):
            outputs[i] = flatbuffer.add_float_twin(model, outputs[i])
            _add(model, "QUANTIZE", [outputs[i]], [operator.outputs[i]])
    operator.inputs, operator.outputs = inputs, outputs


def _dequantize(model, index):
    real, tensor = flatbuffer.add_float_twin(model, index), model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None:
        _add(model, "DEQUANTIZE", [index], [real])
    else:
        values = np.frombuffer(bytes(data), flatbuffer.type_name(tensor))
        values = flatbuffer.affine(tensor).dequantize(values)
        flatbuffer.set_constant(model, model.subgraphs[0].tensors[real], values.astype(np.float32))
    return real


def _quantize_as(model, index, like):
    tensor = model.subgraphs[0].tensors[index]
    if flatbuffer.affine(tensor) == flatbuffer.affine(like):
        return index
    other = _add_like(model, tensor.shape, like)
    _add(model, "QUANTIZE", [index], [other])
    return other


def _saturates(graph, operator, low, high):
    """Whether the format of its output saturates at `low` and `high`, and so replaces a clip."""
    x, y = (flatbuffer.affine(graph.tensors[i]) for i in (operator.inputs[0], operator.outputs[0]))
    if x == y or y is None:
        return False
    least, most = y.limits
    # Half a step, and float32's rounding of it; int16 has one step more below than above.
    half = 0.501 * y.scale
    least = max(least, -most) if y.dtype == "int16" else least
    return least >= low - half and most <= high + half


def _clip_float(model, operator, low, high):
    """Makes a clip of float32 a MAXIMUM and a MINIMUM."""
    graph = model.subgraphs[0]
    floor, ceiling = (
        flatbuffer.add_constant(model, schema.TensorType.FLOAT32, np.float32([end]))
        for end in (low, high)
    )
    between = flatbuffer.add_float_twin(model, operator.inputs[0])
    _add(model, "MAXIMUM", [operator.inputs[0], floor], [between])
    _add(model, "MINIMUM", [between, ceiling], operator.outputs)
    graph.operators.remove(operator)


def _same_shapes(graph, operator):
    """Whether an operator's tensors need no broadcasting: SELECT_V2 then equals SELECT."""
    shapes = {tuple(graph.tensors[i].shape) for i in (*operator.inputs, *operator.outputs)}
    return len(shapes) == 1


def _nest(model, operator):
    """Nests a CONCATENATION of many tensors in several CONCATENATIONs."""
    graph = model.subgraphs[0]
    y, axis = graph.tensors[operator.outputs[0]], operator.builtinOptions.axis
    while len(operator.inputs) > MAX_CONCATENATED:
        parts = []
        for i in range(0, len(operator.inputs), MAX_CONCATENATED):
            group = list(operator.inputs[i : i + MAX_CONCATENATED])
            shape = np.array(y.shape)
            shape[axis] = sum(graph.tensors[index].shape[axis] for index in group)
            parts.append(_add_like(model, shape, y))
            nested = _add(model, "CONCATENATION", group, parts[-1:])
            nested.builtinOptions = operator.builtinOptions
            nested.builtinOptionsType = operator.builtinOptionsType
        operator.inputs = parts


def _broadcast(model, operator):
    """Makes a TILE a BROADCAST_TO, between RESHAPEs if it repeats axes of more than one value."""
    graph = model.subgraphs[0]
    x, y = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    times = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
    if x.type not in _QUANTIZED or times is None:
        return
    before, after = [], []
    for size, count in zip(x.shape, np.frombuffer(bytes(times), np.int32), strict=True):
        whole = count == 1 or size == 1
        before += [size] if whole else [1, size]
        after += [size * count] if whole else [count, size]
    index = operator.inputs[0]
    if len(before) > len(x.shape):
        narrow = _add_like(model, before, x)
        flatbuffer.reshape(model, index, narrow)
        index = narrow
    wide = operator.outputs[0]
    if len(after) > len(y.shape):
        wide = _add_like(model, after, y)
        flatbuffer.reshape(model, wide, operator.outputs[0])
    _rename(model, operator, "BROADCAST_TO")
    operator.inputs, operator.outputs = [index, flatbuffer.add_integers(model, after)], [wide]


def _add(model, name, inputs, outputs):
    code = getattr(schema.BuiltinOperator, name)
    return flatbuffer.add_operator(model, code, inputs, outputs, _VERSIONS.get(name, 1))


def _rename(model, operator, name):
    """Changes an operator to another one, without options."""
    new = _add(model, name, operator.inputs, operator.outputs)
    model.subgraphs[0].operators.remove(new)
    operator.opcodeIndex = new.opcodeIndex
    operator.builtinOptions, operator.builtinOptionsType = None, schema.BuiltinOptions.NONE


def _drop_unused_codes(model):
    operators = model.subgraphs[0].operators
    used = sorted({operator.opcodeIndex for operator in operators})
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in used]


def _add_like(model, shape, like):
    """Adds a tensor with the type and format of another."""
    return flatbuffer.add_quantized(model, shape, flatbuffer.affine(like))
