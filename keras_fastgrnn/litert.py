"""Runs exported models in LiteRT, which phones, PCs and a Raspberry Pi have."""

import copy
import ctypes
import functools
import importlib.metadata
import math
import pathlib
import threading

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.host import compiler
from keras_fastgrnn.micro.runner import Runner
from keras_fastgrnn.micro.verify import seal, verify

__all__ = ["Interpreter", "prepare"]

VERSION = "2.3.0"  # litert_abi.h describes this version; pyproject.toml pins it
ALIGNMENT = 64  # LITERT_HOST_MEMORY_BUFFER_ALIGNMENT

_SOURCES = (*compiler.KERNEL, "litert/fastgrnn_litert.c", "host/litert_library.c")
_FUNCTIONS = (
    "LiteRtAddCustomOpKernelOption",
    "LiteRtGetTensorBufferPackedSize",
    "LiteRtLockTensorBuffer",
    "LiteRtUnlockTensorBuffer",
)
_CPU = 1  # kLiteRtHwAcceleratorCpu

_lock = threading.Lock()


def prepare(model_bytes: bytes) -> bytes:
    """Rewrites a .tflite file for LiteRT.

    LiteRT reads the constants of a custom operator only at multiples of 64 bytes, and keeps one
    memory for all custom operators of a name. In the file that this function returns each constant
    lies at such a multiple, and each recurrent layer has a name of its own: FASTGRNN, FASTGRNN_2,
    FASTGRNN_3 and so on, in the order in which they run. TFLite Micro runs it if it has one such
    layer.

    Args:
        model_bytes: bytes, the content of a .tflite file.

    Returns:
        bytes, some hundred more.

    Raises:
        ValueError: if the bytes are damaged.

    Example:

    >>> pathlib.Path("phone.tflite").write_bytes(prepare(tflite))
    """
    verify(model_bytes)
    return _prepare(model_bytes)[0]


def _prepare(model_bytes):
    """`(file, layers)`: what `prepare()` returns for a file that was checked, and the number of its
    recurrent layers."""
    model = schema.ModelT.InitFromPackedBuf(model_bytes, 0)
    layers = _recurrent(model)
    for i, operator in enumerate(layers[1:], start=2):
        code = copy.copy(model.operatorCodes[operator.opcodeIndex])
        code.customCode = b"%s_%d" % (flatbuffer.CUSTOM_CODE, i)
        operator.opcodeIndex = len(model.operatorCodes)
        model.operatorCodes.append(code)
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    return seal(flatbuffer.serialize(model)), len(layers)


