"""A model without its recurrent layers -> an int8 TFLite model, by TensorFlow's converter."""

import re
import warnings

import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_fastgrnn.export.tflite.rewrite import (
    int16_constants,
    integer_ends,
    rewrite,
    saturate_constants,
    selects,
    widen,
)

# The converter cannot calibrate these: a segmentation fault would end the process.
_CONTROL_FLOW = {"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"}


# The converter's messages on an unknown operator, among pages of MLIR.
_UNKNOWN_OPERATOR = re.compile(r"error: '(tf\.\w+)' op is neither|supported for op: '(\w+)'")

# The converter leaves operators without an int16 version in float32.
_OPERATORS = {
    "int8": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
    "int16": [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ],
}


class LoopError(ValueError):
    """A loop in a function that must have none."""


class ConverterError(ValueError):
    """TensorFlow's converter refuses a function.

    Attributes:
        operators: list of strings, the operators of TensorFlow that the converter does not know.
    """

    def __init__(self, error, activations):
        found = map("".join, _UNKNOWN_OPERATOR.findall(str(error)))
        self.operators = sorted(set(found))
        says = f"says: {next(iter(str(error).splitlines()), type(error).__name__)[:200]}"
        unknown = f"has no {activations} operator for {', '.join(self.operators)}"
        super().__init__(f"TensorFlow's converter {unknown if self.operators else says}")


def convert_loop_free(function, arrays, activations):
    """Converts a function without loops.

    Args:
        function: function of tensors with batch 1 that returns a list of tensors.
        arrays: list of arrays of n samples, one for each argument: the calibration set.
        activations: as in `convert()`.

    Returns:
        `ModelT` of the TFLite schema, rewritten for TFLite Micro, with int8 or int16 instead of
        float32 inputs and outputs. A tensor that only float32 operators, or none, read or write
        stays float32, without a scale.

    Raises:
        LoopError: if the function contains a loop.
        ConverterError: if the converter refuses the function.
    """
    specs = [
        tf.TensorSpec((1, *a.shape[1:]), a.dtype, name=f"input_{i}") for i, a in enumerate(arrays)
    ]
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    # Without lowering, a loop stays a function with a name to find.
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    for nodes in (graph.node, *(f.node_def for f in graph.library.function)):
        for node in nodes:
            if node.op in _CONTROL_FLOW:
                raise LoopError(
                    f"it holds a loop or a condition at '{node.name}' ({node.op}). FastRNN and "
                    "FastGRNN layers are exported where they stand in the graph of the model, "
                    "alone or in Bidirectional, not inside other layers"
                )

    # With a trackable object the converter would keep the weights out of the file (VAR_HANDLE);
    # a frozen function has none.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
    converter.experimental_lower_to_saved_model = False
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [a[i : i + 1] for a in arrays] for i in range(len(arrays[0]))
    )
    converter.target_spec.supported_ops = _OPERATORS[activations]
    if activations == "int8":  # in int16 it cannot give an end of its own to a float32 operator
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        model = _convert(converter)
    except Exception as error:
        raise ConverterError(error, activations) from error
    if selects(model) or int16_constants(model):
        converter._experimental_calibrate_only = True  # float32, with the range of each tensor
        floats = _convert(converter)
        widen(model, _ranges(floats))
        saturate_constants(model, floats)
    if activations == "int16":
        integer_ends(model)
    rewrite(model)
    return model


def _convert(converter):
    """Returns a `ModelT`."""
    with warnings.catch_warnings():
        # "Statistics for quantized inputs were expected": they come from the calibration.
        warnings.simplefilter("ignore", UserWarning)
        return flatbuffer_utils.convert_bytearray_to_object(converter.convert())


def _ranges(model):
    """Returns a dict from the name of a tensor to its smallest and largest float value."""
    tensors = [t for t in model.subgraphs[0].tensors if t.quantization is not None]
    return {
        t.name: (float(t.quantization.min[0]), float(t.quantization.max[0]))
        for t in tensors
        if t.quantization.min is not None and len(t.quantization.min) == 1
    }
