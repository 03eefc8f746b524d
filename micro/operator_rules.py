"""What an operator of a .tflite file may read, and the shapes that it then writes.

The rules follow TFLite Micro's kernels (tensorflow/lite/micro/kernels), which compute from the
shapes in a file without comparing them. They ask for what a kernel divides by, takes for an index
or aborts at, and for the scales that it takes for granted: with others it computes wrong numbers
without a word (tests/micro/test_operators.py). There is one for FASTGRNN and for each operator that
the stock converter makes of common Keras layers.
"""

import math
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

FASTGRNN = "CUSTOM:FASTGRNN"
MAX_CONCATENATED = 10  # kMaxInputNum of TFLite Micro's CONCATENATION

_OPTIONS_SIZE, _VERSION, _RETURN_SEQUENCES = 36, 2, 1  # of FASTGRNN, docs/format.md


class Rule(NamedTuple):
    """The rule of an operator.

    Attributes:
        tensors: a letter for each tensor that it reads and, behind the `>`, that it writes. A
            capital may be left out, `*` repeats the letter before it.
            d: float32 or int8, the same for all of them. s: that too, in one scale and zero point
            for all of them. w: as d, and a constant. b: bias, a constant, int32 if d is int8.
            i: int32 constant. c: int8 constant. f: float32. q: int8. t: bool. n: a number or bool
            without a scale. An int8 d, s or q has one scale, a w one for each channel or one.
        shapes: a function of the operator that returns a list of the shapes that it writes.
        options: the name of the table of its options, if it has any.
        needs_options: whether the kernel reads them.
    """

    tensors: str
    shapes: Callable
    options: str | None = None
    needs_options: bool = True

    def letters(self, inputs, outputs):
        """Two strings, a letter for each of the tensors.

        Raises:
            ValueError: if an operator does not have as many.
        """
        return [
            _letters(letters, len(tensors))
            for letters, tensors in zip(self.tensors.split(">"), (inputs, outputs), strict=True)
        ]


def _letters(letters, count):
    if letters.endswith("*"):
        letters = letters[:-1] + letters[-2] * (count - len(letters) + 1)
    least = sum(letter.islower() for letter in letters)
    _need(least <= count <= len(letters), f"{least} to {len(letters)} tensors")
    return letters[:count]


class Unmet(ValueError):
    """What an operator needs and does not have."""


def _need(condition, what):
    if not condition:
        raise Unmet(f"needs {what}")


def check_operator(op):
    """Checks an operator against its rule.

    Args:
        op: namespace; `inputs` and `outputs` are lists of tensors, `None` for one left out.

    Raises:
        Unmet: if it does not follow the rule.
    """
    activation = getattr(op.options, "fused_activation_function", 0)
    _need(activation in range(4), "activation 0 (none), 1 (relu), 2 (relu_n1_to_1), 3 (relu6)")
    _check_tensors(op)
    shapes = op.rule.shapes(op)
    _need(shapes == [y.shape for y in op.outputs], f"to write {shapes}")


def describe(op):
    """What it reads and writes, and its options."""
    reads, writes = (", ".join(map(_describe, side)) for side in (op.inputs, op.outputs))
    options = {} if op.options is None else vars(op.options)
    has = "".join(f", {name} {value}" for name, value in options.items() if name != "where")
    return f"It reads {reads}, writes {writes}{has}"


def _describe(tensor):
    if tensor is None:
        return "nothing"
    is_short = tensor.type == "int32" and tensor.data and tensor.size <= 10
    return f"{tensor.type} {tensor.shape}" + (f" of {_integers(tensor)}" if is_short else "")


