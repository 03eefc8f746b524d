"""Checks a whole .tflite file before TFLite Micro sees it.

TFLite Micro trusts the file: a wrong offset, index or shape crashes the process. `verify()` reads
every offset (flatbuffer_schema.py), follows the tensors from the inputs to the outputs, and
computes the outputs' shapes of each operator from its inputs (operator_rules.py).
"""

import math
import zlib

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.micro.flatbuffer_schema import OPERATORS, TYPES, Reader, failure, require
from keras_fastgrnn.micro.operator_rules import FASTGRNN, RULES, check_operator, describe
from keras_fastgrnn.micro.operator_shapes import Unmet

_SEAL = b"FGRN"

# The limit for all tensors that are not constants: no microcontroller has as much memory.
_MAX_BYTES = 64 << 20
# The limits of a scale. A quotient of two scales is then a normal float32; kernels abort at 0 and
# infinity. The smallest scale of TensorFlow's converter, in a model of zeros, is 1e-10.
_MIN_SCALE, _MAX_SCALE = 2.0**-60, 2.0**60
# Metadata that would change TFLite Micro's memory layout.
_REFUSED_METADATA = (b"OfflineMemoryAllocation", b"COMPRESSION_METADATA")


class UnsupportedOperator(ValueError):
    """An operator that TFLite Micro lacks, or does not run in the form of the file.

    Attributes:
        name: string, the operator's.
        reason: string, without its place in the file.
    """

    def __init__(self, operator, problem, reason):
        super().__init__(failure(operator.where, problem))
        self.name, self.reason = operator.name, reason


def seal(model: bytes) -> bytes:
    """Appends a checksum, with which `verify()` finds any damage.

    Args:
        model: bytes of a .tflite file. Other readers ignore bytes after its end.

    Returns:
        bytes, 8 more: `b"FGRN"` and the CRC-32 of all bytes before it, little-endian.
    """
    model = bytes(model) + _SEAL
    return model + _checksum(model)


def _checksum(data):
    return zlib.crc32(data).to_bytes(4, "little")


def verify(model: bytes) -> None:
    """Checks that TFLite Micro can load and run a .tflite file without a crash.

    Args:
        model: bytes. With the checksum of `seal()`, any damage is found; without it, as in files of
            TensorFlow's converter, any damage that could crash. A file with a FASTGRNN operator
            must have the checksum.

    Raises:
        ValueError: if TFLite Micro cannot. Names the place in the file, and the value.
    """
    sealed = model[-8:-4] == _SEAL
    if sealed:
        found, expected = model[-4:], _checksum(model[:-4])
        require(found == expected, "The file", f"has checksum {found.hex()}, not {expected.hex()}")
    reader = Reader(model)
    file = reader.model()
    require(file.version == 3, "model", f"has version {file.version}, not 3")
    graphs = file.subgraphs or []
    require(len(graphs) == 1, "model", f"has {len(graphs)} subgraphs, not 1")
    [graph] = graphs
    for name in ("tensors", "inputs", "outputs"):
        require(getattr(graph, name), graph.where, f"has no {name}")
    graph.operators = graph.operators or ()

    for operator in graph.operators:
        _find_rule(operator, file.operator_codes, graph.tensors)
        whole = sealed or operator.name != FASTGRNN
        require(whole, operator.where, "is in a file without a checksum, whose end may be missing")
    for buffer in file.buffers or ():
        outside = buffer.offset or buffer.size
        require(not outside, buffer.where, f"lies behind the flatbuffer, at byte {buffer.offset}")
    for tensor in graph.tensors:
        _check_tensor(tensor, file.buffers)
    total = sum(tensor.bytes for tensor in graph.tensors if not tensor.data)
    require(total <= _MAX_BYTES, graph.where, f"needs {total} bytes of memory, over {_MAX_BYTES}")
    _check_metadata(file, graph)
    _check_flow(graph)
    for operator in graph.operators:
        _resolve(operator, graph.tensors, reader)
        try:
            check_operator(operator)
        except Unmet as unmet:
            problem = f"{unmet}. {describe(operator)}"
            raise UnsupportedOperator(operator, problem, str(unmet)) from None


def operators(model: bytes) -> list[str]:
    """Returns the names of the operators that a firmware registers for a .tflite file.

    Args:
        model: bytes, a file that `verify()` accepts.

    Returns:
        Sorted list of strings, such as `"FULLY_CONNECTED"` and `"CUSTOM:FASTGRNN"`.
    """
    file = Reader(model).model()
    [graph] = file.subgraphs
    for operator in graph.operators:
        _find_rule(operator, file.operator_codes, graph.tensors)
    return sorted({operator.name for operator in graph.operators})


def _text(name):
    return (name or b"").decode(errors="replace")


def _require_index(where, index, items):
    count = len(items or ())
    require(0 <= index < count, where, f"is {index}, not one of 0 to {count - 1}")


def _find_rule(operator, codes, tensors):
    """Adds the `name` and the `rule` of an operator."""
    _require_index(f"{operator.where}.opcode_index", operator.opcode_index, codes)
    entry = codes[operator.opcode_index]
    old, new = entry.deprecated_builtin_code, entry.builtin_code
    code = max(old, new)
    valid = old == min(code, 127) and new in (0, code)
    require(valid, entry.where, f"has builtin code {new}, but {old} for older readers")
    operator.name = OPERATORS.get(code, f"builtin operator {code}")
    if operator.name == "CUSTOM":
        operator.name += f":{_text(entry.custom_code)}"
    operator.inputs, operator.outputs = operator.inputs or (), operator.outputs or ()
    written = [_text(tensors[i].name) for i in operator.outputs if 0 <= i < len(tensors)]
    operator.where += f" ({operator.name}, writes {written})"
    operator.rule = RULES.get(operator.name)
    if operator.rule is None:
        problem = "is not an operator that this interpreter runs"
        raise UnsupportedOperator(operator, problem, "docs/tflm.md lists those it runs")


