"""The output shapes of each operator of a .tflite file.

Each function takes an operator and returns a list of shapes. It follows TFLite Micro's kernel
(tensorflow/lite/micro/kernels), which trusts the shapes in a file, and checks the values by which
the kernel divides, with which it indexes or at which it aborts.
"""

import math
import struct
from types import SimpleNamespace

MAX_CONCATENATED = 10  # kMaxInputNum of TFLite Micro's CONCATENATION

# FASTGRNN (docs/format.md): the size of the options by version, and bits of its fields.
_OPTIONS_SIZES = {2: 36, 3: 38}
_RETURN_SEQUENCES, _INT16_INPUT, _INT16_OUTPUT = 1, 1, 2


class Unmet(ValueError):
    """An operator does not meet a need of its kernel."""


def need(condition, what):
    if not condition:
        raise Unmet(f"needs {what}")


def integers(tensor):
    return struct.unpack(f"<{tensor.size}i", tensor.data)


def _axis(axis, rank):
    need(-rank <= axis < rank, f"an axis of {rank} dimensions, not {axis}")
    return axis % rank


def same(op):
    return [op.inputs[0].shape]


def fixed(scale, zero_point):
    """`same`, for kernels that always write in this int8 format, and in Q0.15 in int16."""

    def rule(op):
        [y] = op.outputs
        expected = (1 / 32768, 0) if y.type == "int16" else (scale, zero_point)
        need(
            y.type == "float32" or (*y.scale, *y.zero_point) == expected,
            "an output of scale {}, zero point {}".format(*expected),
        )
        return same(op)

    return rule


def hard_swish(op):
    [x], [y] = op.inputs, op.outputs
    if x.type == "int8":
        need(x.scale[0] < 128 * y.scale[0], f"a scale below 128 times the output's, {y.scale[0]}")
    return same(op)


def leaky_relu(op):
    need(math.isfinite(op.options.alpha), "a finite alpha")
    return same(op)


def softmax(op):
    [x] = op.inputs
    need(x.shape, "at least 1 dimension")
    need(math.isfinite(op.options.beta), "a finite beta")
    if x.type == "int8":
        # The int8 kernel aborts below, and at a row of 512 equal values.
        need(op.options.beta * x.scale[0] > 2.0**-26, f"a beta over 2^-26 / {x.scale[0]}")
        need(x.shape[-1] < 512, f"fewer than 512 int8 values in a row, not {x.shape[-1]}")
    return fixed(1 / 256, -128)(op)


def broadcast(op):
    rank = max(len(x.shape) for x in op.inputs)
    need(rank <= 4, "at most 4 dimensions")
    shapes = [(1,) * (rank - len(x.shape)) + x.shape for x in op.inputs]
    sizes = [set(axis) - {1} for axis in zip(*shapes, strict=True)]
    need(all(len(size) <= 1 for size in sizes), "shapes that broadcast")
    return [tuple(size.pop() if size else 1 for size in sizes)]


def broadcast_to(op):
    x, shape = op.inputs
    shape = integers(shape)
    rank = len(shape)
    need(len(x.shape) <= rank <= 5, f"{len(x.shape)} to 5 dimensions")
    pairs = zip((1,) * (rank - len(x.shape)) + x.shape, shape, strict=True)
    need(all(size in (1, new) for size, new in pairs), f"a shape that broadcasts to {shape}")
    return [shape]


def addition(op):
    if op.outputs[0].type != "float32":
        # The kernels abort at a quotient of 2^19.
        quotient = max(x.scale[0] for x in op.inputs) / op.outputs[0].scale[0]
        need(quotient < 2.0**18, f"a scale below 2^18 times the output's, not {quotient} times")
    return broadcast(op)


def _check_channels(channels, weights, *bias):
    need(weights.type == "float32" or len(weights.scale) in (1, channels), f"{channels} scales")
    need(bias in ((), (None,)) or bias[0].size == channels, f"{channels} biases")


