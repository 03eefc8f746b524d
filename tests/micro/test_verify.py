"""verify() accepts good files, and no file that it accepts crashes TFLite Micro.

Run as a script, it is the child process that runs mutated files, so that its parent survives.
"""

import functools
import random
import select
import struct
import subprocess
import sys
from collections import Counter

import flatbuffers
import numpy as np
import pytest

from keras_fastgrnn.micro import Interpreter, runner
from keras_fastgrnn.micro.flatbuffer_schema import OPERATORS
from keras_fastgrnn.micro.operator_rules import FASTGRNN, RULES
from keras_fastgrnn.micro.verify import operators, seal, verify

NAMES = (
    "sequence", "image", "branches", "activations", "shapes", "attention", "float_io", "float",
    "identity", "fastgrnn", "conditions", "elementwise", "resized",
)  # fmt: skip


@functools.cache
def models():
    """Unsealed files by name: from the stock converter, and one of FASTGRNN operators."""
    import keras
    import tensorflow as tf
    from keras import layers, ops
    from random_cells import Shape, integer_cell
    from tflite_models import fastgrnn_model

    from keras_fastgrnn.export.cell import blocks as options

    keras.utils.set_random_seed(0)

    def convert(build, *shapes, io=tf.int8):
        """`io` is the type of inputs and outputs; with `None` the whole model is float32."""
        x = [layers.Input(shape, batch_size=1) for shape in shapes]
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, build(*x)))
        if io is not None:
            rng = np.random.default_rng(0)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [rng.normal(size=(1, *shape)).astype(np.float32) for shape in shapes]
                for _ in range(8)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = io
        return converter.convert()

    def sequence(x):
        x = layers.Normalization(mean=[0.0, 1.0, 2.0], variance=[1.0, 2.0, 3.0])(x)
        x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu")(x)
        x = layers.BatchNormalization()(layers.MaxPooling1D(2)(x))
        x = layers.Conv1D(6, 3, strides=2, padding="same", groups=2)(x)
        return layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling1D()(x))

    def image(x):
        x = layers.Conv2D(4, 3, padding="same", activation="relu6")(layers.ZeroPadding2D(1)(x))
        x = layers.DepthwiseConv2D(3, depth_multiplier=2)(layers.AveragePooling2D(2)(x))
        return layers.Dense(2, activation="sigmoid")(layers.GlobalMaxPooling2D()(x))

    def branches(x, y):
        z = layers.Dense(3, activation="tanh")(x)
        z = layers.Subtract()([layers.Add()([x, z]), layers.Multiply()([y, z])])
        z = layers.Maximum()([z, layers.Minimum()([x, y])])
        return layers.Concatenate()([z, y]), layers.Dense(2, use_bias=False)(z)

    def activations(x):
        x = layers.PReLU()(layers.Dense(4)(layers.ReLU()(x)))
        x = layers.LeakyReLU()(layers.Dense(4)(layers.ELU()(x)))
        x = layers.Dense(4, activation="hard_swish")(ops.relu6(ops.square(ops.abs(x))))
        return layers.Reshape((16, 2))(layers.Softmax()(x))

    def shapes(x):
        x = ops.pad(layers.Cropping1D(1)(x), ((0, 0), (1, 0), (0, 0)), constant_values=1.0)
        x = ops.slice(layers.Permute((2, 1))(x), (0, 0, 1), (1, 3, 6))
        x = ops.stack([ops.take(x, [0, 2], axis=1), x[:, 1:, :]], axis=1)
        x, y = ops.split(x, 2, axis=-1)
        return (*ops.unstack(x, axis=1), ops.sum(y, axis=(1, 2)), y[:, -1, 0])

    def attention(x):
        x = layers.LayerNormalization()(layers.Attention()([x, x]))
        return layers.Dense(2)(layers.Flatten()(x))

    def conditions(x, y):
        both = ops.logical_and(x > 0.1, ops.logical_not(ops.logical_or(y < 0.2, x <= y)))
        same = ops.logical_and(ops.equal(x, y), ops.logical_or(x != y, x >= 0.5))
        return ops.where(both, x, 0.0) + ops.cast(ops.cast(y * 3.0, "int32"), "float32"), same

    def elementwise(x):
        y = ops.log(ops.sqrt(ops.abs(x)) + 1.0) / (ops.exp(ops.cos(ops.sin(x))) + 1.0)
        y = ops.ceil(ops.floor(ops.round(3.0 * y) % 2.0) // 0.3)
        return ops.log_softmax(ops.cumsum(y, axis=1) - ops.min(x, axis=1, keepdims=True))

    def resized(x):
        x = layers.Conv2DTranspose(2, 3, strides=2)(
            ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
        )
        x = layers.UpSampling2D(2, interpolation="bilinear")(ops.flip(x, axis=2))
        x = layers.Lambda(lambda x: tf.image.resize(x, (7, 9), "nearest"))(x)
        y, z = ops.split(x, [3], axis=2)
        return ops.broadcast_to(y[:, :, :1], (1, 7, 4, 2)), z

    cells = [
        options.pack(integer_cell(Shape(features=3))[0], return_sequences=True),
        options.pack(integer_cell(Shape(features=16, recurrent_activation=None))[0]),
    ]
    return {
        "sequence": convert(sequence, (12, 3)),
        "image": convert(image, (8, 6, 3)),
        "branches": convert(branches, (4, 3), (4, 3)),
        "activations": convert(activations, (8, 3)),
        "shapes": convert(shapes, (8, 3)),
        "attention": convert(attention, (5, 4)),
        "float_io": convert(sequence, (12, 3), io=tf.float32),
        "float": convert(image, (8, 6, 3), io=None),
        "identity": convert(layers.Dropout(0.5), (4,)),
        "conditions": convert(conditions, (4, 3), (4, 3), io=None),
        "elementwise": convert(elementwise, (4, 3), io=None),
        "resized": convert(resized, (5, 6, 2)),
        "fastgrnn": fastgrnn_model(*cells, timesteps=7)[:-8],
    }


def unpack(name):
    """A file as a `ModelT` of the object API."""
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(bytearray(models()[name]), 0)


def pack(model):
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return seal(builder.Output())


def operator_names(model):
    codes = [code.builtinCode for code in model.operatorCodes]
    return [OPERATORS[codes[op.opcodeIndex]] for op in model.subgraphs[0].operators]


def run(file):
    """Returns how far a file came."""
    try:
        runner.verify(file)
    except ValueError:
        return "refused"
    try:
        tflm = Interpreter(file)
    except ValueError:
        return "refused by TFLite Micro"
    rng = np.random.default_rng(0)
    for scale in (0.0, 100.0, 1e30):
        x = [random_input(tensor, scale, rng) for tensor in tflm.inputs]
        try:
            tflm.invoke(*x)
        except RuntimeError:
            return "stopped by a kernel"  # as RSQRT does for a negative value
        tflm.reset()
    return "ran"


def random_input(tensor, scale, rng):
    x = scale * rng.normal(size=tensor.shape)
    return (x if tensor.dtype == np.float32 else np.clip(x, -128, 127)).astype(tensor.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_accepts_what_tflite_micro_runs(name):
    assert run(seal(models()[name])) == "ran"
    assert run(pack(unpack(name))) == "ran"


def test_a_checksum_is_needed_only_with_fastgrnn():
    verify(models()["sequence"])
    with pytest.raises(ValueError, match=r"CUSTOM:FASTGRNN.* in a file without a checksum"):
        verify(models()["fastgrnn"])


def test_the_models_hold_every_operator_that_has_a_rule():
    names = {name for model in NAMES for name in operator_names(unpack(model))}
    assert names - {"CUSTOM"} == RULES.keys() - {FASTGRNN}


def test_operators_to_register():
    assert operators(models()["fastgrnn"]) == ["CUSTOM:FASTGRNN"]
    assert operators(models()["resized"])[:2] == ["BROADCAST_TO", "MIRROR_PAD"]


def test_any_damage_to_a_sealed_file_is_found():
    file, rng = seal(models()["fastgrnn"]), random.Random(0)
    for i in range(len(file)):
        with pytest.raises(ValueError):
            verify(file[:i])
        damaged = bytearray(file)
        damaged[i] ^= 1 << rng.randrange(8)
        with pytest.raises(ValueError):
            verify(bytes(damaged))


def test_offsets_to_the_same_bytes_are_not_followed_endlessly():
    builder = flatbuffers.Builder()

    def table(slot, value):
        builder.StartObject(10)
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return builder.EndObject()

    def vector(value, count=2000):
        builder.StartVector(4, count, 4)
        for _ in range(count):
            builder.PrependUOffsetTRelative(value)
        return builder.EndVector()

    # 2,000 subgraphs of 2,000 tensors with a shape of 2,000 sizes, in 24 KB.
    tensor = table(0, builder.CreateNumpyVector(np.ones(2000, np.int32)))
    builder.Finish(table(2, vector(table(0, vector(tensor)))), b"TFL3")
    with pytest.raises(ValueError, match="lead to the same bytes too often"):
        verify(bytes(builder.Output()))


class Edit:
    """A model to damage."""

    def __init__(self, name):
        self.model = unpack(name)
        [self.graph] = self.model.subgraphs
        self.tensors = self.graph.tensors

    def op(self, name):
        return self.graph.operators[operator_names(self.model).index(name)]

    def options(self, name):
        return self.op(name).builtinOptions

    def input(self, name, i=0):
        return self.tensors[self.op(name).inputs[i]]

    def output(self, name, i=0):
        return self.tensors[self.op(name).outputs[i]]

    def data(self, tensor):
        return self.model.buffers[tensor.buffer].data

    def integers(self, name, i):
        return self.data(self.input(name, i)).view(np.int32)


def put(container, **values):
    """Sets attributes, or the elements `_0`, `_1`... of an array."""
    for key, value in values.items():
        if key.startswith("_"):
            container[int(key[1:])] = value
        else:
            setattr(container, key, value)


# By model: the damage, and the message.
DAMAGES = {
    "float": [
        (lambda e: put(e.model, version=2), "model has version 2, not 3"),
        (lambda e: e.model.subgraphs.append(e.graph), "model has 2 subgraphs, not 1"),
        (lambda e: put(e.graph, outputs=[]), r"subgraphs\[0\] has no outputs"),
        (lambda e: put(e.model.buffers[1], offset=64, size=8), "behind the flatbuffer, at byte 64"),
        (lambda e: put(e.model.metadata[0], name=b"OfflineMemoryAllocation"), "OfflineMem"),
        (lambda e: put(e.model.metadata[0], buffer=99),
         r"metadata\[0\].buffer is 99, not one of 0 to"),
        (lambda e: put(e.model.signatureDefs[0].inputs[0], tensorIndex=99), "tensor_index is 99"),
        (lambda e: put(e.tensors[0], type=1), r"tensors\[0\] \('serving.*'\) has type 1, none of"),
        (lambda e: put(e.tensors[0], buffer=99), "buffer is 99, not one of 0 to"),
        (lambda e: put(e.tensors[0], isVariable=True), "has is_variable"),
        (lambda e: put(e.tensors[0].shape, _0=0), r"has shape \(0, 8, 6, 3\)"),
        (lambda e: put(e.tensors[0], shape=[1] * 6), r"has shape \(1, 1, 1, 1, 1, 1\)"),
        (lambda e: put(e.tensors[0].shape, _0=1 << 30), "bytes of memory, over 67108864"),
        (lambda e: put(e.input("CONV_2D", 2), shape=[5]), "16 bytes of data, not 0 or 20"),
        (lambda e: put(e.graph, inputs=[99]), r"inputs\[0\] is 99, not one of 0 to"),
        (lambda e: put(e.graph, outputs=[-1]), r"outputs\[0\] is -1, not one of 0 to"),
        (lambda e: put(e.graph, inputs=[e.op("CONV_2D").inputs[1]]), "a constant or written twice"),
        (lambda e: e.graph.operators.reverse(), "which is not written before"),
        (lambda e: put(e.op("CONV_2D"), outputs=e.graph.inputs), "a constant or written twice"),
        (lambda e: put(e.op("CONV_2D").inputs, _0=99), r"inputs\[0\] is 99, not one of"),
        (lambda e: put(e.op("CONV_2D"), opcodeIndex=99), "opcode_index is 99"),
        (lambda e: put(e.model.operatorCodes[0], builtinCode=26, deprecatedBuiltinCode=26),
         r"\(SPACE_TO_DEPTH, writes \['.*'\]\) is not an operator that this"),
        (lambda e: put(e.model.operatorCodes[0], builtinCode=32, deprecatedBuiltinCode=32,
              customCode=b"ADD"),
         r"\(CUSTOM:ADD, .* is not an operator that this"),
        (lambda e: put(e.model.operatorCodes[0], deprecatedBuiltinCode=7),
         "has builtin code .*, but 7"),
        (lambda e: put(e.op("CONV_2D"), intermediates=[0]), "has intermediates"),
        (lambda e: put(e.op("CONV_2D"), builtinOptions=None, builtinOptionsType=0),
         "has options of type 0, not 1"),
        (lambda e: put(e.op("LOGISTIC"), builtinOptions=e.options("CONV_2D"), builtinOptionsType=1),
         "fields, not 0 to 0"),
        (lambda e: put(e.options("CONV_2D"), fusedActivationFunction=4),
         "needs activation 0 .*fused_activation_function 4"),
        (lambda e: put(e.op("CONV_2D"), inputs=e.op("CONV_2D").inputs[:2]), "needs 3 to 3 tensors"),
        (lambda e: put(e.op("CONV_2D").inputs, _2=-1), "needs every input that is not opt"),
        (lambda e: put(e.op("CONV_2D").inputs, _1=e.op("CONV_2D").inputs[0]),
         "needs a constant of"),
        (lambda e: put(e.output("CONV_2D"), shape=[1, 10, 8, 5]),
         r"to write \[\(1, 10, 8, 4\)\]\. It reads float32 \(1, 10, 8, 3\), .*, stride_w 1,"),
    ],
    "image": [
        (lambda e: put(e.tensors[0].quantization.scale, _0=np.nan), "has scale nan, not 9e-19 to"),
        (lambda e: put(e.tensors[0].quantization.scale, _0=1e-30), "has scale 1.00.*e-30, not"),
        (lambda e: put(e.tensors[0].quantization.zeroPoint, _0=128), "has zero point 128, not"),
        (lambda e: put(e.tensors[0].quantization, zeroPoint=[0, 0]), "1 scales, but 2 zero"),
        (lambda e: put(e.input("CONV_2D", 1).quantization, quantizedDimension=3),
         "4 scales along axis 3"),
        (lambda e: put(e.input("CONV_2D", 1).quantization.zeroPoint, _0=1),
         "scales and zero points 0 of"),
        (lambda e: put(e.input("CONV_2D"), quantization=None), "one scale of .* which has 0"),
        (lambda e: put(e.op("CONV_2D").inputs, _2=e.op("CONV_2D").inputs[1]), "needs int32 of"),
        (lambda e: put(e.options("CONV_2D"), strideH=0), "steps of 1 to 65536.* stride_h 0"),
        (lambda e: put(e.options("CONV_2D"), dilationWFactor=1 << 30), "steps of 1 to 65536"),
        (lambda e: put(e.options("CONV_2D"), padding=2), "needs padding 0"),
        (lambda e: put(e.options("CONV_2D"), padding=1), r"to write \[\(1, 8, 6, 4\)\]"),
        (lambda e: put(e.input("CONV_2D", 1), shape=[4, 3, 9, 1]), "weights for each channel"),
        (lambda e: put(e.input("CONV_2D", 1), shape=[4, 1, 1, 27]),
         "needs weights for each channel"),
        (lambda e: put(e.input("CONV_2D", 1), shape=[4, 27]), "needs 4 dimensions"),
        (lambda e: put(e.op("CONV_2D").inputs, _2=e.op("DEPTHWISE_CONV_2D").inputs[2]),
         "needs 4 biases"),
        (lambda e: put(e.options("DEPTHWISE_CONV_2D"), depthMultiplier=3),
         "weights for each channel"),
        (lambda e: put(e.options("AVERAGE_POOL_2D"), filterHeight=-1), "steps of 1 to 65536"),
        (lambda e: put(e.options("AVERAGE_POOL_2D"), strideW=1), "needs to write"),
        (lambda e: put(e.integers("REDUCE_MAX", 1), _0=4), "an axis of 4 dimensions"),
        (lambda e: put(e.integers("REDUCE_MAX", 1), _0=2), "4 axes, all different"),
        (lambda e: put(e.options("REDUCE_MAX"), keepDims=True), "needs to write"),
        (lambda e: put(e.integers("PAD", 1), _2=-1), "2 paddings for each axis"),
    ],
    "shapes": [
        (lambda e: put(e.op("TRANSPOSE").inputs, _0=e.op("TRANSPOSE").inputs[1]),
         "needs float32 or int8"),
        (lambda e: put(e.integers("STRIDED_SLICE", 3), _1=0), "strides of 1 to 65536"),
        (lambda e: put(e.options("STRIDED_SLICE"), newAxisMask=1), "no ellipsis, new axis"),
        (lambda e: put(e.integers("STRIDED_SLICE", 1), _1=3), "needs to write"),
        (lambda e: put(e.integers("SLICE", 1), _2=5), "needs slices within the input"),
        (lambda e: put(e.integers("SLICE", 2), _2=-2), "needs slices within the input"),
        (lambda e: put(e.integers("TRANSPOSE", 1), _0=1), "needs each axis once"),
        (lambda e: put(e.integers("GATHER", 1), _0=3), "needs indices in axis 1"),
        (lambda e: put(e.integers("GATHER", 1), _0=-1), "needs indices in axis 1"),
        (lambda e: put(e.options("GATHER"), batchDims=1), "needs batch_dims 0"),
        (lambda e: put(e.options("PACK"), valuesCount=3), "needs values_count 2"),
        (lambda e: put(e.options("UNPACK"), num=3), "needs num and axis 1 to be 2"),
        (lambda e: put(e.options("SPLIT"), numSplits=3), "needs num_splits 2"),
        (lambda e: put(e.integers("SPLIT", 0), _0=-5), "needs an axis of 4 dimensions"),
        (lambda e: put(e.op("PADV2").inputs, _2=e.op("PADV2").inputs[0]), "one value to pad with"),
    ],
    "branches": [
        (lambda e: put(e.input("ADD", 0).quantization.scale, _0=1e9), r"a scale below 2\^18 times"),
        (lambda e: put(e.input("SUB", 1).quantization.scale, _0=1e9), r"a scale below 2\^18 times"),
        (lambda e: put(e.tensors[(set(e.graph.inputs) - set(e.op("FULLY_CONNECTED").inputs)).pop()],
                       shape=[1, 4, 2]),
         r"shapes that broadcast\. It reads int8 \(1, 4, "),
        (lambda e: put(e.options("CONCATENATION"), axis=3), "needs an axis of 3 dimensions"),
        (lambda e: put(e.options("CONCATENATION"), fusedActivationFunction=1), "activation 0"),
        (lambda e: put(e.op("CONCATENATION"), inputs=[e.op("CONCATENATION").inputs[0]] * 11),
         "needs at most 10 tensors"),
        (lambda e: put(e.output("TANH").quantization.zeroPoint, _0=1),
         "needs an output of scale 0.0078125, zero point 0"),
        (lambda e: put(e.options("CONCATENATION"), axis=0), "needs to write"),
        (lambda e: put(e.options("FULLY_CONNECTED"), weightsFormat=1), "needs weights_format 0"),
        (lambda e: put(e.options("FULLY_CONNECTED"), keepNumDims=False), "needs to write"),
    ],
    "resized": [
        (lambda e: put(e.integers("MIRROR_PAD", 1), _2=5), "needs paddings that fit the"),
        (lambda e: put(e.options("MIRROR_PAD"), mode=2), r"needs mode 0 \(reflect\) or 1"),
        (lambda e: put(e.options("TRANSPOSE_CONV"), strideH=1), r"needs to read \(1, 13, 8, 2\)"),
        (lambda e: put(e.integers("TRANSPOSE_CONV", 0), _3=3), "needs 2 channels"),
        (lambda e: put(e.integers("REVERSE_V2", 1), _0=4), "needs axes of 4 dimensions"),
        (lambda e: put(e.integers("REVERSE_V2", 1), _0=-1), "needs axes of 4 dimensions"),
        (lambda e: put(e.options("RESIZE_BILINEAR"), alignCorners=True), "corners or half pixels"),
        (lambda e: put(e.integers("RESIZE_BILINEAR", 1), _0=-1), "needs to write"),
        (lambda e: put(e.integers("SPLIT_V", 1), _0=4), "needs sizes that sum to . on axis 2"),
        (lambda e: put(e.options("SPLIT_V"), numSplits=3), "needs num_splits and sizes for 2"),
        (lambda e: put(e.integers("BROADCAST_TO", 1), _1=8), "needs a shape that broadcasts to"),
        (lambda e: put(e.output("REVERSE_V2").quantization.scale, _0=1e-3),
         r"needs one scale and zero point, not \[\(\(0.001"),
    ],
    "elementwise": [
        (lambda e: put(e.integers("CUMSUM", 1), _0=3), "needs an axis of 3 dimensions"),
    ],
    "conditions": [
        (lambda e: put(e.output("GREATER"), type=0), "needs bool of"),
        (lambda e: put(e.output("CAST"), type=1), "has type 1, none of"),
    ],
    "sequence": [
        (lambda e: put(e.options("SOFTMAX"), beta=np.nan), "needs a finite beta"),
        (lambda e: put(e.options("SOFTMAX"), beta=1e-9), r"needs a beta over 2\^-26 / "),
        (lambda e: put(e.output("RESHAPE"), shape=[1, 9, 9, 9]), "needs 729 values"),
        (lambda e: put(e.input("SUB"), shape=[1, 1, 1, 12, 3]), "needs at most 4 dimensions"),
    ],
    "activations": [
        (lambda e: put(e.options("LEAKY_RELU"), alpha=np.inf), "needs a finite alpha"),
        # Its kernel copies integers from one scale into another.
        (lambda e: put(e.output("RELU6").quantization.scale, _0=0.5),
         r"needs one scale and zero point, not \[.*0\.5"),
        (lambda e: put(e.output("HARD_SWISH").quantization.scale, _0=1e-5), "below 128 times"),
    ],
    "attention": [
        (lambda e: put(e.options("BATCH_MATMUL"), adjY=False), "needs matrices whose shapes match"),
        (lambda e: put(e.input("BATCH_MATMUL"), shape=[1, 1, 1, 5, 4]), "needs 2 to 4 dimensions"),
    ],
    "fastgrnn": [
        (lambda e: put(e.op("CUSTOM"), customOptions=e.op("CUSTOM").customOptions[:-1]),
         "needs 36 bytes of options, not 35"),
        (lambda e: put(e.op("CUSTOM").customOptions, _0=1), "options of version 2 or 3, not 1"),
        (lambda e: put(e.op("CUSTOM").customOptions, _0=3), "38 bytes of options, not 36"),
        (lambda e: put(e.op("CUSTOM").customOptions, _8=4), r"needs \(1, timesteps, 4\)"),
        (lambda e: put(e.op("CUSTOM").customOptions, _6=4), r"to write \[\(1, 7, 4\)\]"),
        (lambda e: put(e.op("CUSTOM").customOptions, _4=0), r"to write \[\(1, 16\)\]"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [(name, *damage) for name, damages in DAMAGES.items() for damage in damages],
)
def test_refuses(name, damage, message):
    edit = Edit(name)
    damage(edit)
    file = pack(edit.model)
    with pytest.raises(ValueError, match=message) as error:
        verify(file)
    assert str(error.value).endswith("export or convert the model again.")


def numbers(node):
    """Pairs of a container and a key in it, for each number in a tree of objects."""
    items = vars(node).items() if hasattr(node, "__dict__") else enumerate(node)
    for key, value in items:
        if isinstance(value, (int, float, np.number)):
            yield (vars(node) if hasattr(node, "__dict__") else node), key
        elif isinstance(value, (list, np.ndarray)) or hasattr(value, "__dict__"):
            yield from numbers(value)


INTEGERS = (-(2**31), -128, -2, -1, 0, 1, 2, 3, 5, 127, 128, 256, 512, 65536, 1 << 24, 2**31 - 1)
FLOATS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-45, 1e-38, 2.0**-60, 1e-10, 1.0, 1e10, 1e38)


def change_fields(name, rng):
    """Changes fields of a file that stays a flatbuffer; half of the time in every array with the
    same values, so that shapes still agree."""
    while True:
        model = unpack(name)
        places = list(numbers(model))
        try:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                container, key = rng.choice(places)
                old = container[key]
                twins = [container]
                if isinstance(container, np.ndarray) and rng.random() < 0.5:
                    kind = (container.dtype, container.tolist())
                    arrays = {id(place): place for place, _ in places if type(place) is np.ndarray}
                    twins = [x for x in arrays.values() if (x.dtype, x.tolist()) == kind]
                if isinstance(old, (float, np.floating)):
                    new = rng.choice((*FLOATS, old * 2.0 ** rng.randint(-70, 70)))
                else:
                    new = rng.choice((*INTEGERS, int(old) + 1, int(old) - 1, 2 * int(old)))
                for twin in twins:
                    twin[key] = new
            return pack(model)
        except (OverflowError, TypeError, struct.error):  # the value does not fit the field
            continue


def change_bytes(name, rng):
    """Changes up to 4 bytes or a word, or cuts the end off."""
    file = bytearray(models()[name])
    words = range(0, len(file) - 3, 4)
    i, j = rng.choice(words), rng.choice(words)
    kind = rng.randrange(5)
    if kind == 0:
        for _ in range(rng.randint(1, 4)):
            file[rng.randrange(len(file))] = rng.randrange(256)
    elif kind == 1:
        file[i : i + 4], file[j : j + 4] = file[j : j + 4], file[i : i + 4]
    elif kind == 2:
        file[i : i + 4] = struct.pack("<i", rng.choice(INTEGERS))
    elif kind == 3:
        (old,) = struct.unpack_from("<I", file, i)
        struct.pack_into("<I", file, i, (old + rng.choice((-4, -2, -1, 1, 2, 4))) % 2**32)
    else:
        del file[rng.randrange(len(file)) :]
    return seal(file)


def without_new_checksum(name, rng):
    file = seal(models()[name])
    while True:
        changed = change_bytes(name, rng)[:-8] + file[-8:]
        if changed != file:
            return changed


REQUEST = "<I?"  # the bytes of a file, and whether it is verified


class Child:
    """A process that runs files and reports its crashes. A new one follows each crash."""

    def __init__(self):
        self._process = None

    def run(self, file, verified=True):
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # TFLite Micro's messages
            )
        process = self._process
        process.stdin.write(struct.pack(REQUEST, len(file), verified) + file)
        process.stdin.flush()
        if not select.select([process.stdout], [], [], 60)[0]:
            self.close()
            return "hung"
        if line := process.stdout.readline():
            return line.decode().strip()
        self._process = None
        return f"crashed with {process.wait()}"

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def child():
    child = Child()
    yield child
    child.close()


def run_mutated(child, change, count):
    """Counts how far mutated files came."""
    rng = random.Random(0)
    ends = Counter(child.run(change(rng.choice(NAMES), rng)) for _ in range(count))
    print(f"{change.__name__}: {dict(ends)}")
    return ends


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.test_all)])
@pytest.mark.parametrize("change", [change_bytes, change_fields])
def test_mutated_files_do_not_crash_tflite_micro(child, change, count):
    ends = run_mutated(child, change, count)
    assert ends.keys() <= {"refused", "refused by TFLite Micro", "stopped by a kernel", "ran"}
    assert min(ends["refused"], ends["ran"]) > count / 8  # otherwise the test would show little


def test_mutated_files_without_a_new_checksum_are_refused(child):
    assert run_mutated(child, without_new_checksum, 200).keys() == {"refused"}


def test_a_crash_is_noticed(child):
    edit = Edit("float")
    edit.op("CONV_2D").inputs[0] = 1 << 20
    assert child.run(pack(edit.model), verified=False) == "crashed with -11"


def serve():
    while request := sys.stdin.buffer.read(struct.calcsize(REQUEST)):
        size, verified = struct.unpack(REQUEST, request)
        runner.verify = verify if verified else lambda file: None
        print(run(sys.stdin.buffer.read(size)), flush=True)


if __name__ == "__main__":
    serve()
