"""What an operator of a .tflite file may read, and the shapes that it then writes.

The rules follow TFLite Micro's kernels (tensorflow/lite/micro/kernels), which compute from the
shapes in a file without comparing them, and ask for what a kernel divides by, takes for an index or
aborts at. They are those of FASTGRNN and of what the stock converter makes of common Keras layers.
"""

import math
import struct
from collections.abc import Callable
from typing import NamedTuple

from keras_fastgrnn.micro.flatbuffer_schema import fail

FASTGRNN = "CUSTOM:FASTGRNN"

_OPTIONS_SIZE, _VERSION, _RETURN_SEQUENCES = 36, 2, 1  # of FASTGRNN, docs/format.md


class Rule(NamedTuple):
    """The rule of an operator.

    Attributes:
        tensors: a letter for each tensor that it reads and, behind the `>`, that it writes. A
            capital may be left out, `*` repeats the letter before it.
            d: float32 or int8, the same for all of them. w: that too, and a constant.
            b: bias, a constant, int32 if d is int8. i: int32 constant. c: int8 constant.
            f: float32. q: int8. An int8 d or q has one scale, a w one for each channel or one.
        shapes: a function of the operator that returns a list of the shapes that it writes.
        options: the name of the table of its options, if it has any.
    """

    tensors: str
    shapes: Callable
    options: str | None = None


class _Unmet(Exception):
    """What an operator needs and does not have."""


def _need(condition, what):
    if not condition:
        raise _Unmet(what)


def check_operator(op):
    """Checks an operator against its rule.

    Args:
        op: namespace; `inputs` and `outputs` are lists of tensors, `None` for one left out.

    Raises:
        ValueError: if it does not follow the rule.
    """
    try:
        activation = getattr(op.options, "fused_activation_function", 0)
        _need(activation in range(4), "activation 0 (none), 1 (relu), 2 (relu_n1_to_1), 3 (relu6)")
        _check_tensors(op)
        shapes = op.rule.shapes(op)
        _need(shapes == [y.shape for y in op.outputs], f"to write {shapes}")
    except _Unmet as unmet:
        reads, writes = (", ".join(map(_describe, side)) for side in (op.inputs, op.outputs))
        options = {} if op.options is None else vars(op.options)
        has = "".join(f", {name} {value}" for name, value in options.items() if name != "where")
        fail(op.where, f"needs {unmet}. It reads {reads}, writes {writes}{has}")


def _describe(tensor):
    if tensor is None:
        return "nothing"
    is_short = tensor.type == "int32" and tensor.data and tensor.size <= 10
    return f"{tensor.type} {tensor.shape}" + (f" of {_integers(tensor)}" if is_short else "")


def _check_tensors(op):
    slots = []
    for letters, tensors in zip(op.rule.tensors.split(">"), (op.inputs, op.outputs), strict=True):
        if letters.endswith("*"):
            letters = letters[:-1] + letters[-2] * (len(tensors) - len(letters) + 1)
        least = sum(letter.islower() for letter in letters)
        _need(least <= len(tensors) <= len(letters), f"{least} to {len(letters)} tensors")
        slots += zip(letters, tensors, strict=False)

    data = next((x.type for letter, x in slots if letter == "d" and x is not None), "float32")
    _need(data != "int32", "float32 or int8")
    types = {"d": data, "w": data, "b": "int32" if data == "int8" else data, "i": "int32"}
    types |= {"f": "float32", "q": "int8", "c": "int8"}
    for letter, x in slots:
        if x is None:
            _need(letter.isupper(), "the tensor that is left out")
            continue
        letter = letter.lower()
        _need(x.type == types[letter], f"{types[letter]} of {x.where}")
        _need(x.data or letter not in "wbic", f"a constant of {x.where}")
        if x.type == "int8" and letter in "dq":
            _need(len(x.scale) == 1, f"one scale of {x.where}, which has {len(x.scale)}")
        if x.type == "int8" and letter == "w":
            _need(x.scale and not any(x.zero_point), f"scales and zero points 0 of {x.where}")


def _integers(tensor):
    return struct.unpack(f"<{tensor.size}i", tensor.data)


def _axis(axis, rank):
    _need(-rank <= axis < rank, f"an axis of {rank} dimensions")
    return axis % rank


