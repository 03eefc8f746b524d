"""Assembles the .tflite file of a whole model: the converter's operators and ours."""

from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.verify import seal


def assemble(rest, operators, *, fronts, float_outputs, names, steps_to_saturation):
    """Puts the recurrent operators into their gaps.

    Args:
        rest: `Rest`.
        operators: list of `Operator`, in the order of the gaps.
        fronts: list with the `Front` of each input of the model; `None` for an unchanged input.
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
    for i, front in enumerate(fronts):
        if front is not None:
            flatbuffer.float_input(model, i, front)
    if float_outputs:
        for i in range(n_outputs):
            flatbuffer.float_output(model, i)
    for indexes, ends in zip((graph.inputs, graph.outputs), names, strict=True):
        for index, name in zip(indexes, ends, strict=True):
            graph.tensors[index].name = name
    return seal(flatbuffer.serialize(model))