class _AlignedBuffer(schema.BufferT):
    def Pack(self, builder):
        data = None
        if self.data is not None and len(self.data):
            content = bytes(self.data)
            builder.StartVector(1, len(content), ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def _recurrent(model):
    """The FASTGRNN operators of a model."""
    return [
        operator
        for operator in model.subgraphs[0].operators
        if flatbuffer.operator_name(model, operator) == flatbuffer.CUSTOM_CODE.decode()
    ]


class Interpreter(Runner):
    """Runs a .tflite model in LiteRT, on the CPU.

    FASTGRNN operators run this package's C kernel and give the bytes of a microcontroller. All
    others run LiteRT's kernels, which may differ from TFLite Micro's by a step or a few
    (docs/litert.md). The first interpreter of a process compiles the kernel, which takes less than
    a second.

    Args:
        model_bytes: bytes, the content of the .tflite file. `prepare()` is not needed before.

    Raises:
        ValueError: if the bytes are damaged, or LiteRT refuses the model.
        ImportError: if ai_edge_litert is not installed, or has another version.
        RuntimeError: if the C kernel cannot be compiled.

    Attributes:
        inputs, outputs: lists with a `Tensor` for each input and output of the model.
    """

    name = "LiteRT"

    def __init__(self, model_bytes: bytes):
        self._made: list = []  # what __del__() destroys, from the last to the first
        self._memory: list = []  # what LiteRT reads until then
        super().__init__(model_bytes)
        self._litert, self._kernel = _load()
        prepared, layers = _prepare(model_bytes)
        size = layers * self._kernel.keras_fastgrnn_layer_size()
        self._layers = layers, ctypes.create_string_buffer(size)
        self._compile(prepared)

    def _compile(self, model):
        environment = self._create("Environment", 1, ctypes.byref(_QUIET))
        at = self._aligned(model)
        model = self._create("ModelFromBuffer", environment, at, ctypes.c_size_t(len(model)))
        options = self._create("Options")
        self._check(self._litert.LiteRtSetOptionsHardwareAccelerators(options, _CPU))
        self._check(self._kernel.keras_fastgrnn_add(options, *self._layers))
        self._model = self._create("CompiledModel", environment, model, options)
        self._allocate()
        self._buffers = []
        for ends in self.inputs, self.outputs:
            buffers = (ctypes.c_void_p * len(ends))()
            views = []
            for i, tensor in enumerate(ends):
                nbytes = math.prod(tensor.shape) * tensor.dtype.itemsize
                at = self._aligned(bytes(nbytes))
                kind = _RankedTensorType.of(tensor)
                buffers[i] = self._create(
                    "TensorBufferFromHostMemory",
                    *(ctypes.byref(kind), at, ctypes.c_size_t(nbytes), None),
                ).value
                memory = (ctypes.c_char * nbytes).from_address(at.value)
                views.append(np.frombuffer(memory, tensor.dtype).reshape(tensor.shape))
            self._buffers.append((len(ends), buffers, views))

    def _allocate(self):
        """Gives all tensors their memory, which LiteRT would else do at the first run."""
        count = len(self.outputs)
        layouts = ctypes.create_string_buffer(count * ctypes.sizeof(_RankedTensorType))
        allocate = self._litert.LiteRtGetCompiledModelOutputTensorLayouts
        self._check(
            allocate(self._model, *map(ctypes.c_size_t, (0, count)), layouts, ctypes.c_bool(True))
        )

    def __del__(self):
        while self._made:
            kind, handle = self._made.pop()
            destroy = self._litert[f"LiteRtDestroy{kind}"]
            destroy.restype = None
            destroy(handle)

    def reset(self) -> None:
        """Sets the states of all layers to zero."""
        self._kernel.keras_fastgrnn_reset(*self._layers)

    def _invoke(self, inputs):
        (n_inputs, given, x), (n_outputs, found, y) = self._buffers
        for view, array in zip(x, inputs, strict=True):
            view[...] = array
        self._check(
            self._litert.LiteRtRunCompiledModel(
                *(self._model, ctypes.c_size_t(0), ctypes.c_size_t(n_inputs), given),
                *(ctypes.c_size_t(n_outputs), found),
            )
        )
        return [view.copy() for view in y]

    def _create(self, what, *arguments):
        """Calls `LiteRtCreate<what>()`. Returns the handle, which `__del__()` destroys."""
        handle = ctypes.c_void_p()
        self._check(self._litert[f"LiteRtCreate{what}"](*arguments, ctypes.byref(handle)))
        self._made.append((what.partition("From")[0], handle))
        return handle

    def _aligned(self, content):
        """The address of a copy at a multiple of `ALIGNMENT`."""
        memory = ctypes.create_string_buffer(len(content) + ALIGNMENT)
        self._memory.append(memory)
        at = -(-ctypes.addressof(memory) // ALIGNMENT) * ALIGNMENT
        ctypes.memmove(at, content, len(content))
        return ctypes.c_void_p(at)

    def _check(self, status):
        """Raises an error if a function of LiteRT failed, or a recurrent layer."""
        if error := self._kernel.keras_fastgrnn_error(*self._layers):
            raise ValueError(f"LiteRT refused the model: {error.decode()}.")
        if status != 0:
            raise ValueError(f"LiteRT refused the model: status {status}; stderr has its messages.")


class _RankedTensorType(ctypes.Structure):
    """LiteRtRankedTensorType, with its LiteRtLayout."""

    _fields_ = (
        ("element_type", ctypes.c_int),
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("dimensions", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    )

    @classmethod
    def of(cls, tensor):
        codes = {"float32": 1, "int32": 2, "int64": 4, "bool": 6, "int16": 7, "int8": 9}
        dimensions = (ctypes.c_int32 * 8)(*tensor.shape)
        return cls(codes[tensor.dtype.name], len(tensor.shape), 0, dimensions)


class _EnvironmentOption(ctypes.Structure):
    """LiteRtEnvOption, with its LiteRtAny of an integer."""

    _fields_ = (("tag", ctypes.c_int), ("type", ctypes.c_int64), ("value", ctypes.c_int64))


_QUIET = _EnvironmentOption(25, 2, 3)  # kLiteRtEnvOptionTagMinLoggerSeverity: errors


def _load():
    with _lock:  # a second thread would otherwise load an incomplete kernel
        return _load_once()


@functools.cache
def _load_once():
    """LiteRT's library and the kernel, both `ctypes.CDLL`."""
    needs = 'keras_fastgrnn.litert needs the package ai_edge_litert: pip install "ai_edge_litert=='
    try:
        distribution = importlib.metadata.distribution("ai_edge_litert")
    except importlib.metadata.PackageNotFoundError:
        raise ModuleNotFoundError(f'{needs}{VERSION}"') from None
    if distribution.version != VERSION:  # before loading anything: another layout would crash
        raise ImportError(f'{needs}{VERSION}"; {distribution.version} is installed.')
    folder = pathlib.Path(str(distribution.locate_file("ai_edge_litert")))
    (path,) = (p for p in folder.iterdir() if p.stem in ("libLiteRt", "LiteRt"))
    kernel = compiler.library(_SOURCES, ["KERAS_FASTGRNN_LITERT_ABI"])
    kernel.keras_fastgrnn_layer_size.restype = ctypes.c_size_t
    kernel.keras_fastgrnn_error.restype = ctypes.c_char_p
    litert = ctypes.CDLL(str(path))
    compiler.set_functions(kernel, {name: litert[name] for name in _FUNCTIONS})
    return litert, kernel