def fully_connected(op):
    x, weights = op.inputs[:2]
    need(op.options.weights_format == 0, "weights_format 0")
    need(len(weights.shape) == 2, "weights of 2 dimensions")
    units, features = weights.shape
    _check_channels(units, *op.inputs[1:])
    if op.options.keep_num_dims:
        need(x.shape[-1:] == (features,), f"shape (..., {features})")
        return [(*x.shape[:-1], units)]
    need(x.size % features == 0, f"a multiple of {features} values")
    return [(x.size // features, units)]


def _slide(op, height, width, dilation_h=1, dilation_w=1):
    """Returns the output height and width of a window that slides over the input."""
    need(len(op.inputs[0].shape) == 4, "4 dimensions")
    need(op.options.padding in (0, 1), "padding 0 (same) or 1 (valid)")

    def slide(size, length, stride, dilation):
        # Beyond, the int32 positions in the kernels' loops might overflow.
        need(all(1 <= n <= 65536 for n in (length, stride, dilation)), "steps of 1 to 65536")
        lost = (length - 1) * dilation if op.options.padding == 1 else 0
        return -(-(size - lost) // stride)

    _, rows, columns, _ = op.inputs[0].shape
    return (
        slide(rows, height, op.options.stride_h, dilation_h),
        slide(columns, width, op.options.stride_w, dilation_w),
    )


def pool_2d(op):
    [x] = op.inputs
    sizes = _slide(op, op.options.filter_height, op.options.filter_width)
    return [(x.shape[0], *sizes, x.shape[3])]


def _slide_weights(op, channels):
    x, weights = op.inputs[:2]
    _, height, width, _ = weights.shape
    _check_channels(channels, *op.inputs[1:])
    sizes = _slide(op, height, width, op.options.dilation_h_factor, op.options.dilation_w_factor)
    return [(x.shape[0], *sizes, channels)]


def conv_2d(op):
    x, weights = op.inputs[:2]
    need(len(x.shape) == len(weights.shape) == 4, "4 dimensions")
    channels, _, _, depth = weights.shape
    groups, rest = divmod(x.shape[3], depth)
    need(groups and not rest and channels % groups == 0, "weights for each channel")
    return _slide_weights(op, channels)


def depthwise_conv_2d(op):
    x, weights = op.inputs[:2]
    need(len(x.shape) == len(weights.shape) == 4, "4 dimensions")
    channels = x.shape[3] * op.options.depth_multiplier
    need((weights.shape[0], weights.shape[3]) == (1, channels), "weights for each channel")
    return _slide_weights(op, channels)


def transpose_conv(op):
    shape, weights, x = op.inputs[:3]
    shape = integers(shape)
    need(len(x.shape) == len(weights.shape) == len(shape) == 4, "4 dimensions")
    channels, height, width, depth = weights.shape
    _check_channels(channels, weights, *op.inputs[3:])
    # The reverse of a convolution, whose input is this output.
    forward = SimpleNamespace(inputs=[SimpleNamespace(shape=shape)], options=op.options)
    slid = (shape[0], *_slide(forward, height, width), depth)
    need(slid == x.shape, f"to read {slid}")
    need(shape[3] == channels, f"{channels} channels")
    return [shape]


def resize(op):
    x, size = op.inputs
    need(len(x.shape) == 4 and size.size == 2, "4 dimensions and 2 sizes")
    o = op.options
    need(not (o.align_corners and o.half_pixel_centers), "aligned corners or half pixels")
    return [(x.shape[0], *integers(size), x.shape[3])]


def cumsum(op):
    x, axis = op.inputs
    need(axis.size == 1, "one axis")
    _axis(integers(axis)[0], len(x.shape))
    return same(op)


def batch_matmul(op):
    a, b = (x.shape for x in op.inputs)
    need(2 <= len(a) == len(b) <= 4, "2 to 4 dimensions, the same for both")
    (*batch, rows, inner), (*batch_b, inner_b, columns) = a, b
    if op.options.adj_x:
        rows, inner = inner, rows
    if op.options.adj_y:
        inner_b, columns = columns, inner_b
    need((batch, inner) == (batch_b, inner_b), f"matrices whose shapes match, not {a} and {b}")
    return [(*batch, rows, columns)]


def reduce(op):
    x, axes = op.inputs
    axes = [_axis(axis, len(x.shape)) for axis in integers(axes)]
    need(len(axes) == len(set(axes)) <= 4, "at most 4 axes, all different")
    if op.options.keep_dims:
        return [tuple(1 if i in axes else size for i, size in enumerate(x.shape))]
    return [tuple(size for i, size in enumerate(x.shape) if i not in axes)]


def concatenation(op):
    need(op.options.fused_activation_function == 0, "activation 0 (none)")
    need(len(op.inputs) <= MAX_CONCATENATED, f"at most {MAX_CONCATENATED} tensors")
    shapes = [x.shape for x in op.inputs]
    axis = _axis(op.options.axis, len(shapes[0]))
    rests = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
    need(len(rests) == 1, f"shapes that differ only at axis {axis}")
    [(left, right)] = rests
    return [(*left, sum(shape[axis] for shape in shapes), *right)]


def split(op):
    axis, x = op.inputs
    axis, count = _axis(integers(axis)[0], len(x.shape)), len(op.outputs)
    need(op.options.num_splits == count, f"num_splits {count}")
    need(x.shape[axis] % count == 0, f"a multiple of {count} at axis {axis}")
    return [(*x.shape[:axis], x.shape[axis] // count, *x.shape[axis + 1 :])] * count


def split_v(op):
    x, sizes, axis = op.inputs
    axis, sizes, count = integers(axis)[0], integers(sizes), len(op.outputs)
    need(0 <= axis < len(x.shape), f"an axis of {len(x.shape)} dimensions, counted from the first")
    need(op.options.num_splits == len(sizes) == count, f"num_splits and sizes for {count}")
    length = x.shape[axis]
    need(min(sizes) >= 1 and sum(sizes) == length, f"sizes that sum to {length} on axis {axis}")
    return [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]


def pack(op):
    shape, count = op.inputs[0].shape, len(op.inputs)
    axis = _axis(op.options.axis, len(shape) + 1)
    need(op.options.values_count == count, f"values_count {count}")
    need(all(x.shape == shape for x in op.inputs), "equal shapes")
    return [(*shape[:axis], count, *shape[axis:])]


def unpack(op):
    [x], count = op.inputs, len(op.outputs)
    axis = _axis(op.options.axis, len(x.shape))
    need(op.options.num == count == x.shape[axis], f"num and axis {axis} to be {count}")
    return [x.shape[:axis] + x.shape[axis + 1 :]] * count


def reshape(op):
    [y] = op.outputs
    need(op.inputs[0].size == y.size, f"{y.size} values")
    return [y.shape]


def transpose(op):
    x, order = op.inputs
    order = integers(order)
    need(sorted(order) == list(range(len(x.shape))), "each axis once")
    return [tuple(x.shape[axis] for axis in order)]


def pad(op):
    x, paddings, *value = op.inputs
    paddings = integers(paddings)
    need(len(paddings) == 2 * len(x.shape) and min(paddings) >= 0, "2 paddings for each axis")
    need(not value or value[0].size == 1, "one value to pad with")
    pairs = zip(x.shape, paddings[::2], paddings[1::2], strict=True)
    return [tuple(left + size + right for size, left, right in pairs)]


def mirror_pad(op):
    x, paddings = op.inputs
    need(op.options.mode in (0, 1), "mode 0 (reflect) or 1 (symmetric)")
    need(paddings.shape == (len(x.shape), 2), "2 paddings for each axis")
    least = 1 - op.options.mode
    sizes = zip(x.shape, integers(paddings)[::2], integers(paddings)[1::2], strict=True)
    need(
        all(max(left, right) <= n - least for n, left, right in sizes),
        "paddings that fit the input",
    )
    return pad(op)


def reverse(op):
    x, axes = op.inputs
    axes = integers(axes)
    need(axes == tuple(range(axes[0], axes[0] + len(axes))), f"consecutive axes, not {axes}")
    need(axes[0] >= 0 and axes[-1] < len(x.shape), f"axes of {len(x.shape)} dimensions")
    return same(op)


def slicing(op):
    x, begin, size = op.inputs
    need(begin.size == size.size == len(x.shape), "a begin and a size for each axis")
    shape = []
    for length, start, count in zip(x.shape, integers(begin), integers(size), strict=True):
        count = length - start if count == -1 else count
        need(0 <= start <= start + count <= length, "slices within the input")
        shape.append(count)
    return [tuple(shape)]


def strided_slice(op):
    x, *bounds = op.inputs
    o = op.options
    need(not (o.ellipsis_mask or o.new_axis_mask or o.offset), "no ellipsis, new axis or offset")
    need(all(bound.size == len(x.shape) <= 4 for bound in bounds), "bounds for up to 4 axes")
    shape = []
    for i, (size, begin, end, stride) in enumerate(
        zip(x.shape, *map(integers, bounds), strict=True)
    ):
        # Beyond, the int32 positions in the kernel's loops might overflow.
        need(1 <= stride <= 65536, "strides of 1 to 65536")
        begin = 0 if o.begin_mask >> i & 1 else begin
        end = size if o.end_mask >> i & 1 else end
        if o.shrink_axis_mask >> i & 1:
            need(-size <= begin < size, f"an index in axis {i}")
        else:
            shape.append(len(range(size)[begin:end:stride]))
    return [tuple(shape)]


def gather(op):
    x, indices = op.inputs
    axis = _axis(op.options.axis, len(x.shape))
    need(op.options.batch_dims == 0, "batch_dims 0")
    need(all(0 <= i < x.shape[axis] for i in integers(indices)), f"indices in axis {axis}")
    return [(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])]


def fastgrnn(op):
    x, options = op.inputs[0], op.custom_options or b""
    version = options[0] if options else 0
    need(version in _OPTIONS_SIZES, f"options of version 2 or 3, not {version}")
    size = _OPTIONS_SIZES[version]
    need(len(options) == size, f"{size} bytes of options, not {len(options)}")
    # The kernel's fastgrnn_init() checks the other options and the weights.
    flags, types, units, features = struct.unpack_from("<4xBBHH", options)
    types = types if version > 2 else 0
    for tensor, bit in ((x, _INT16_INPUT), (op.outputs[0], _INT16_OUTPUT)):
        expected = "int16" if types & bit else "int8"
        need(tensor.type == expected, f"{expected} of {tensor.where}")
    need(len(x.shape) == 3 and x.shape == (1, x.shape[1], features), f"(1, timesteps, {features})")
    return [(1, x.shape[1], units) if flags & _RETURN_SEQUENCES else (1, units)]