def _check_tensors(op):
    letters = "".join(op.rule.letters(op.inputs, op.outputs))
    slots = [*zip(letters, [*op.inputs, *op.outputs], strict=True)]
    data = next((x.type for letter, x in slots if letter in "ds" and x is not None), "float32")
    _need(data in ("float32", "int8"), "float32 or int8")
    types = dict.fromkeys("dsw", data) | {"b": "int32" if data == "int8" else data, "i": "int32"}
    types |= {"f": "float32", "q": "int8", "c": "int8", "t": "bool"}
    for letter, x in slots:
        if x is None:
            _need(letter.isupper(), "the tensor that is left out")
            continue
        letter = letter.lower()
        if letter == "n":
            _need(not x.scale, f"no scale of {x.where}")
            continue
        _need(x.type == types[letter], f"{types[letter]} of {x.where}")
        _need(x.data or letter not in "wbic", f"a constant of {x.where}")
        if x.type == "int8" and letter in "dsq":
            _need(len(x.scale) == 1, f"one scale of {x.where}, which has {len(x.scale)}")
        if x.type == "int8" and letter == "w":
            _need(x.scale and not any(x.zero_point), f"scales and zero points 0 of {x.where}")

    formats = {(x.scale, x.zero_point) for letter, x in slots if letter == "s" and x.scale}
    _need(len(formats) <= 1, f"one scale and zero point, not {sorted(formats)}")


def _integers(tensor):
    return struct.unpack(f"<{tensor.size}i", tensor.data)


def _axis(axis, rank):
    _need(-rank <= axis < rank, f"an axis of {rank} dimensions")
    return axis % rank


def _same(op):
    return [op.inputs[0].shape]


def _fixed(scale, zero_point):
    """`_same`, of an int8 kernel that writes in this format, whatever the file says."""

    def rule(op):
        [y] = op.outputs
        found, expected = (y.scale, y.zero_point), ((scale,), (zero_point,))
        _need(found in (expected, ((), ())), f"an output of scale {scale}, zero point {zero_point}")
        return _same(op)

    return rule


def _hard_swish(op):
    [x], [y] = op.inputs, op.outputs
    if x.type == "int8":
        _need(x.scale[0] < 128 * y.scale[0], "a scale below 128 times the output's")
    return _same(op)


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
    return _fixed(1 / 256, -128)(op)


def _broadcast(op):
    rank = max(len(x.shape) for x in op.inputs)
    _need(rank <= 4, "at most 4 dimensions")
    shapes = [(1,) * (rank - len(x.shape)) + x.shape for x in op.inputs]
    sizes = [set(axis) - {1} for axis in zip(*shapes, strict=True)]
    _need(all(len(size) <= 1 for size in sizes), "shapes that broadcast")
    return [tuple(size.pop() if size else 1 for size in sizes)]


def _broadcast_to(op):
    x, shape = op.inputs
    shape = _integers(shape)
    rank = len(shape)
    _need(len(x.shape) <= rank <= 5, f"{len(x.shape)} to 5 dimensions")
    pairs = zip((1,) * (rank - len(x.shape)) + x.shape, shape, strict=True)
    _need(all(size in (1, new) for size, new in pairs), "a shape to broadcast to")
    return [shape]


def _sum(op):
    if op.outputs[0].type == "int8":
        # The kernels abort at a quotient of 2^19.
        quotient = max(x.scale[0] for x in op.inputs) / op.outputs[0].scale[0]
        _need(quotient < 2.0**18, f"a scale below 2^18 times the output's, not {quotient} times")
    return _broadcast(op)


def _check_channels(channels, weights, *bias):
    _need(weights.type == "float32" or len(weights.scale) in (1, channels), f"{channels} scales")
    _need(bias in ((), (None,)) or bias[0].size == channels, f"{channels} biases")


def _fully_connected(op):
    x, weights = op.inputs[:2]
    _need(op.options.weights_format == 0, "weights_format 0")
    _need(len(weights.shape) == 2, "weights of 2 dimensions")
    units, features = weights.shape
    _check_channels(units, *op.inputs[1:])
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
    _check_channels(channels, *op.inputs[1:])
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


