"""Assembles the .tflite file of a whole model: the converter's operators and ours."""

from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.front import Front
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.verify import seal


def assemble(rest, operators, *, ends, float_outputs, names, steps_to_saturation):
    """Puts the recurrent operators into their gaps.

    Args:
        rest: `Rest`.
        operators: list of `Operator`, in the order of the gaps.
        ends: list with `(dtype, Front)` of each input of the model; `None` for an unchanged input,
            and for its `Front` if it has none.
        float_outputs: boolean. Whether the outputs of the model become float32.
        names: `(inputs, outputs)`, lists of names.
        steps_to_saturation: integer for the file's metadata; `None` for none.

    Returns:
        bytes, sealed (docs/format.md).
    """
    model = schema.ModelT.InitFromPackedBuf(rest.tflite, 0)
    (graph,) = model.subgraphs
    n_inputs, n_outputs = map(len, names)
    gaps = zip(graph.outputs[n_outputs:], graph.inputs[n_inputs:], strict=True)
    for operator, (x, y) in zip(operators, gaps, strict=True):
        flatbuffer.add_recurrent(model, x, y, operator.options, operator.weights)
    if steps_to_saturation is not None:
        flatbuffer.set_steps_to_saturation(model, steps_to_saturation)
    graph.inputs, graph.outputs = list(graph.inputs[:n_inputs]), list(graph.outputs[:n_outputs])
    for i, end in enumerate(ends):
        if end is not None:
            _add_input(model, i, *end)
    if float_outputs:
        for i in range(n_outputs):
            flatbuffer.float_output(model, i)
    for indexes, own in zip((graph.inputs, graph.outputs), names, strict=True):
        for index, name in zip(indexes, own, strict=True):
            graph.tensors[index].name = name
    return seal(flatbuffer.serialize(model))


def _add_input(model, i, dtype, front):
    """Puts the operators of a `Front` and of the rounding before an input's integers."""
    [graph] = model.subgraphs
    inner = flatbuffer.type_name(graph.tensors[graph.inputs[i]])
    if dtype == "float32":
        flatbuffer.float_input(model, i, front or Front())
    elif front is None:
        return  # the converter has handled integer inputs
    elif dtype == inner == "int16" and front.is_per_feature:
        flatbuffer.scaled_input(model, i, front)
    else:
        flatbuffer.float_input(model, i, front)
        flatbuffer.cast_input(model, i, dtype)
