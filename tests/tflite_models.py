"""Models that consist of FASTGRNN operators."""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.export.cell.blocks import read_options
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro.affine import Affine
from keras_fastgrnn.micro.verify import seal


def fastgrnn_model(*cells, timesteps, edit=lambda model: None):
    """A chain of cells, each read by the next.

    Args:
        cells: pairs `(options, weights)` of bytes.
        timesteps: integer, of the input.
        edit: function called with the `schema.ModelT` before it is written.

    Returns:
        bytes of a .tflite file. All scales are 1: the kernel reads its own from the options.
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers, model.operatorCodes = [schema.BufferT()], []
    graph.tensors, graph.operators, graph.inputs = [], [], [0]

    def add(is_int16, *shape):
        tensor = schema.TensorT()
        tensor.shape, tensor.buffer = np.array(shape, np.int32), 0
        flatbuffer.set_affine(tensor, Affine(1.0, 0, "int16" if is_int16 else "int8"))
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    fields = read_options(cells[0][0])
    y = add(fields["types"] & 1, 1, timesteps, fields["features"])
    for options, weights in cells:
        fields = read_options(options)
        steps = [timesteps] if fields["flags"] & 1 else []
        x, y = y, add(fields["types"] & 2, 1, *steps, fields["units"])
        flatbuffer.add_recurrent(model, x, y, options, weights)
    graph.outputs = [y]
    edit(model)
    return seal(flatbuffer.serialize(model))