def _same(op):
    return [op.inputs[0].shape]


def _leaky_relu(op):
    _need(math.isfinite(op.options.alpha), "a finite alpha")
    return _same(op)


def _softmax(op):
    [x] = op.inputs
    _need(x.shape, "a dimension")
    _need(math.isfinite(op.options.beta), "a finite beta")
    if x.type == "int8":
        # The int8 kernel aborts below, and at a row of 512 equal values.
        _need(op.options.beta * x.scale[0] > 2.0**-26, f"a beta over 2^-26 / {x.scale[0]}")
        _need(x.shape[-1] < 512, "less than 512 int8 values in a row")
    return _same(op)


def _broadcast(op):
    a, b = (x.shape for x in op.inputs)
    rank = max(len(a), len(b))
    _need(rank <= 4, "at most 4 dimensions")
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    _need(all(m == n or 1 in (m, n) for m, n in zip(a, b, strict=True)), "shapes that broadcast")
    return [tuple(map(max, a, b))]


def _sum(op):
    if op.outputs[0].type == "int8":
        # The kernels abort at a quotient of 2^19.
        quotient = max(x.scale[0] for x in op.inputs) / op.outputs[0].scale[0]
        _need(quotient < 2.0**18, f"a scale below 2^18 times the output's, not {quotient} times")
    return _broadcast(op)


def _check_channels(op, channels):
    _, weights, *bias = op.inputs
    _need(weights.type == "float32" or len(weights.scale) in (1, channels), f"{channels} scales")
    _need(bias in ([], [None]) or bias[0].size == channels, f"{channels} biases")


