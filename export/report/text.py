"""The report as text."""

import numpy as np

from keras_fastgrnn.export.report.findings import operator_names, stream_limits
from keras_fastgrnn.export.report.resolution import input_places, worst_features
from keras_fastgrnn.export.tflite import flatbuffer


def text(findings):
    """Returns the lines of a report on `Findings`."""
    return [
        *_tensors(findings.model, findings.conversion.operators),
        "",
        *_features(findings.conversion),
        "bytes  part",
        *(f"{size:>5}  {part}" for part, size in findings.parts.items()),
        f"{len(findings.conversion.model):>5}  in all",
        "",
        # The error at each recurrent operator and output.
        "error against the Keras model, on the representative samples",
        f"outputs: in {findings.measured_in}; layers: in the integer model",
        f"{'at':<32} {'rms':>10} {'largest':>10} {'float rms':>10}",
        *(
            f"{at.name:<32} {at.rms:>10.4g} {at.largest:>10.4g} {at.float_rms:>10.4g}"
            for at in findings.compared
        ),
        *stream_limits(findings),
    ]


def _features(conversion):
    for place in input_places(conversion):
        heading, features = worst_features(place)
        yield heading
        spread = f"spread in {place.affine.dtype} steps"
        yield f"{'feature':>7} {'least':>11} {'most':>11} {spread:>21}"
        for index, low, high, steps, resolved in features:
            few = "" if resolved else "  too few"
            yield f"{index:>7} {low:>11.4g} {high:>11.4g} {steps:>21.4g}{few}"
        yield ""


def _tensors(model, operators):
    graph = model.subgraphs[0]
    written_by = {index: "input" for index in graph.inputs}
    for name, operator in operator_names(model, operators):
        written_by.update((index, name) for index in operator.outputs)
    yield f"{'tensor':>6}  {'written by':<32} {'type':<8} {'shape':<16} {'scale':>11} zero  range"
    for index, tensor in enumerate(graph.tensors):
        shape = "x".join(str(n) for n in tensor.shape) if tensor.shape is not None else ""
        line = f"{index:>6}  {written_by.get(index, 'constant'):<32} "
        line += f"{flatbuffer.type_name(tensor):<8} {shape:<16} "
        q = tensor.quantization
        if q is not None and q.scale is not None:
            scale, zero = q.scale, q.zeroPoint
            limits = np.iinfo(flatbuffer.type_name(tensor))
            low, high = ((limit - zero) * scale for limit in (limits.min, limits.max))
            per_axis = f" (largest of {len(scale)})" if len(scale) > 1 else ""
            line += f"{scale.max():>11.4g} {zero[0]:>4}  {low.min():.4g} .. {high.max():.4g}"
            line += per_axis
        yield line.rstrip()
