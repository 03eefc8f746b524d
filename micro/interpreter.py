"""A .tflite model in TFLite Micro's own interpreter, on the desktop."""

import contextlib
import os
import re
import tempfile
import threading

import numpy as np

from keras_fastgrnn.micro.host import runtime
from keras_fastgrnn.micro.runner import Runner

_stderr_lock = threading.Lock()


class Interpreter(Runner):
    """Runs a .tflite model in TFLite Micro, with the bytes of a microcontroller.

    FASTGRNN operators run this package's C kernel, all others TFLite Micro's reference kernels.
    The first interpreter of a process compiles the kernel, which takes less than a second.

    Args:
        model_bytes: bytes, the content of the .tflite file.

    Raises:
        ValueError: if the bytes are damaged, or TFLite Micro refuses the model.
        ImportError: if tflite_micro is not installed, or has another version.
        RuntimeError: if the C kernel cannot be compiled.

    Attributes:
        inputs, outputs: lists with a `Tensor` for each input and output of the model.
        arena_bytes: integer, the bytes of the tensor arena in use, by TFLite Micro's own record.
            This machine's pointers have 8 bytes. Most microcontrollers have pointers of 4 bytes,
            and need less.
    """

    name = "TensorFlow Lite Micro"

    def __init__(self, model_bytes: bytes):
        super().__init__(model_bytes)
        tflm = runtime.load()
        graph = tflm.schema_fb.Model.GetRootAs(model_bytes).Subgraphs(0)
        with _captured_stderr() as messages:
            try:
                self._interpreter = tflm.Interpreter.from_bytes(
                    model_bytes, [runtime.REGISTERER], _arena_size(graph, model_bytes)
                )
            except RuntimeError as error:
                raise ValueError(f"TFLite Micro refused the model: {messages()}") from error
            self._interpreter.print_allocations()
            total, *_ = re.findall(r"total (\d+) bytes", messages())
            self.arena_bytes = int(total)

    def reset(self) -> None:
        """Sets the states of all layers to zero."""
        self._interpreter.reset()

    def _invoke(self, inputs):
        for i, x in enumerate(inputs):
            self._interpreter.set_input(x, i)
        self._interpreter.invoke()
        return [self._interpreter.get_output(i) for i in range(len(self.outputs))]


def _arena_size(graph, model_bytes):
    """Returns more bytes than a model can use: TFLite Micro crashes in an arena too small for its
    own records. Memory that is never written costs nothing."""
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    elements = sum(int(np.prod(tensor.ShapeAsNumpy(), dtype=np.int64)) for tensor in tensors)
    return (1 << 20) + 16 * (elements + len(model_bytes))


@contextlib.contextmanager
def _captured_stderr():
    """Yields a function that returns the process's output to stderr since then: TFLite Micro writes
    its messages and its record of allocations only there."""
    with _stderr_lock, tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: os.pread(file.fileno(), 1 << 20, 0).decode(errors="replace").strip()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
