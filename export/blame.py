"""Explains a refused model: the Keras layer, the reason, and a replacement."""

import functools

import numpy as np
import tensorflow as tf

from keras_fastgrnn.export.keras_model import LayerError, call_layer, run_model
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.export.tflite.loop_free import LoopError, convert_loop_free
from keras_fastgrnn.micro.verify import UnsupportedOperator, verify

_SAMPLES = 7  # for a layer by itself: refusals do not depend on the samples

# Layer or operator -> its replacement.
_INSTEAD = {
    "Conv3D": "use Conv2D",
    "Embedding": "look the vectors up before the model, and make them its input",
    "ATAN2": "compute the angle before the model",
    "GELU": "use relu or silu",
    "ONE_HOT": "give the model the one-hot vectors",
    "POW": "write powers as products, keras.ops.square and keras.ops.sqrt",
    "REDUCE_PROD": "multiply the parts, or sum their logarithms",
    "SIGN": "use tanh, or keras.ops.where",
    "TOPK_V2": "sort before the model, or use keras.ops.max",
    "tf.Erf": "use tanh",
}
_ANY = "compute it before or after the model, or with the layers that docs/export.md lists"


def explain(error, model, inputs, layers, activations):
    """Finds the layer that makes a conversion fail, by converting each layer by itself.

    Args:
        error: the exception of the whole model.
        model: the Keras model.
        inputs: list of float arrays, samples for each of its inputs.
        layers: list of `FloatLayer`, the recurrent layers on these samples.
        activations: as in `convert()`.

    Returns:
        `ValueError`, whose message names the layer, if one also fails by itself.
    """
    unread = [tf.constant(layer.y[:_SAMPLES]) for layer in layers]
    try:
        run_model(
            model,
            [tf.constant(x[:_SAMPLES]) for x in inputs],
            lambda *_: unread.pop(0),
            call=functools.partial(_convert_and_call, activations),
        )
    except LayerError as found:
        # The error of the whole model may name an operator that the layer's error does not.
        specific = isinstance(error, UnsupportedOperator)
        vague = not isinstance(found.__cause__, (UnsupportedOperator, LoopError))
        return _refusal(found.layer, error) if specific and vague else found
    return ValueError(f"The model cannot be exported: {_reason(error)}.")


def _convert_and_call(activations, layer, args, kwargs):
    tensors = [x for x in tf.nest.flatten((args, kwargs)) if _is_data(x)]

    def function(*tensors):
        given = iter(tensors)
        own_args, own_kwargs = tf.nest.map_structure(
            lambda x: next(given) if _is_data(x) else x, (args, kwargs)
        )
        return tf.nest.flatten(call_layer(layer, own_args, own_kwargs))

    try:
        model = convert_loop_free(function, [np.asarray(x) for x in tensors], activations)
        flatbuffer.strip(model)
        # Skips layers that only pass a tensor on, or whose float result nothing reads.
        if model.subgraphs[0].operators:
            verify(flatbuffer.serialize(model))
    except Exception as error:
        raise _refusal(layer, error) from error
    return call_layer(layer, args, kwargs)


def _refusal(layer, error):
    refusal = LayerError(
        f"Layer '{layer.name}' ({type(layer).__name__}) cannot be exported: {_reason(error)}; "
        f"{_instead(layer, error)}."
    )
    refusal.layer = layer
    return refusal


def _is_data(x):
    return tf.is_tensor(x) and x.shape.rank and x.shape[0] == _SAMPLES


def _reason(error):
    if isinstance(error, UnsupportedOperator):
        return f"TensorFlow Lite Micro does not run its operator {error.name} ({error.reason})"
    return str(error).splitlines()[0].rstrip(".")


def _instead(layer, error):
    if isinstance(error, LoopError):
        return "use FastRNN or FastGRNN, or unroll=True"
    names = [type(layer).__name__, getattr(error, "name", None), *getattr(error, "operators", ())]
    return next((_INSTEAD[name] for name in names if name in _INSTEAD), _ANY)