def _transpose_conv(op):
    shape, weights, x = op.inputs[:3]
    shape = _integers(shape)
    _need(len(x.shape) == len(weights.shape) == len(shape) == 4, "4 dimensions")
    channels, height, width, depth = weights.shape
    _check_channels(channels, weights, *op.inputs[3:])
    # The reverse of a convolution, which would read what this writes.
    forward = SimpleNamespace(inputs=[SimpleNamespace(shape=shape)], options=op.options)
    slid = (shape[0], *_slide(forward, height, width), depth)
    _need(slid == x.shape, f"to read {slid}")
    _need(shape[3] == channels, f"{channels} channels")
    return [shape]


def _resize(op):
    x, size = op.inputs
    _need(len(x.shape) == 4 and size.size == 2, "4 dimensions and 2 sizes")
    o = op.options
    _need(not (o.align_corners and o.half_pixel_centers), "aligned corners or half pixels")
    return [(x.shape[0], *_integers(size), x.shape[3])]


def _cumsum(op):
    x, axis = op.inputs
    _need(axis.size == 1, "one axis")
    _axis(_integers(axis)[0], len(x.shape))
    return _same(op)


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
    _need(op.options.fused_activation_function == 0, "activation 0 (none)")
    _need(len(op.inputs) <= MAX_CONCATENATED, f"at most {MAX_CONCATENATED} tensors")
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


def _split_v(op):
    x, sizes, axis = op.inputs
    axis, sizes, count = _integers(axis)[0], _integers(sizes), len(op.outputs)
    _need(0 <= axis < len(x.shape), f"an axis of {len(x.shape)} dimensions, counted from the first")
    _need(op.options.num_splits == len(sizes) == count, f"num_splits and sizes for {count}")
    _need(min(sizes) >= 1 and sum(sizes) == x.shape[axis], f"sizes that make up axis {axis}")
    return [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]


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


def _mirror_pad(op):
    x, paddings = op.inputs
    _need(op.options.mode in (0, 1), "mode 0 (reflect) or 1 (symmetric)")
    _need(paddings.shape == (len(x.shape), 2), "2 paddings for each axis")
    least = 1 - op.options.mode
    sizes = zip(x.shape, _integers(paddings)[::2], _integers(paddings)[1::2], strict=True)
    _need(all(max(left, right) <= n - least for n, left, right in sizes), "paddings to mirror")
    return _pad(op)


