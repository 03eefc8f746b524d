"""The interpreter of a .tflite file that this machine has."""

from keras_fastgrnn import litert, micro
from keras_fastgrnn.export.c_source import Interpreter, Unsupported
from keras_fastgrnn.micro.runner import Runner

__all__ = ["interpreter"]


def interpreter(model_bytes: bytes) -> Runner:
    """Runs a .tflite model with what this machine has, by one interface.

    The first of these: TensorFlow Lite Micro, if the package tflite_micro is installed (it has
    wheels for Linux on x86-64); the exported C, which gives the same bytes, if the model has a form
    that `c_source()` takes; LiteRT, whose layers other than FastRNN and FastGRNN may differ from
    the chip's by a step (docs/litert.md).

    Args:
        model_bytes: bytes, the content of the .tflite file.

    Returns:
        `keras_fastgrnn.micro.Interpreter`, `keras_fastgrnn.export.c_source.Interpreter` or
        `keras_fastgrnn.litert.Interpreter`. Each has `predict()`, `invoke()`, `reset()`, `inputs`,
        `outputs`, and a `name`.

    Raises:
        ValueError: if the bytes are damaged.
        ImportError: if the model needs LiteRT, and ai_edge_litert is not installed.
        RuntimeError: if the C kernel cannot be compiled.

    Example:

    >>> y = interpreter(tflite).predict(x_test)
    """
    try:
        return micro.Interpreter(model_bytes)
    except ModuleNotFoundError:
        pass
    try:
        return Interpreter(model_bytes)
    except Unsupported as unsupported:
        try:
            return litert.Interpreter(model_bytes)
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError(f"{missing}. {unsupported}") from None
