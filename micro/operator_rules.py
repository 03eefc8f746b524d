"""Rules on the tensors of each operator of a .tflite file.

TFLite Micro's kernels assume types and scales: with others they compute wrong values without an
error (tests/micro/test_operators.py). FASTGRNN has a rule, and each operator that TensorFlow's
converter makes of common Keras layers.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras_fastgrnn.micro import operator_shapes as shapes
from keras_fastgrnn.micro.operator_shapes import integers, need

FASTGRNN = "CUSTOM:FASTGRNN"


class Slot(NamedTuple):
    """A tensor that an operator reads or writes.

    Attributes:
        type: string, a type of TFLite; `"data"`: float32, int8 or int16, the same in all such slots
            of an operator; `"weights"` and `"bias"`: what belongs to these data; `"quantized"`:
            int8 or int16; `None`: any.
        scales: the quantisation of an int8 or int16 tensor: `"one"`, per-tensor; `"shared"`,
            per-tensor and equal in all such slots of the operator; `"channels"`, per-tensor or
            per-channel with zero points 0; `"none"`, not quantised; `None`, any.
        is_constant, is_optional, is_repeated: booleans. An optional tensor may be left out, a
            repeated slot takes one or more.
    """

    type: str | None
    scales: str | None = None
    is_constant: bool = False
    is_optional: bool = False
    is_repeated: bool = False


DATA, SHARED = Slot("data", "one"), Slot("data", "shared")
WEIGHTS, BIAS = Slot("weights", "channels", is_constant=True), Slot("bias", is_constant=True)
INTEGERS, BLOCK = Slot("int32", is_constant=True), Slot("int8", is_constant=True)
FLOAT, BOOL, PLAIN = Slot("float32"), Slot("bool"), Slot(None, "none")
QUANTIZED = Slot("quantized", "one")


def optional(slot):
    return slot._replace(is_optional=True)


def repeated(slot):
    return slot._replace(is_repeated=True)


class Rule(NamedTuple):
    """The rule of an operator.

    Attributes:
        reads, writes: lists of `Slot`.
        shapes: function of the operator that returns a list of its output shapes.
        options: the name of its table of options, if it has one.
        needs_options: whether the kernel reads the options.
    """

    reads: list
    writes: list
    shapes: Callable
    options: str | None = None
    needs_options: bool = True

    def slots(self, inputs, outputs):
        """Returns two lists with a `Slot` for each tensor.

        Raises:
            ValueError: if the operator cannot have so many tensors.
        """
        return _slots(self.reads, len(inputs)), _slots(self.writes, len(outputs))


def _slots(slots, count):
    if slots[-1].is_repeated:
        slots = slots + slots[-1:] * (count - len(slots))
    least = sum(not slot.is_optional for slot in slots)
    need(least <= count <= len(slots), f"{least} to {len(slots)} tensors")
    return slots[:count]


def check_operator(op):
    """Checks an operator against its rule.

    Args:
        op: namespace; `inputs` and `outputs` are lists of tensors, `None` for one left out.

    Raises:
        Unmet: if the operator does not follow the rule.
    """
    activation = getattr(op.options, "fused_activation_function", 0)
    need(activation in range(4), "activation 0 (none), 1 (relu), 2 (relu_n1_to_1), 3 (relu6)")
    _check_tensors(op)
    written = op.rule.shapes(op)
    need(written == [y.shape for y in op.outputs], f"to write {written}")


def describe(op):
    """Describes the inputs, outputs and options of an operator."""
    reads, writes = (", ".join(map(_describe, side)) for side in (op.inputs, op.outputs))
    options = {} if op.options is None else vars(op.options)
    has = "".join(f", {name} {value}" for name, value in options.items() if name != "where")
    return f"It reads {reads}, writes {writes}{has}"


def _describe(tensor):
    if tensor is None:
        return "nothing"
    is_short = tensor.type == "int32" and tensor.data and tensor.size <= 10
    return f"{tensor.type} {tensor.shape}" + (f" of {integers(tensor)}" if is_short else "")


# The types of weights and biases by the type of the data.
_WEIGHTS_OF = {
    "float32": ("float32", "float32"),
    "int8": ("int8", "int32"),
    "int16": ("int8", "int64"),
}


def _check_tensors(op):
    reads, writes = op.rule.slots(op.inputs, op.outputs)
    slots = [*zip([*reads, *writes], [*op.inputs, *op.outputs], strict=True)]
    for slot, x in slots:
        need(slot.is_optional or x is not None, "every input that is not optional")
    slots = [(slot, x) for slot, x in slots if x is not None]
    data = next(
        (x.type for slot, x in slots if slot.scales in ("one", "shared") and slot.type == "data"),
        "float32",
    )
    kinds = ("float32", "int8", *["int16"] * (op.name not in NOT_INT16))
    need(data in kinds, " or ".join(kinds))
    weights, bias = _WEIGHTS_OF[data]
    types = {"data": [data], "weights": [weights], "bias": [bias], "quantized": ["int8", "int16"]}
    for slot, x in slots:
        expected = types.get(slot.type, [slot.type] if slot.type else [x.type])
        need(x.type in expected, f"{' or '.join(expected)} of {x.where}")
        need(x.data or not slot.is_constant, f"a constant of {x.where}")
        _check_scales(slot.scales, x)
    formats = {(x.scale, x.zero_point) for slot, x in slots if slot.scales == "shared" and x.scale}
    need(len(formats) <= 1, f"one scale and zero point, not {sorted(formats)}")


def _check_scales(scales, x):
    if scales == "none":
        need(not x.scale, f"no scale of {x.where}")
    elif x.type in ("int8", "int16") and scales in ("one", "shared"):
        need(len(x.scale) == 1, f"one scale of {x.where}, which has {len(x.scale)}")
        need(x.type == "int8" or x.zero_point == (0,), f"zero point 0 of {x.where}")
    elif x.type == "int8" and scales == "channels":
        need(x.scale and not any(x.zero_point), f"scales and zero points 0 of {x.where}")


def _all(names, *rule):
    return dict.fromkeys(names.split(), Rule(*rule))


# Operators of data that TFLite Micro does not run in int16, or runs wrong.
NOT_INT16 = {
    *("ELU", "EQUAL", "GATHER", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "LESS", "LESS_EQUAL"),
    *("LOG_SOFTMAX", "MIRROR_PAD", "NOT_EQUAL", "PRELU", "REDUCE_MAX", "REDUCE_MIN"),
    *("RESIZE_BILINEAR", "SQUARED_DIFFERENCE"),
}

RULES = {
    FASTGRNN: Rule([QUANTIZED, BLOCK], [QUANTIZED], shapes.fastgrnn),
    "QUANTIZE": Rule([DATA], [QUANTIZED], shapes.same),
    "DEQUANTIZE": Rule([QUANTIZED], [FLOAT], shapes.same),
    "CAST": Rule([PLAIN], [PLAIN], shapes.same, "CastOptions", needs_options=False),
    # Functions of one tensor.
    **_all("ABS ELU RELU RSQRT", [DATA], [DATA], shapes.same),
    **_all("CEIL COS EXP FLOOR LOG NEG ROUND SIN SQRT SQUARE", [FLOAT], [FLOAT], shapes.same),
    "RELU6": Rule([SHARED], [SHARED], shapes.same),
    "LEAKY_RELU": Rule([DATA], [DATA], shapes.leaky_relu, "LeakyReluOptions"),
    "HARD_SWISH": Rule([DATA], [DATA], shapes.hard_swish),
    "LOGISTIC": Rule([DATA], [DATA], shapes.fixed(1 / 256, -128)),
    "TANH": Rule([DATA], [DATA], shapes.fixed(1 / 128, 0)),
    "SOFTMAX": Rule([DATA], [DATA], shapes.softmax, "SoftmaxOptions"),
    "LOG_SOFTMAX": Rule([DATA], [DATA], shapes.fixed(16 / 256, 127)),
    "LOGICAL_NOT": Rule([BOOL], [BOOL], shapes.same),
    # Functions of two tensors or three.
    "ADD": Rule([DATA, DATA], [DATA], shapes.addition, "AddOptions"),
    "SUB": Rule([DATA, DATA], [DATA], shapes.addition, "SubOptions"),
    "MUL": Rule([DATA, DATA], [DATA], shapes.broadcast, "MulOptions"),
    "DIV": Rule([FLOAT, FLOAT], [FLOAT], shapes.broadcast, "DivOptions"),  # int8 1 / 2^n is wrong
    **_all("FLOOR_DIV FLOOR_MOD", [FLOAT, FLOAT], [FLOAT], shapes.broadcast),
    **_all("PRELU SQUARED_DIFFERENCE", [DATA, DATA], [DATA], shapes.broadcast),
    **_all("MAXIMUM MINIMUM", [SHARED, SHARED], [SHARED], shapes.broadcast),
    **_all("EQUAL NOT_EQUAL GREATER LESS", [DATA, DATA], [BOOL], shapes.broadcast),
    **_all("GREATER_EQUAL LESS_EQUAL", [DATA, DATA], [BOOL], shapes.broadcast),
    **_all("LOGICAL_AND LOGICAL_OR", [BOOL, BOOL], [BOOL], shapes.broadcast),
    "SELECT_V2": Rule([BOOL, SHARED, SHARED], [SHARED], shapes.broadcast),
    # Sums and windows.
    **_all("MEAN SUM", [DATA, INTEGERS], [DATA], shapes.reduce, "ReducerOptions"),
    **_all("REDUCE_MAX REDUCE_MIN", [SHARED, INTEGERS], [SHARED], shapes.reduce, "ReducerOptions"),
    # The int8 kernel sums the zero points too, and may abort.
    "CUMSUM": Rule([FLOAT, INTEGERS], [FLOAT], shapes.cumsum, "CumsumOptions"),
    **_all("AVERAGE_POOL_2D MAX_POOL_2D", [SHARED], [SHARED], shapes.pool_2d, "Pool2DOptions"),
    "BATCH_MATMUL": Rule([DATA, DATA], [DATA], shapes.batch_matmul, "BatchMatMulOptions"),
    "FULLY_CONNECTED": Rule(
        [DATA, WEIGHTS, optional(BIAS)], [DATA], shapes.fully_connected, "FullyConnectedOptions"
    ),
    "CONV_2D": Rule([DATA, WEIGHTS, BIAS], [DATA], shapes.conv_2d, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": Rule(
        [DATA, WEIGHTS, BIAS], [DATA], shapes.depthwise_conv_2d, "DepthwiseConv2DOptions"
    ),
    "TRANSPOSE_CONV": Rule(
        [INTEGERS, WEIGHTS, DATA, optional(BIAS)],
        [DATA],
        shapes.transpose_conv,
        "TransposeConvOptions",
    ),
    # The same values in other places.
    "RESHAPE": Rule([SHARED, optional(INTEGERS)], [SHARED], shapes.reshape),
    "TRANSPOSE": Rule([SHARED, INTEGERS], [SHARED], shapes.transpose),
    "REVERSE_V2": Rule([SHARED, INTEGERS], [SHARED], shapes.reverse),
    "BROADCAST_TO": Rule([SHARED, INTEGERS], [SHARED], shapes.broadcast_to),
    "PAD": Rule([SHARED, INTEGERS], [SHARED], shapes.pad),
    "PADV2": Rule([SHARED, INTEGERS, SHARED], [SHARED], shapes.pad),
    "MIRROR_PAD": Rule([SHARED, INTEGERS], [SHARED], shapes.mirror_pad, "MirrorPadOptions"),
    "RESIZE_BILINEAR": Rule([SHARED, INTEGERS], [SHARED], shapes.resize, "ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": Rule(
        [SHARED, INTEGERS], [SHARED], shapes.resize, "ResizeNearestNeighborOptions"
    ),
    "CONCATENATION": Rule(
        [repeated(SHARED)], [SHARED], shapes.concatenation, "ConcatenationOptions"
    ),
    "PACK": Rule([repeated(SHARED)], [SHARED], shapes.pack, "PackOptions"),
    "UNPACK": Rule([SHARED], [repeated(SHARED)], shapes.unpack, "UnpackOptions"),
    "SPLIT": Rule([INTEGERS, SHARED], [repeated(SHARED)], shapes.split, "SplitOptions"),
    "SPLIT_V": Rule(
        [SHARED, INTEGERS, INTEGERS], [repeated(SHARED)], shapes.split_v, "SplitVOptions"
    ),
    "SLICE": Rule([SHARED, INTEGERS, INTEGERS], [SHARED], shapes.slicing),
    "STRIDED_SLICE": Rule(
        [SHARED, *[INTEGERS] * 3], [SHARED], shapes.strided_slice, "StridedSliceOptions"
    ),
    "GATHER": Rule([SHARED, INTEGERS], [SHARED], shapes.gather, "GatherOptions"),
}