def _reverse(op):
    x, axes = op.inputs
    axes = _integers(axes)
    _need(axes == tuple(range(axes[0], axes[0] + len(axes))), "axes that follow one another")
    _need(axes[0] >= 0 and axes[-1] < len(x.shape), f"axes of {len(x.shape)} dimensions")
    return _same(op)


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
    "AVERAGE_POOL_2D": Rule("s>s", _pool_2d, "Pool2DOptions"),
    "BATCH_MATMUL": Rule("dd>d", _batch_matmul, "BatchMatMulOptions"),
    "BROADCAST_TO": Rule("si>s", _broadcast_to),
    "CAST": Rule("n>n", _same, "CastOptions", needs_options=False),
    "CEIL": Rule("f>f", _same),
    "CONCATENATION": Rule("s*>s", _concatenation, "ConcatenationOptions"),
    "CONV_2D": Rule("dwb>d", _conv_2d, "Conv2DOptions"),
    "COS": Rule("f>f", _same),
    "CUMSUM": Rule("fi>f", _cumsum, "CumsumOptions"),  # int8 adds zero points up, and may abort
    "DEPTHWISE_CONV_2D": Rule("dwb>d", _depthwise_conv_2d, "DepthwiseConv2DOptions"),
    "DEQUANTIZE": Rule("q>f", _same),
    "DIV": Rule("ff>f", _broadcast, "DivOptions"),  # int8 1 / 2^n is wrong
    "ELU": Rule("d>d", _same),
    "EQUAL": Rule("dd>t", _broadcast),
    "EXP": Rule("f>f", _same),
    "FLOOR": Rule("f>f", _same),
    "FLOOR_DIV": Rule("ff>f", _broadcast),
    "FLOOR_MOD": Rule("ff>f", _broadcast),
    "FULLY_CONNECTED": Rule("dwB>d", _fully_connected, "FullyConnectedOptions"),
    "GATHER": Rule("si>s", _gather, "GatherOptions"),
    "GREATER": Rule("dd>t", _broadcast),
    "GREATER_EQUAL": Rule("dd>t", _broadcast),
    "HARD_SWISH": Rule("d>d", _hard_swish),
    "LEAKY_RELU": Rule("d>d", _leaky_relu, "LeakyReluOptions"),
    "LESS": Rule("dd>t", _broadcast),
    "LESS_EQUAL": Rule("dd>t", _broadcast),
    "LOG": Rule("f>f", _same),
    "LOGICAL_AND": Rule("tt>t", _broadcast),
    "LOGICAL_NOT": Rule("t>t", _same),
    "LOGICAL_OR": Rule("tt>t", _broadcast),
    "LOGISTIC": Rule("d>d", _fixed(1 / 256, -128)),
    "LOG_SOFTMAX": Rule("d>d", _fixed(16 / 256, 127)),
    "MAXIMUM": Rule("ss>s", _broadcast),
    "MAX_POOL_2D": Rule("s>s", _pool_2d, "Pool2DOptions"),
    "MEAN": Rule("di>d", _reduce, "ReducerOptions"),
    "MINIMUM": Rule("ss>s", _broadcast),
    "MIRROR_PAD": Rule("si>s", _mirror_pad, "MirrorPadOptions"),
    "MUL": Rule("dd>d", _broadcast, "MulOptions"),
    "NEG": Rule("f>f", _same),
    "NOT_EQUAL": Rule("dd>t", _broadcast),
    "PACK": Rule("s*>s", _pack, "PackOptions"),
    "PAD": Rule("si>s", _pad),
    "PADV2": Rule("sis>s", _pad),
    "PRELU": Rule("dd>d", _broadcast),
    "QUANTIZE": Rule("d>q", _same),
    "REDUCE_MAX": Rule("si>s", _reduce, "ReducerOptions"),
    "REDUCE_MIN": Rule("si>s", _reduce, "ReducerOptions"),
    "RELU": Rule("d>d", _same),
    "RELU6": Rule("s>s", _same),
    "RESHAPE": Rule("sI>s", _reshape),
    "RESIZE_BILINEAR": Rule("si>s", _resize, "ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": Rule("si>s", _resize, "ResizeNearestNeighborOptions"),
    "REVERSE_V2": Rule("si>s", _reverse),
    "ROUND": Rule("f>f", _same),
    "RSQRT": Rule("d>d", _same),
    "SELECT_V2": Rule("tss>s", _broadcast),
    "SIN": Rule("f>f", _same),
    "SLICE": Rule("sii>s", _slice),
    "SOFTMAX": Rule("d>d", _softmax, "SoftmaxOptions"),
    "SPLIT": Rule("is>s*", _split, "SplitOptions"),
    "SPLIT_V": Rule("sii>s*", _split_v, "SplitVOptions"),
    "SQRT": Rule("f>f", _same),
    "SQUARE": Rule("f>f", _same),
    "SQUARED_DIFFERENCE": Rule("dd>d", _broadcast),
    "STRIDED_SLICE": Rule("siii>s", _strided_slice, "StridedSliceOptions"),
    "SUB": Rule("dd>d", _sum, "SubOptions"),
    "SUM": Rule("di>d", _reduce, "ReducerOptions"),
    "TANH": Rule("d>d", _fixed(1 / 128, 0)),
    "TRANSPOSE": Rule("si>s", _transpose),
    "TRANSPOSE_CONV": Rule("iwdB>d", _transpose_conv, "TransposeConvOptions"),
    "UNPACK": Rule("s>s*", _unpack, "UnpackOptions"),
}