def _check_tensor(tensor, buffers):
    """Checks a tensor, and adds `size`, `bytes`, `data`, `scale` and `zero_point`, empty if it has
    none."""
    where = tensor.where = f"{tensor.where} ('{_text(tensor.name)}')"
    for name in ("is_variable", "sparsity", "variant_tensors", "external_buffer"):
        require(not getattr(tensor, name), where, f"has {name}, which is not supported")
    require(tensor.type in TYPES, where, f"has type {tensor.type}, none of {TYPES}")
    tensor.type = TYPES[tensor.type]
    shape = tensor.shape = tensor.shape or ()
    valid = len(shape) <= 5 and all(size >= 1 for size in shape)
    require(valid, where, f"has shape {shape}, not up to 5 sizes of at least 1")
    tensor.size = math.prod(shape)
    tensor.bytes = tensor.size * np.dtype(tensor.type).itemsize

    _require_index(f"{where}.buffer", tensor.buffer, buffers)
    data = tensor.data = buffers[tensor.buffer].data or b""
    valid = len(data) in (0, tensor.bytes)
    require(valid, where, f"has {len(data)} bytes of data, not 0 or {tensor.bytes}")

    tensor.scale = tensor.zero_point = ()
    quantization = tensor.quantization
    if quantization is None:
        return
    details, axis = quantization.details_type, quantization.quantized_dimension
    require(details == 0, where, f"has quantization details of type {details}, not 0")
    scale, zero_point = quantization.scale or (), quantization.zero_point or ()
    valid = len(zero_point) in (min(1, len(scale)), len(scale))
    require(valid, where, f"has {len(scale)} scales, but {len(zero_point)} zero points")
    valid = 0 <= axis < max(1, len(shape)) and len(scale) in (0, 1, (shape or (1,))[axis])
    require(valid, where, f"has {len(scale)} scales along axis {axis} of shape {shape}")
    for value in scale:
        valid = _MIN_SCALE <= value <= _MAX_SCALE
        require(valid, where, f"has scale {value}, not {_MIN_SCALE:.0e} to {_MAX_SCALE:.0e}")
    for value in zero_point:
        require(-128 <= value <= 127, where, f"has zero point {value}, not -128 to 127")
    require(not scale or tensor.type != "float32", where, f"is float32, but has scale {scale}")
    tensor.scale, tensor.zero_point = scale, zero_point


def _check_metadata(model, graph):
    for i, index in enumerate(model.metadata_buffer or ()):
        _require_index(f"model.metadata_buffer[{i}]", index, model.buffers)
    for metadata in model.metadata or ():
        supported = metadata.name not in _REFUSED_METADATA
        require(supported, metadata.where, f"is {metadata.name}, which is not supported")
        _require_index(f"{metadata.where}.buffer", metadata.buffer, model.buffers)
    for signature in model.signature_defs or ():
        _require_index(f"{signature.where}.subgraph_index", signature.subgraph_index, [graph])
        for entry in (signature.inputs or ()) + (signature.outputs or ()):
            _require_index(f"{entry.where}.tensor_index", entry.tensor_index, graph.tensors)


def _check_flow(graph):
    """Checks that every tensor is written once, before it is read, and a constant never."""
    ready = {i for i, tensor in enumerate(graph.tensors) if tensor.data}

    def write(where, indices):
        for i, index in enumerate(indices):
            _require_index(f"{where}[{i}]", index, graph.tensors)
            require(index not in ready, f"{where}[{i}]", f"is {index}, a constant or written twice")
            ready.add(index)

    def read(where, indices):
        for i, index in enumerate(indices):
            _require_index(f"{where}[{i}]", index, graph.tensors)
            require(index in ready, f"{where}[{i}]", f"is {index}, which is not written before")

    write(f"{graph.where}.inputs", graph.inputs)
    for operator in graph.operators:
        # -1 is an omitted input.
        read(f"{operator.where}.inputs", [i for i in operator.inputs if i != -1])
        write(f"{operator.where}.outputs", operator.outputs)
    read(f"{graph.where}.outputs", graph.outputs)


def _resolve(operator, tensors, reader):
    """Replaces indices by tensors, and the position of the options by the options."""
    where, rule = operator.where, operator.rule
    for field in ("intermediates", "large_custom_options_offset", "options_2_type"):
        require(not getattr(operator, field), where, f"has {field}, which is not supported")
    operator.inputs = [None if i == -1 else tensors[i] for i in operator.inputs]
    operator.outputs = [tensors[i] for i in operator.outputs]
    if rule.options is None:
        if operator.options is not None:  # a kernel might read its fields
            operator.options = reader.table("NoOptions", operator.options, f"{where}.options")
    elif rule.needs_options or operator.options is not None:
        found, expected = operator.options_type, getattr(schema.BuiltinOptions, rule.options)
        valid = found == expected and operator.options is not None
        require(valid, where, f"has options of type {found}, not {expected} ({rule.options})")
        operator.options = reader.options(rule.options, operator.options, f"{where}.options")
