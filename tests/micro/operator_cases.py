"""Random models of one operator, in int8 with any scales or in float32: a generator for each."""

import dataclasses
import math

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.tflite import flatbuffer

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


@dataclasses.dataclass
class Tensor:
    """A tensor of an operator.

    Attributes:
        values: array; the values of an output do not matter.
        constant: whether the file holds the values.
        scale, zero_point: arrays of an int8 tensor, with one value or one for each channel.
        axis: the axis of the channels.
    """

    values: np.ndarray
    constant: bool = False
    scale: np.ndarray | None = None
    zero_point: np.ndarray | None = None
    axis: int = 0

    @property
    def real(self):
        """The tensor in float32, if it has a scale."""
        if self.scale is None:
            return self
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        values = (self.values.astype(np.float64) - zero_point) * scale
        return Tensor(values.astype(np.float32), self.constant)


@dataclasses.dataclass
class Operator:
    """`options` is an object of the schema, or `None`."""

    name: str
    inputs: list
    outputs: list
    options: object = None

    @property
    def real(self):
        inputs = [None if x is None else x.real for x in self.inputs]
        return dataclasses.replace(self, inputs=inputs, outputs=[y.real for y in self.outputs])

    @property
    def free_inputs(self):
        return [x for x in self.inputs if x is not None and not x.constant]

    def file(self):
        """The bytes of a .tflite file of this operator."""
        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.subgraphs = 3, [graph]
        model.buffers, model.operatorCodes = [schema.BufferT()], []
        graph.tensors, graph.operators, graph.inputs = [], [], []
        inputs = [-1 if x is None else self._add(model, x) for x in self.inputs]
        outputs = [self._add(model, y) for y in self.outputs]
        free = {id(x) for x in self.free_inputs}
        graph.inputs = [i for i, x in zip(inputs, self.inputs, strict=True) if id(x) in free]
        graph.outputs = outputs
        code = getattr(schema.BuiltinOperator, self.name)
        version = 2 if self.name == "BROADCAST_TO" else 1  # version 1 was a custom operator
        operator = flatbuffer.add_operator(model, code, inputs, outputs, version)
        if self.options is not None:
            operator.builtinOptions = self.options
            table = type(self.options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        return flatbuffer.serialize(model)

    @staticmethod
    def _add(model, x):
        tensor = schema.TensorT()
        tensor.type, tensor.shape = TYPES[x.values.dtype], np.array(x.values.shape, np.int32)
        tensor.buffer = 0
        if x.constant:
            tensor.buffer = len(model.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(x.values.tobytes(), np.uint8)
            model.buffers.append(buffer)
        if x.scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = x.scale.astype(np.float32)
            tensor.quantization.zeroPoint = x.zero_point.astype(np.int64)
            tensor.quantization.quantizedDimension = x.axis
        return flatbuffer.add_tensor(model, tensor)


def options(table, **fields):
    made = getattr(schema, table + "T")()
    for name, value in fields.items():
        assert hasattr(made, name), (table, name)
        setattr(made, name, value)
    return made


class Maker:
    """The random numbers of the generators.

    Args:
        rng: NumPy generator.
        dtype: `np.int8`, `np.int16` or `np.float32`, of the data.
    """

    def __init__(self, rng, dtype):
        self.rng, self.dtype = rng, np.dtype(dtype)
        self.shared = self.affine()

    def affine(self):
        scale, zero_point = (
            np.float32(10 ** self.rng.uniform(-2.5, 0)),
            self.rng.integers(-128, 128),
        )
        if self.dtype == np.int16:
            return scale / 256, 0
        return scale, zero_point

    def shape(self, low=1, high=4, least=1):
        return tuple(self.rng.integers(least, 6, self.rng.integers(low, high + 1)).tolist())

    def integer(self, low, high):
        """An integer in `[low, high]`."""
        return int(self.rng.integers(low, high + 1))

    def axis(self, shape):
        return self.integer(-len(shape), len(shape) - 1)

    def choose(self, *values):
        return values[self.rng.integers(len(values))]

    def activation(self):
        return self.integer(0, 3)

    def data(self, shape, constant=False, positive=False):
        """A tensor of random values."""
        if self.dtype == np.float32:
            values = self.rng.normal(0, 4, shape).astype(np.float32)
            return Tensor(np.abs(values) + 0.01 if positive else values, constant)
        scale, zero_point = self.affine()
        if positive and self.dtype == np.int8:
            zero_point = self.integer(-128, 100)
        ends = np.iinfo(self.dtype)
        least = zero_point + 1 if positive else ends.min
        values = self.rng.integers(least, ends.max + 1, shape).astype(self.dtype)
        return Tensor(values, constant, np.array([scale]), np.array([zero_point]))

    def weights(self, shape, axis, channels):
        if self.dtype == np.float32:
            return self.data(shape, constant=True)
        count = self.choose(1, channels)
        scale = 10 ** self.rng.uniform(-3, -1, count).astype(np.float32)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        return Tensor(values, True, scale, np.zeros(count, int), axis if count > 1 else 0)

    def bias(self, x, weights, channels):
        if self.dtype == np.float32:
            return self.data((channels,), constant=True)
        wide = self.dtype == np.int16
        values = self.rng.integers(-3000, 3000, channels) * (256 if wide else 1)
        values = values.astype(np.int64 if wide else np.int32)
        scale = (x.scale * weights.scale).astype(np.float32)
        return Tensor(values, True, scale, np.zeros(len(scale), int))

    def output(self, shape):
        """An output of scale 1, until a better one is known."""
        if self.dtype == np.float32:
            return Tensor(np.zeros(shape, np.float32))
        return Tensor(np.zeros(shape, self.dtype), False, np.ones(1), np.zeros(1, int))


def integers(values):
    return Tensor(np.array(values, np.int32), constant=True)


# ---- The generators: each returns (inputs, outputs, options) ----


def unary(m, positive=False, **shape):
    x = m.data(m.shape(**shape), positive=positive)
    return [x], [m.output(x.values.shape)], None


def positive(m):
    return unary(m, positive=True)


def _broadcast_shapes(m):
    shape = m.shape()
    other = tuple(m.choose(1, size, size) for size in shape)[m.choose(0, 0, len(shape) - 1) :]
    return m.choose((shape, other), (other, shape))


def binary(table=None, fused=True, positive=False, output=None, constants=True):
    def generate(m):
        shapes = _broadcast_shapes(m)
        a = m.data(shapes[0], constant=constants and m.choose(False, False, True))
        b = m.data(shapes[1], positive=positive)
        shape = np.broadcast_shapes(*shapes)
        y = m.output(shape) if output is None else Tensor(np.zeros(shape, output))
        more = {"fusedActivationFunction": m.activation()} if fused else {}
        return [a, b], [y], options(table, **more) if table else None

    return generate


def quantize(m):
    x = m.data(m.shape())
    dtype = np.int16 if m.dtype == np.int16 else m.choose(np.int8, np.int8, np.int16)
    return [x], [Maker(m.rng, dtype).output(x.values.shape)], None


def dequantize(m):
    x = m.data(m.shape())
    return [x], [Tensor(np.zeros(x.values.shape, np.float32))], None


def fully_connected(m):
    units, features, keep = m.integer(1, 6), m.integer(1, 9), m.choose(False, True)
    lead = m.shape(1, 3) if keep else (m.integer(1, 4),)
    x = m.data((*lead, features))
    w = m.weights((units, features), 0, units)
    bias = m.choose(None, m.bias(x, w, units))
    chosen = options(
        "FullyConnectedOptions", fusedActivationFunction=m.activation(), keepNumDims=keep
    )
    return [x, w, bias][: m.choose(2, 3) if bias is None else 3], [m.output((*lead, units))], chosen


def _window(m, size):
    """A window's length, stride, dilation and padding, and the number of its positions."""
    length, stride, dilation = m.integer(1, 3), m.integer(1, 3), m.choose(1, 1, 2)
    return length, stride, dilation


def _slid(size, window, padding):
    length, stride, dilation = window
    lost = (length - 1) * dilation if padding else 0
    return -(-(size - lost) // stride)


def convolution(depthwise):
    def generate(m):
        sizes = [m.integer(5, 8) for _ in range(2)]
        windows, padding = [_window(m, size) for size in sizes], m.integer(0, 1)
        groups, depth, multiplier = m.choose(1, 1, 2), m.integer(1, 3), m.integer(1, 3)
        if depthwise:
            channels, groups = depth * multiplier, 1
            shape = (1, windows[0][0], windows[1][0], channels)
        else:
            channels = groups * multiplier
            shape = (channels, windows[0][0], windows[1][0], depth)
        x = m.data((m.integer(1, 2), *sizes, depth * groups))
        w = m.weights(shape, 3 if depthwise else 0, channels)
        fields = {
            "padding": padding,
            "strideH": windows[0][1],
            "strideW": windows[1][1],
            "dilationHFactor": windows[0][2],
            "dilationWFactor": windows[1][2],
            "fusedActivationFunction": m.activation(),
        }
        if depthwise:
            fields["depthMultiplier"] = multiplier
        y = m.output(
            (
                len(x.values),
                *(_slid(s, w, padding) for s, w in zip(sizes, windows, strict=True)),
                channels,
            )
        )
        table = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        return [x, w, m.bias(x, w, channels)], [y], options(table, **fields)

    return generate


def pool(m):
    sizes, padding = [m.integer(5, 8) for _ in range(2)], m.integer(0, 1)
    windows = [(*_window(m, size)[:2], 1) for size in sizes]
    x = m.data((m.integer(1, 2), *sizes, m.integer(1, 3)))
    slid = [_slid(s, w, padding) for s, w in zip(sizes, windows, strict=True)]
    chosen = options(
        "Pool2DOptions",
        padding=padding,
        strideH=windows[0][1],
        strideW=windows[1][1],
        filterHeight=windows[0][0],
        filterWidth=windows[1][0],
        fusedActivationFunction=m.activation(),
    )
    return [x], [m.output((len(x.values), *slid, x.values.shape[3]))], chosen


def transpose_conv(m):
    sizes, padding = [m.integer(1, 5) for _ in range(2)], m.integer(0, 1)
    length, stride = [m.integer(1, 3) for _ in range(2)], [m.integer(1, 3) for _ in range(2)]
    depth, channels = m.integer(1, 3), m.integer(1, 4)
    x = m.data((1, *sizes, depth))
    w = m.weights((channels, *length, depth), 0, channels)
    out = [
        s * t if padding == 0 else (s - 1) * t + n
        for s, t, n in zip(sizes, stride, length, strict=True)
    ]
    shape = (1, *out, channels)
    chosen = options("TransposeConvOptions", padding=padding, strideH=stride[0], strideW=stride[1])
    bias = m.choose([], [m.bias(x, w, channels)])
    return [integers(shape), w, x, *bias], [m.output(shape)], chosen


def batch_matmul(m):
    *batch, rows, inner = m.shape(2, 4)
    columns, adj_x, adj_y = m.integer(1, 5), m.choose(False, True), m.choose(False, True)
    a = (*batch, inner, rows) if adj_x else (*batch, rows, inner)
    b = (*batch, columns, inner) if adj_y else (*batch, inner, columns)
    chosen = options("BatchMatMulOptions", adjX=adj_x, adjY=adj_y)
    return [m.data(a), m.data(b)], [m.output((*batch, rows, columns))], chosen


def reduce(m):
    x, keep = m.data(m.shape()), m.choose(False, True)
    rank = x.values.ndim
    axes = np.sort(m.rng.permutation(rank)[: m.integer(1, rank)])
    y = m.output(np.max(x.values, axis=tuple(axes), keepdims=keep).shape)
    axes = axes - rank * m.rng.integers(0, 2, len(axes))
    return [x, integers(axes)], [y], options("ReducerOptions", keepDims=keep)


def concatenation(m):
    shape = m.shape()
    axis = m.axis(shape)
    shapes = []
    for _ in range(m.integer(1, 11)):
        sizes = list(shape)
        sizes[axis] = m.integer(1, 3)
        shapes.append(sizes)
    y = list(shape)
    y[axis] = sum(sizes[axis] for sizes in shapes)
    chosen = options(
        "ConcatenationOptions", axis=axis, fusedActivationFunction=m.choose(0, m.activation())
    )
    return [m.data(sizes) for sizes in shapes], [m.output(y)], chosen


def pack(m):
    shape, count = m.shape(1, 3), m.integer(1, 5)
    axis = m.integer(-len(shape) - 1, len(shape))
    y = np.stack([np.zeros(shape)] * count, axis=axis).shape
    chosen = options("PackOptions", valuesCount=count, axis=axis)
    return [m.data(shape) for _ in range(count)], [m.output(y)], chosen


def unpack(m):
    x = m.data(m.shape(1, 4))
    axis = m.axis(x.values.shape)
    y = np.take(x.values, 0, axis).shape
    count = x.values.shape[axis]
    return [x], [m.output(y) for _ in range(count)], options("UnpackOptions", num=count, axis=axis)


def split(m):
    x = m.data(m.shape())
    axis = m.axis(x.values.shape)
    size = x.values.shape[axis]
    count = m.choose(1, size, *[n for n in range(1, size) if size % n == 0])
    parts = np.split(x.values, count, axis)
    chosen = options("SplitOptions", numSplits=count)
    return [integers(axis), x], [m.output(part.shape) for part in parts], chosen


def split_v(m):
    x = m.data(m.shape(least=2))
    axis = m.axis(x.values.shape)
    left = m.integer(1, x.values.shape[axis] - 1)
    parts = np.split(x.values, [left], axis)
    sizes = integers([left, x.values.shape[axis] - left])
    chosen = options("SplitVOptions", numSplits=2)
    return [x, sizes, integers(axis)], [m.output(part.shape) for part in parts], chosen


def reshape(m):
    shape = m.shape()
    y = tuple(m.rng.permutation(shape).tolist()) + m.choose((), (1,))
    return [m.data(shape), integers(y)], [m.output(y)], None


def transpose(m):
    x = m.data(m.shape(1, 5))
    order = m.rng.permutation(x.values.ndim)
    return [x, integers(order)], [m.output(x.values.transpose(order).shape)], None


def _paddings(m, shape, most):
    return np.array([[m.integer(0, min(size, most)) for _ in range(2)] for size in shape])


def pad(m):
    x = m.data(m.shape())
    pairs = _paddings(m, x.values.shape, 2)
    return [x, integers(pairs)], [m.output(np.pad(x.values, pairs).shape)], None


def pad_v2(m):
    inputs, outputs, chosen = pad(m)
    return [*inputs, m.data((1,), constant=m.choose(True, False))], outputs, chosen


def mirror_pad(m):
    x, mode = m.data(m.shape(least=2)), m.integer(0, 1)
    pairs = np.minimum(_paddings(m, x.values.shape, 2), np.array(x.values.shape)[:, None] - 1)
    chosen = options("MirrorPadOptions", mode=mode)
    return [x, integers(pairs)], [m.output(np.pad(x.values, pairs).shape)], chosen


def slice_(m):
    x = m.data(m.shape(1, 5))
    begin = [m.integer(0, size - 1) for size in x.values.shape]
    shape = [m.integer(1, size - b) for size, b in zip(x.values.shape, begin, strict=True)]
    whole = [b + n == size for b, n, size in zip(begin, shape, x.values.shape, strict=True)]
    size = [-1 if w and m.choose(0, 1) else n for w, n in zip(whole, shape, strict=True)]
    return [x, integers(begin), integers(size)], [m.output(shape)], None


def strided_slice(m):
    x = m.data(m.shape(1, 4))
    rank = x.values.ndim
    begin, end, stride, slices = [], [], [], []
    masks = {name: m.integer(0, 2**rank - 1) for name in ("beginMask", "endMask")}
    masks["shrinkAxisMask"] = m.choose(0, 0, m.integer(0, 2 ** (rank - 1) - 1))
    for i, size in enumerate(x.values.shape):
        b = m.integer(0, size - 1)
        e, s = m.integer(b + 1, size), m.integer(1, 3)
        if masks["shrinkAxisMask"] >> i & 1:
            e, s = b + 1, 1
            slices.append(0 if masks["beginMask"] >> i & 1 else b)
        else:
            slices.append(
                slice(
                    None if masks["beginMask"] >> i & 1 else b,
                    None if masks["endMask"] >> i & 1 else e,
                    s,
                )
            )
        begin.append(b - size * m.choose(0, 1))
        end.append(e)
        stride.append(s)
    y = x.values[tuple(slices)]
    bounds = [integers(bound) for bound in (begin, end, stride)]
    return [x, *bounds], [m.output(y.shape)], options("StridedSliceOptions", **masks)


def gather(m):
    x = m.data(m.shape())
    axis = m.axis(x.values.shape)
    indices = m.rng.integers(0, x.values.shape[axis], m.shape(0, 2))
    y = np.take(x.values, indices, axis)
    return [x, integers(indices)], [m.output(y.shape)], options("GatherOptions", axis=axis)


def softmax(m):
    beta = math.exp(m.rng.uniform(-1, 1))
    return (*unary(m)[:2], options("SoftmaxOptions", beta=m.choose(1.0, beta)))


def leaky_relu(m):
    return (*unary(m)[:2], options("LeakyReluOptions", alpha=float(m.rng.normal())))


def prelu(m):
    shape = m.shape()
    alpha = m.data(shape[m.integer(0, len(shape) - 1) :], constant=True)
    return [m.data(shape), alpha], [m.output(shape)], None


def cumsum(m):
    x = m.data(m.shape())
    flags = {name: m.choose(False, True) for name in ("exclusive", "reverse")}
    axis = m.axis(x.values.shape)
    return [x, integers(axis)], [m.output(x.values.shape)], options("CumsumOptions", **flags)


def cast(m):
    dtypes = (np.int8, np.int16, np.int32, np.float32)
    shape, start, end = m.shape(), m.choose(*dtypes), m.choose(*dtypes, np.bool_)
    values = m.rng.integers(-128, 128, shape).astype(start)
    return [Tensor(values)], [Tensor(np.zeros(shape, end))], options("CastOptions")


def resize(table):
    def generate(m):
        x = m.data(m.shape(4, 4))
        size = [m.integer(1, 9), m.integer(1, 9)]
        y = (x.values.shape[0], *size, x.values.shape[3])
        corners, half = m.choose((False, False), (True, False), (False, True))
        chosen = options(table, alignCorners=corners, halfPixelCenters=half)
        return [x, integers(size)], [m.output(y)], chosen

    return generate


def broadcast_to(m):
    shape = m.shape()
    x = m.data(tuple(m.choose(1, size) for size in shape)[m.choose(0, 0, len(shape) - 1) :])
    return [x, integers(shape)], [m.output(shape)], m.choose(None, options("BroadcastToOptions"))


def select_v2(m):
    shape = m.shape()
    sides = [tuple(m.choose(1, size, size) for size in shape) for _ in range(3)]
    condition = Tensor(m.rng.integers(0, 2, sides[0]).astype(bool))
    y = m.output(np.broadcast_shapes(*sides))
    return [condition, m.data(sides[1]), m.data(sides[2])], [y], None


def logical(count):
    def generate(m):
        shapes = _broadcast_shapes(m)[:count] if count == 2 else [m.shape()]
        x = [Tensor(m.rng.integers(0, 2, shape).astype(bool)) for shape in shapes]
        return x, [Tensor(np.zeros(np.broadcast_shapes(*shapes), bool))], None

    return generate


def reverse(m):
    x = m.data(m.shape())
    axes = np.sort(m.rng.permutation(x.values.ndim)[: m.integer(1, x.values.ndim)])
    return [x, integers(axes)], [m.output(x.values.shape)], None


comparison = binary(fused=False, output=bool)

GENERATORS = {
    "ABS": unary,
    "ADD": binary("AddOptions"),
    "AVERAGE_POOL_2D": pool,
    "BATCH_MATMUL": batch_matmul,
    "BROADCAST_TO": broadcast_to,
    "CAST": cast,
    "CEIL": unary,
    "CONCATENATION": concatenation,
    "CONV_2D": convolution(depthwise=False),
    "COS": unary,
    "CUMSUM": cumsum,
    "DEPTHWISE_CONV_2D": convolution(depthwise=True),
    "DEQUANTIZE": dequantize,
    "DIV": binary("DivOptions", positive=True),
    "ELU": unary,
    "EQUAL": comparison,
    "EXP": unary,
    "FLOOR": unary,
    "FLOOR_DIV": binary(fused=False, positive=True),
    "FLOOR_MOD": binary(fused=False, positive=True),
    "FULLY_CONNECTED": fully_connected,
    "GATHER": gather,
    "GREATER": comparison,
    "GREATER_EQUAL": comparison,
    "HARD_SWISH": unary,
    "LEAKY_RELU": leaky_relu,
    "LESS": comparison,
    "LESS_EQUAL": comparison,
    "LOG": positive,
    "LOGICAL_AND": logical(2),
    "LOGICAL_NOT": logical(1),
    "LOGICAL_OR": logical(2),
    "LOGISTIC": unary,
    "LOG_SOFTMAX": unary,
    "MAXIMUM": binary(),
    "MAX_POOL_2D": pool,
    "MEAN": reduce,
    "MINIMUM": binary(),
    "MIRROR_PAD": mirror_pad,
    "MUL": binary("MulOptions"),
    "NEG": unary,
    "NOT_EQUAL": comparison,
    "PACK": pack,
    "PAD": pad,
    "PADV2": pad_v2,
    "PRELU": prelu,
    "QUANTIZE": quantize,
    "REDUCE_MAX": reduce,
    "REDUCE_MIN": reduce,
    "RELU": unary,
    "RELU6": unary,
    "RESHAPE": reshape,
    "RESIZE_BILINEAR": resize("ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": resize("ResizeNearestNeighborOptions"),
    "REVERSE_V2": reverse,
    "ROUND": unary,
    "RSQRT": positive,
    "SELECT_V2": select_v2,
    "SIN": unary,
    "SLICE": slice_,
    "SOFTMAX": softmax,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQRT": positive,
    "SQUARE": unary,
    "SQUARED_DIFFERENCE": binary(),
    "STRIDED_SLICE": strided_slice,
    "SUB": binary("SubOptions"),
    "SUM": reduce,
    "TANH": unary,
    "TRANSPOSE": transpose,
    "TRANSPOSE_CONV": transpose_conv,
    "UNPACK": unpack,
}
