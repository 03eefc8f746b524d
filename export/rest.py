"""The model around its recurrent layers, in int8."""

import dataclasses
import functools

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.aware.quantized_layers import plain_dense
from keras_fastgrnn.export.blame import explain
from keras_fastgrnn.export.keras_model import run_model
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.export.tflite.loop_free import convert_loop_free
from keras_fastgrnn.micro.affine import choose_affine

# TensorFlow Lite derives the arithmetic of these operators from the scales in the file.
_ANY_OUTPUT_SCALE = {
    getattr(schema.BuiltinOperator, name)
    for name in ("ADD", "SUB", "MUL", "FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
}


@dataclasses.dataclass(frozen=True, eq=False)
class Rest:
    """A .tflite file with a gap for each recurrent operator.

    Its inputs are the inputs of the model, then the tensor that each recurrent operator writes; its
    outputs are the outputs of the model, then the tensor that each recurrent operator reads.

    Attributes:
        tflite: bytes.
        inputs, outputs: lists of the `Affine` of the model's; `None` for integers without a scale.
        reads, writes: lists of the `Affine` of the recurrent operators' tensors.
    """

    tflite: bytes
    inputs: list
    outputs: list
    reads: list
    writes: list

    @functools.cached_property
    def model(self):
        """`ModelT` of the TFLite schema, the file."""
        return schema.ModelT.InitFromPackedBuf(self.tflite, 0)


def convert_rest(model, calibration, run, activations):
    """Converts a model without its recurrent layers.

    Args:
        model: as in `run_model()`.
        calibration: `CalibrationSet`.
        run: `FloatRun` of the model on it.
        activations: as in `convert()`.

    Returns:
        `Rest`.

    Raises:
        ValueError: if TensorFlow's converter refuses a layer, or a layer cannot keep the format
            of its training.
    """
    n_inputs = len(calibration.inputs)

    def loop_free(*tensors):
        """Also returns the output of each Dense layer that was trained in int8."""
        unread, read = list(tensors[n_inputs:]), []

        def cut(_, x):
            read.append(x)
            return unread.pop(0)

        with plain_dense() as products:
            outputs = run_model(model, list(tensors[:n_inputs]), cut, call=calibration.call)
        return outputs + read + [product for _, product in products]

    try:
        tflite = convert_loop_free(
            loop_free, _with_ends(calibration.inputs, run.layers), activations
        )
    except ValueError as error:
        raise explain(error, model, calibration.samples, run.layers, activations) from error
    flatbuffer.strip(tflite)
    graph = tflite.subgraphs[0]
    arguments = [*calibration.inputs, *(layer.y for layer in run.layers)]
    results = [*run.outputs, *(layer.x for layer in run.layers)]
    for index, trained in zip(graph.outputs[len(results) :], run.dense_formats, strict=True):
        flatbuffer.set_affine(graph.tensors[index], trained)
    graph.outputs = graph.outputs[: len(results)]
    for ends, arrays in (("inputs", arguments), ("outputs", results)):
        for i, values in enumerate(arrays):
            # The converter gives no scale to a tensor that only recurrent layers read and write, or
            # operators without an int16 version.
            index = getattr(graph, ends)[i]
            if flatbuffer.affine(graph.tensors[index]) is None and values.dtype == np.float32:
                chosen = choose_affine(values.min(), values.max(), activations)
                flatbuffer.quantize_end(tflite, index, chosen)
    reads, writes = graph.outputs[len(run.outputs) :], graph.inputs[n_inputs:]
    for layer, x, y in zip(run.layers, reads, writes, strict=True):
        if layer.formats is not None:
            _keep_format(tflite, layer, "reads", x, layer.formats.input)
            _keep_format(tflite, layer, "writes", y, layer.formats.output)
    written, read = (
        [flatbuffer.affine(graph.tensors[index]) for index in ends]
        for ends in (graph.inputs, graph.outputs)
    )
    n_outputs = len(run.outputs)
    return Rest(
        tflite=flatbuffer.serialize(tflite),
        inputs=written[:n_inputs],
        outputs=read[:n_outputs],
        reads=read[n_outputs:],
        writes=written[n_inputs:],
    )


def _with_ends(inputs, layers):
    """The calibration set of the model without its recurrent layers.

    Two samples are appended that drive each tensor with a trained format to its minimum and
    maximum, so that the converter finds this format too. The converter's int16 is symmetric, so
    that an output of -32768 would make its scale larger: it is cut.
    """
    if all(layer.formats is None for layer in layers):
        return [*inputs, *(layer.y for layer in layers)]
    more = [np.concatenate([x, np.resize(x, (2, *x.shape[1:]))]) for x in inputs]
    for layer in layers:
        y = layer.y
        ends = np.resize(y, (2, *y.shape[1:]))
        if layer.formats is not None:
            low, high = layer.formats.output.limits
            if layer.formats.output.dtype == "int16":
                low = -high
                y = np.maximum(y, low, dtype=np.float32)
            alternate = (np.arange(ends[0].size) % 2).reshape(ends[0].shape)
            ends = np.where(np.stack([alternate, 1 - alternate]), high, low).astype(np.float32)
        more.append(np.concatenate([y, ends]))
    return more


def _keep_format(tflite, layer, does, index, trained):
    """Gives a tensor that a recurrent layer reads or writes the format of the layer's training."""
    graph = tflite.subgraphs[0]
    found = flatbuffer.affine(graph.tensors[index])
    if found is not None and found.dtype != trained.dtype:
        raise ValueError(
            f"Layer '{layer.recurrent.name}' was trained with {trained.dtype} activations: convert "
            f"it with activations='{trained.dtype}'."
        )
    writers = [other for other in graph.operators if index in other.outputs]
    readers = [other for other in graph.operators if index in other.inputs]
    codes = {tflite.operatorCodes[writer.opcodeIndex].builtinCode for writer in writers}
    if not readers and codes <= _ANY_OUTPUT_SCALE:
        flatbuffer.set_affine(graph.tensors[index], trained)
    # The converter's scale may differ in the last bit of a float32, which changes no integer.
    elif found.zero_point != trained.zero_point or not np.isclose(
        found.scale, trained.scale, rtol=1e-6, atol=0
    ):
        raise ValueError(
            f"Layer '{layer.recurrent.name}' was trained with {trained}, but the tensor it "
            f"{does} has {found}, which other layers (pooling, concatenation) share. Give the "
            "samples that quantization_aware() got and do not train those layers, or leave them "
            "out."
        )
