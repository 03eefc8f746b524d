"""The interface that all interpreters share, and what it does to inputs and outputs."""

import abc
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.micro.affine import Affine
from keras_fastgrnn.micro.flatbuffer_schema import TYPES
from keras_fastgrnn.micro.verify import verify

# One array, one for each input in their order, or by the inputs' names.
Arrays = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]


class Runner(abc.ABC):
    """Runs a .tflite model. A subclass says how, and by its `name` in what.

    Args:
        model_bytes: bytes, the content of the .tflite file.

    Raises:
        ValueError: if the bytes are damaged.

    Attributes:
        inputs, outputs: lists with a `Tensor` for each input and output of the model.
    """

    name: str

    def __init__(self, model_bytes: bytes):
        if not isinstance(model_bytes, bytes):
            raise ValueError(
                "model_bytes is the content of a .tflite file, as bytes; got "
                f"{type(model_bytes).__name__}. Read a file with pathlib.Path.read_bytes()."
            )
        verify(model_bytes)  # what runs it may crash on a damaged file
        graph = schema.Model.GetRootAs(model_bytes).Subgraphs(0)
        self.inputs, self.outputs = (
            [_tensor(graph.Tensors(index)) for index in indexes.tolist()]
            for indexes in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
        )

    @abc.abstractmethod
    def reset(self) -> None:
        """Sets the states of all layers to zero."""

    @abc.abstractmethod
    def _invoke(self, inputs):
        """A list of arrays, one for each input -> one for each output."""

    def invoke(self, *inputs: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        """Runs one inference, on the stored values of the tensors, such as int8.

        Args:
            inputs: an array for each input of the model, with its shape and dtype.

        Returns:
            The output as an array; a tuple of arrays for several outputs.

        Raises:
            ValueError: if the number of inputs, a shape or a dtype is wrong.
        """
        self._check_count(inputs)
        arrays = [np.asarray(x) for x in inputs]
        for i, (tensor, x) in enumerate(zip(self.inputs, arrays, strict=True)):
            if (x.shape, x.dtype) != (tensor.shape, tensor.dtype):
                raise ValueError(
                    f"Input {_label(i, tensor)} has shape {tensor.shape} and dtype {tensor.dtype}; "
                    f"got shape {x.shape} and dtype {x.dtype}."
                )
        return _one_or_tuple(self._invoke(arrays))

    def predict(self, x: Arrays) -> np.ndarray | tuple[np.ndarray, ...]:
        """Runs one inference a sample, with real values in and out.

        int8 inputs are quantised as by TFLite Micro's QUANTIZE operator: rounded to nearest, halves
        away from 0, and saturated. A stateful model keeps its state from each sample to the next,
        as in Keras with a batch size of 1.

        Args:
            x: array `(n, ...)`; for several inputs a list of arrays in the order of `inputs`, or a
                dict of arrays by input name.

        Returns:
            The output, float32 `(n, ...)`; a tuple of arrays for several outputs.

        Raises:
            ValueError: if the number of inputs, a name or a shape is wrong, a value is NaN, or a
                value for an integer input is not an integer.
        """
        given = [x] if len(self.inputs) == 1 else x
        if isinstance(x, Mapping):
            given = self._by_name(x)
        self._check_count(given)
        inputs = [np.asarray(array) for array in given]
        n = len(inputs[0]) if inputs[0].ndim else 0
        for i, (tensor, x) in enumerate(zip(self.inputs, inputs, strict=True)):
            if x.shape != (n, *tensor.shape[1:]):
                expected = ", ".join(map(str, ("n", *tensor.shape[1:])))
                raise ValueError(
                    f"Input {_label(i, tensor)} has shape ({expected}), with one n for all inputs; "
                    f"got {x.shape}."
                )
            inputs[i] = _quantize(tensor, x, _label(i, tensor))
        outputs = [np.empty((n, *tensor.shape[1:]), tensor.dtype) for tensor in self.outputs]
        for i in range(n):
            y = self._invoke([x[i : i + 1] for x in inputs])
            for output, value in zip(outputs, y, strict=True):
                output[i : i + 1] = value
        return _one_or_tuple(map(_dequantize, self.outputs, outputs))

    def _check_count(self, inputs):
        if len(inputs) != len(self.inputs):
            raise ValueError(
                f"Number of inputs: got {len(inputs)}; the model has {len(self.inputs)}. "
                "Give an array for each."
            )

    def _by_name(self, arrays):
        names = [tensor.name for tensor in self.inputs]
        if arrays.keys() != set(names) or len(set(names)) < len(names):
            raise ValueError(
                f"The model has the inputs {', '.join(map(repr, names))}; got arrays for "
                f"{', '.join(map(repr, arrays))}. Give one by each name, or a list in this order."
            )
        return [arrays[name] for name in names]


class Tensor(NamedTuple):
    """An input or output of a model: `name`, as in Keras; `shape`, `dtype`, `scale` (`None` if not
    quantised) and `zero_point`."""

    name: str
    shape: tuple
    dtype: np.dtype
    scale: np.float32 | None
    zero_point: int

    @property
    def affine(self):
        """`Affine` of a quantised tensor."""
        return Affine(self.scale, self.zero_point, self.dtype)


def _tensor(tensor):
    quantization = tensor.Quantization()
    is_quantized = quantization is not None and quantization.ScaleLength() > 0
    return Tensor(
        (tensor.Name() or b"").decode(errors="replace"),
        tuple(tensor.ShapeAsNumpy().tolist()),
        np.dtype(TYPES[tensor.Type()]),
        quantization.ScaleAsNumpy()[0] if is_quantized else None,
        int(quantization.ZeroPointAsNumpy()[0]) if is_quantized else 0,
    )


def _label(i, tensor):
    return f"{i} ('{tensor.name}')" if tensor.name else f"{i}"


def _quantize(tensor, x, label):
    if np.isnan(x).any():
        raise ValueError(f"Input {label} holds NaN: leave such samples out.")
    if tensor.scale is not None:
        return tensor.affine.quantize(x)
    values = x.astype(tensor.dtype)
    if tensor.dtype.kind == "i" and not np.array_equal(values, x):
        raise ValueError(f"Input {label} takes {tensor.dtype} values; got {x[values != x][0]}.")
    return values


def _dequantize(tensor, y):
    if tensor.scale is None:
        return y.astype(np.float32)
    return tensor.affine.dequantize(y).astype(np.float32)


def _one_or_tuple(arrays):
    arrays = tuple(arrays)
    return arrays if len(arrays) > 1 else arrays[0]