def _fully_connected(op):
    x, weights = op.inputs[:2]
    _need(op.options.weights_format == 0, "weights_format 0")
    _need(len(weights.shape) == 2, "weights of 2 dimensions")
    units, features = weights.shape
    _check_channels(op, units)
    if op.options.keep_num_dims:
        _need(x.shape[-1:] == (features,), f"shape (..., {features})")
        return [(*x.shape[:-1], units)]
    _need(x.size % features == 0, f"a multiple of {features} values")
    return [(x.size // features, units)]


def _slide(op, height, width, dilation_h=1, dilation_w=1):
    """The height and width that a window, as it slides over the input, leaves of it."""
    _need(len(op.inputs[0].shape) == 4, "4 dimensions")
    _need(op.options.padding in (0, 1), "padding 0 (same) or 1 (valid)")

    def slide(size, length, stride, dilation):
        # Beyond, the int32 positions in the kernels' loops might overflow.
        _need(all(1 <= n <= 65536 for n in (length, stride, dilation)), "steps of 1 to 65536")
        lost = (length - 1) * dilation if op.options.padding == 1 else 0
        return -(-(size - lost) // stride)

    _, rows, columns, _ = op.inputs[0].shape
    return (
        slide(rows, height, op.options.stride_h, dilation_h),
        slide(columns, width, op.options.stride_w, dilation_w),
    )


def _pool_2d(op):
    [x] = op.inputs
    sizes = _slide(op, op.options.filter_height, op.options.filter_width)
    return [(x.shape[0], *sizes, x.shape[3])]


def _slide_weights(op, channels):
    x, weights = op.inputs[:2]
    _, height, width, _ = weights.shape
    _check_channels(op, channels)
    sizes = _slide(op, height, width, op.options.dilation_h_factor, op.options.dilation_w_factor)
    return [(x.shape[0], *sizes, channels)]


def _conv_2d(op):
    x, weights = op.inputs[:2]
    _need(len(x.shape) == len(weights.shape) == 4, "4 dimensions")
    channels, _, _, depth = weights.shape
    groups, rest = divmod(x.shape[3], depth)
    _need(groups and not rest and channels % groups == 0, "weights for each channel")
    return _slide_weights(op, channels)


def _depthwise_conv_2d(op):
    x, weights = op.inputs[:2]
    _need(len(x.shape) == len(weights.shape) == 4, "4 dimensions")
    channels = x.shape[3] * op.options.depth_multiplier
    _need((weights.shape[0], weights.shape[3]) == (1, channels), "weights for each channel")
    return _slide_weights(op, channels)


def _batch_matmul(op):
    a, b = (x.shape for x in op.inputs)
    _need(2 <= len(a) == len(b) <= 4, "2 to 4 dimensions, the same for both")
    (*batch, rows, inner), (*batch_b, inner_b, columns) = a, b
    if op.options.adj_x:
        rows, inner = inner, rows
    if op.options.adj_y:
        inner_b, columns = columns, inner_b
    _need((batch, inner) == (batch_b, inner_b), "matrices that multiply")
    return [(*batch, rows, columns)]


def _reduce(op):
    x, axes = op.inputs
    axes = [_axis(axis, len(x.shape)) for axis in _integers(axes)]
    _need(len(axes) == len(set(axes)) <= 4, "at most 4 axes, all different")
    if op.options.keep_dims:
        return [tuple(1 if i in axes else size for i, size in enumerate(x.shape))]
    return [tuple(size for i, size in enumerate(x.shape) if i not in axes)]


def _concatenation(op):
    shapes = [x.shape for x in op.inputs]
    axis = _axis(op.options.axis, len(shapes[0]))
    rests = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
    _need(len(rests) == 1, f"shapes that differ at axis {axis} alone")
    [(left, right)] = rests
    return [(*left, sum(shape[axis] for shape in shapes), *right)]


def _split(op):
    axis, x = op.inputs
    axis, count = _axis(_integers(axis)[0], len(x.shape)), len(op.outputs)
    _need(op.options.num_splits == count, f"num_splits {count}")
    _need(x.shape[axis] % count == 0, f"a multiple of {count} at axis {axis}")
    return [(*x.shape[:axis], x.shape[axis] // count, *x.shape[axis + 1 :])] * count


def _pack(op):
    shape, count = op.inputs[0].shape, len(op.inputs)
    axis = _axis(op.options.axis, len(shape) + 1)
    _need(op.options.values_count == count, f"values_count {count}")
    _need(all(x.shape == shape for x in op.inputs), "shapes that are equal")
    return [(*shape[:axis], count, *shape[axis:])]


def _unpack(op):
    [x], count = op.inputs, len(op.outputs)
    axis = _axis(op.options.axis, len(x.shape))
    _need(op.options.num == count == x.shape[axis], f"num and axis {axis} to be {count}")
    return [x.shape[:axis] + x.shape[axis + 1 :]] * count


def _reshape(op):
    [y] = op.outputs
    _need(op.inputs[0].size == y.size, f"{y.size} values")
    return [y.shape]


def _transpose(op):
    x, order = op.inputs
    order = _integers(order)
    _need(sorted(order) == list(range(len(x.shape))), "each axis once")
    return [tuple(x.shape[axis] for axis in order)]


def _pad(op):
    x, paddings, *value = op.inputs
    paddings = _integers(paddings)
    _need(len(paddings) == 2 * len(x.shape) and min(paddings) >= 0, "2 paddings for each axis")
    _need(not value or value[0].size == 1, "one value to pad with")
    pairs = zip(x.shape, paddings[::2], paddings[1::2], strict=True)
    return [tuple(left + size + right for size, left, right in pairs)]


def _slice(op):
    x, begin, size = op.inputs
    _need(begin.size == size.size == len(x.shape), "a begin and a size for each axis")
    shape = []
    for length, start, count in zip(x.shape, _integers(begin), _integers(size), strict=True):
        count = length - start if count == -1 else count
        _need(0 <= start <= start + count <= length, "slices in the input")
        shape.append(count)
    return [tuple(shape)]


def _strided_slice(op):
    x, *bounds = op.inputs
    o = op.options
    _need(not (o.ellipsis_mask or o.new_axis_mask or o.offset), "no ellipsis, new axis or offset")
    _need(all(bound.size == len(x.shape) <= 4 for bound in bounds), "bounds for up to 4 axes")
    shape = []
    for i, (size, begin, end, stride) in enumerate(
        zip(x.shape, *map(_integers, bounds), strict=True)
    ):
        # Beyond, the int32 positions in the kernel's loops might overflow.
        _need(1 <= stride <= 65536, "strides of 1 to 65536")
        begin = 0 if o.begin_mask >> i & 1 else begin
        end = size if o.end_mask >> i & 1 else end
        if o.shrink_axis_mask >> i & 1:
            _need(-size <= begin < size, f"an index in axis {i}")
        else:
            shape.append(len(range(size)[begin:end:stride]))
    return [tuple(shape)]


def _gather(op):
    x, indices = op.inputs
    axis = _axis(op.options.axis, len(x.shape))
    _need(op.options.batch_dims == 0, "batch_dims 0")
    _need(all(0 <= i < x.shape[axis] for i in _integers(indices)), f"indices in axis {axis}")
    return [(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])]


def _fastgrnn(op):
    x, options = op.inputs[0], op.custom_options or b""
    _need(len(options) == _OPTIONS_SIZE, f"{_OPTIONS_SIZE} bytes of options, not {len(options)}")
    # The rest of the options and the weights are checked by the kernel's fastgrnn_init().
    version, flags, units, features = struct.unpack_from("<BxxxBxHH", options)
    _need(version == _VERSION, f"options of version {_VERSION}, not {version}")
    _need(len(x.shape) == 3 and x.shape == (1, x.shape[1], features), f"(1, timesteps, {features})")
    return [(1, x.shape[1], units) if flags & _RETURN_SEQUENCES else (1, units)]


RULES = {
    FASTGRNN: Rule("qc>q", _fastgrnn),
    "ABS": Rule("d>d", _same),
    "ADD": Rule("dd>d", _sum, "AddOptions"),
    "AVERAGE_POOL_2D": Rule("d>d", _pool_2d, "Pool2DOptions"),
    "BATCH_MATMUL": Rule("dd>d", _batch_matmul, "BatchMatMulOptions"),
    "CONCATENATION": Rule("d*>d", _concatenation, "ConcatenationOptions"),
    "CONV_2D": Rule("dwb>d", _conv_2d, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": Rule("dwb>d", _depthwise_conv_2d, "DepthwiseConv2DOptions"),
    "DEQUANTIZE": Rule("q>f", _same),
    "ELU": Rule("d>d", _same),
    "FULLY_CONNECTED": Rule("dwB>d", _fully_connected, "FullyConnectedOptions"),
    "GATHER": Rule("di>d", _gather, "GatherOptions"),
    "HARD_SWISH": Rule("d>d", _same),
    "LEAKY_RELU": Rule("d>d", _leaky_relu, "LeakyReluOptions"),
    "LOGISTIC": Rule("d>d", _same),
    "MAXIMUM": Rule("dd>d", _broadcast),
    "MAX_POOL_2D": Rule("d>d", _pool_2d, "Pool2DOptions"),
    "MEAN": Rule("di>d", _reduce, "ReducerOptions"),
    "MINIMUM": Rule("dd>d", _broadcast),
    "MUL": Rule("dd>d", _broadcast, "MulOptions"),
    "NEG": Rule("f>f", _same),
    "PACK": Rule("d*>d", _pack, "PackOptions"),
    "PAD": Rule("di>d", _pad),
    "PADV2": Rule("did>d", _pad),
    "PRELU": Rule("dd>d", _broadcast),
    "QUANTIZE": Rule("d>q", _same),
    "REDUCE_MAX": Rule("di>d", _reduce, "ReducerOptions"),
    "RELU": Rule("d>d", _same),
    "RELU6": Rule("d>d", _same),
    "RESHAPE": Rule("dI>d", _reshape),
    "RSQRT": Rule("d>d", _same),
    "SLICE": Rule("dii>d", _slice),
    "SOFTMAX": Rule("d>d", _softmax, "SoftmaxOptions"),
    "SPLIT": Rule("id>d*", _split, "SplitOptions"),
    "SQUARE": Rule("f>f", _same),
    "SQUARED_DIFFERENCE": Rule("dd>d", _broadcast),
    "STRIDED_SLICE": Rule("diii>d", _strided_slice, "StridedSliceOptions"),
    "SUB": Rule("dd>d", _sum, "SubOptions"),
    "SUM": Rule("di>d", _reduce, "ReducerOptions"),
    "TANH": Rule("d>d", _same),
    "TRANSPOSE": Rule("di>d", _transpose),
    "UNPACK": Rule("d>d*", _unpack, "UnpackOptions"),
}
