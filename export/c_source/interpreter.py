"""A .tflite model as its exported C, compiled and run on this machine."""

import ctypes
import pathlib
import tempfile

import numpy as np

from keras_fastgrnn.export.c_source.chain import read_chain, refusal
from keras_fastgrnn.export.c_source.source import c_source
from keras_fastgrnn.micro.host import compiler
from keras_fastgrnn.micro.runner import Runner

_LIBRARY = """
#include "model.c"
#include "export.h"

FASTGRNN_EXPORT int state_bytes(void);
FASTGRNN_EXPORT void run(model_state*, const {x}*, int, int, int, {y}*);
FASTGRNN_EXPORT void reset(model_state*);

int state_bytes(void) {{ return (int)sizeof(model_state); }}

void reset(model_state* state) {{ model_reset(state); }}

void run(model_state* state, const {x}* x, int timesteps, int is_stateful, int is_sequence,
         {y}* y) {{
  int i;
  if (!is_stateful) model_reset(state);
  for (i = 0; i < timesteps; ++i) {{
    model_step(state, x + i * MODEL_FEATURES);
    if (is_sequence || i == timesteps - 1) {{
      model_predict(state, y);
      y += MODEL_OUTPUTS;
    }}
  }}
}}
"""


class Interpreter(Runner):
    """Runs a .tflite model as C, with the bytes of a microcontroller.

    For machines without the package tflite_micro, where `keras_fastgrnn.micro.Interpreter` cannot
    run: it needs a C compiler alone, which takes about a second for each interpreter.

    Args:
        model_bytes: bytes, the content of the .tflite file: one that `c_source()` takes, without an
            activation after its last layer.

    Raises:
        ValueError: if the bytes are damaged, or the model is another one.
        RuntimeError: if the C cannot be compiled.

    Attributes:
        inputs, outputs: lists with a `Tensor` for each input and output of the model.
    """

    name = "the exported C"

    def __init__(self, model_bytes: bytes):
        super().__init__(model_bytes)
        self._chain = chain = read_chain(model_bytes)
        if chain.activation:
            raise refusal(f"it ends with a {chain.activation}, which the C leaves out")
        if chain.quantizer:
            raise refusal("it normalises a sensor's integers, and an interpreter does not")
        files = c_source(model_bytes)
        types = {"x": f"{chain.input.dtype}_t", "y": f"{chain.output.dtype}_t"}
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (files | {"library.c": _LIBRARY.format(**types)}).items():
                pathlib.Path(folder, name).write_text(text)
            source = pathlib.Path(folder, "library.c")
            self._library = compiler.library([source], include=[folder, "host"])
        self._state = ctypes.create_string_buffer(self._library.state_bytes())
        self.reset()

    def reset(self) -> None:
        """Sets the states of all layers to zero."""
        self._library.reset(self._state)

    def _invoke(self, inputs):
        chain, ((x,), (tensor,)) = self._chain, (inputs, self.outputs)
        if self.inputs[0].scale is None:
            # As the operators of the file do, in float32.
            factor, offset = (v.astype(np.float32) for v in (chain.factor, chain.offset))
            x = chain.input.quantize(x.astype(np.float32) * factor + offset)
        is_sequence = len(tensor.shape) == 3
        y = np.empty((x.shape[1] if is_sequence else 1, chain.outputs), chain.output.dtype)
        self._library.run(
            *(self._state, _pointer(x), x.shape[1], int(chain.cells[0].stateful)),
            *(int(is_sequence), _pointer(y)),
        )
        if tensor.scale is None:
            y = chain.output.dequantize(y).astype(np.float32)
        return [y.reshape(tensor.shape)]


def _pointer(array):
    return np.ascontiguousarray(array).ctypes.data_as(ctypes.c_void_p)
