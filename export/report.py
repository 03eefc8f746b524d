"""What a conversion did: scales, bytes and errors, as text."""

import collections
import warnings

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export import reference
from keras_fastgrnn.export.quantize import Affine

_TYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if name.isupper()}
_BUILTINS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


def report(conversion):
    """Returns the lines of a report on a `Conversion`."""
    model = schema.ModelT.InitFromPackedBuf(conversion.model, 0)
    return [
        *_tensors(model, conversion.operators),
        "",
        *_bytes(model, conversion),
        "",
        *_errors(conversion),
    ]


def _operator_names(model, operators):
    """A name for each operator of the file: the Keras layer's for ours, else the builtin's."""
    recurrent = {operator.weights: operator.recurrent.name for operator in operators}
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = _BUILTINS[code.builtinCode]
        if name == "CUSTOM":
            weights = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
            name = f"FASTGRNN {recurrent[bytes(weights)]}"
        yield name, operator


def _tensors(model, operators):
    graph = model.subgraphs[0]
    written_by = {index: "input" for index in graph.inputs}
    for name, operator in _operator_names(model, operators):
        written_by.update((index, name) for index in operator.outputs)
    yield f"{'tensor':>6}  {'written by':<32} {'type':<8} {'shape':<16} {'scale':>11} zero  range"
    for index, tensor in enumerate(graph.tensors):
        shape = "x".join(str(n) for n in tensor.shape) if tensor.shape is not None else ""
        line = f"{index:>6}  {written_by.get(index, 'constant'):<32} "
        line += f"{_TYPES[tensor.type]:<8} {shape:<16} "
        q = tensor.quantization
        if q is not None and q.scale is not None:
            scale, zero = q.scale, q.zeroPoint
            limits = np.iinfo(_TYPES[tensor.type])
            low, high = ((limit - zero) * scale for limit in (limits.min, limits.max))
            per_axis = f" (largest of {len(scale)})" if len(scale) > 1 else ""
            line += f"{scale.max():>11.4g} {zero[0]:>4}  {low.min():.4g} .. {high.max():.4g}"
            line += per_axis
        yield line.rstrip()


def _bytes(model, conversion):
    graph = model.subgraphs[0]
    parts = collections.Counter()
    for operator in conversion.operators:
        name = operator.recurrent.name
        cell = operator.integer_cell
        bias = cell.bias.size * 2
        parts[f"{name}: options"] += len(operator.options)
        parts[f"{name}: biases"] += bias
        parts[f"{name}: matrices"] += len(operator.weights) - bias
    for name, operator in _operator_names(model, conversion.operators):
        if name.startswith("FASTGRNN"):
            continue
        for index in operator.inputs:
            data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
            if data is not None:
                parts[f"{name}: constants"] += len(data)
    parts["structure of the file"] = len(conversion.model) - parts.total()
    yield "bytes  part"
    for part, size in parts.items():
        yield f"{size:>5}  {part}"
    yield f"{len(conversion.model):>5}  in all"


def _errors(conversion):
    """The error of the integer model at each recurrent operator and output, and the states."""
    yield "error against the Keras model, on the representative samples"
    yield f"{'at':<32} {'rms':>10} {'largest':>10} {'float rms':>10}"
    ys, outputs = integer_run(conversion)
    named = [
        (operator.recurrent.name, y, operator.y, operator.output)
        for operator, y in zip(conversion.operators, ys, strict=True)
    ]
    named += [
        (f"output {i}", y, expected, affine)
        for i, ((y, affine), expected) in enumerate(zip(outputs, conversion.outputs, strict=True))
    ]
    for name, y, expected, affine in named:
        error = affine.dequantize(y) - expected
        yield (
            f"{name:<32} {np.sqrt(np.mean(error**2)):>10.4g} {np.abs(error).max():>10.4g} "
            f"{np.sqrt(np.mean(np.square(expected, dtype=np.float64))):>10.4g}"
        )


def integer_run(conversion):
    """Runs the integers of a conversion on its representative samples.

    The recurrent operators are the NumPy integer model, the rest is TensorFlow Lite. Each pass over
    the loop-free model adds the input of one more recurrent operator to what is known.

    Returns:
        `(ys, outputs)`: an int8 array for each recurrent operator, and `(array, Affine)` for each
        output of the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that LiteRT will replace this interpreter
        interpreter = tf.lite.Interpreter(model_content=conversion.loop_free)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    n_outputs = len(conversion.outputs)
    known = [
        Affine(*detail["quantization"]).quantize(x) if detail["dtype"] == np.int8 else x
        for x, detail in zip(conversion.inputs, inputs, strict=False)
    ]
    n = len(known[0])

    def run(sample):
        for i, detail in enumerate(inputs):
            value = known[i][sample] if i < len(known) else np.zeros(detail["shape"][1:], np.int8)
            interpreter.set_tensor(detail["index"], value[None])
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"])[0] for detail in outputs]

    for i, operator in enumerate(conversion.operators):
        x = np.stack([run(sample)[n_outputs + i] for sample in range(n)])
        y = operator.recurrent.write(operator.integer_states(x))
        known.append(reference.output(operator.integer_cell, y))
    results = [run(sample)[:n_outputs] for sample in range(n)]
    return known[len(conversion.inputs) :], [
        (np.stack(column), Affine(*detail["quantization"]))
        for column, detail in zip(zip(*results, strict=True), outputs, strict=False)
    ]
