"""Training of the integer model that the exporter will write."""

import numpy as np

from keras_fastgrnn.compat import LEGACY, keras
from keras_fastgrnn.export.aware.quantized_layers import (
    QuantizedDense,
    QuantizedFastGRNNCell,
    QuantizedFastRNNCell,
    QuantizedRNN,
)
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.export.keras_model import cells, functional, is_bidirectional, is_recurrent
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.fastgrnn import FastGRNNCell

# A weight's largest distance from its integer at the start, in steps; at 0.5 it would round to the
# next integer.
_WITHIN = 0.49

_HEAD_ACTIVATIONS = {
    getattr(keras.activations, name) for name in ("linear", "relu", "sigmoid", "softmax", "tanh")
}


def quantization_aware(
    model: keras.Model,
    *,
    representative_dataset,
    reset: str = "sample",
    activations: str = "int8",
) -> keras.Model:
    """Copies a trained model, for `fit()` to train it as the integers that `convert()` will make.

    Every FastRNN and FastGRNN layer of the copy computes the integers of its exported operator
    (docs/numerics.md). A Dense layer between such a layer and an output of the model, also at each
    step, computes the integers of its operator. Gradients pass straight through the roundings.
    The formats of both (scales, shifts, zero points, and zeta, nu, alpha and beta) are chosen here
    and kept, through `save()` and in `convert()`, which exports the trained integers. All other
    layers are float in training, and integers only in the export.

    The copy shares no weights with the model and has to be compiled. Train it on the outputs of the
    model, for a few epochs with a learning rate that falls to 0 (docs/quantize.md). A weight of 0
    stays 0. Dropout within the recurrent layers is off.

    Args:
        model: trained `keras.Sequential` or functional `keras.Model`, as for `convert()`.
        representative_dataset: as for `convert()`.
        reset: `"sample"`, or `"never"` for a later `convert(streaming=True, reset="never")`: the
            ranges then come from one stream of all samples, in their order.
        activations: as in `convert()`, which has to get the same.

    Returns:
        `keras.Model` (or `keras.Sequential`), which starts as the integer model of `model`.

    Raises:
        ValueError: under tf_keras; as `convert()`; if the model has no FastRNN or FastGRNN layer,
            uses one more than once, or is such a copy already; if other layers (pooling,
            concatenation) have to share a format that is kept.

    Example:

    >>> samples = np.random.default_rng(0).choice(x, 200, replace=False)
    >>> aware = keras_fastgrnn.export.quantization_aware(model, representative_dataset=samples)
    >>> rate = keras.optimizers.schedules.CosineDecay(3e-3, decay_steps=12 * steps_per_epoch)
    >>> aware.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), "mse", jit_compile=True)
    >>> aware.fit(x, model.predict(x), epochs=12)
    >>> model_bytes = keras_fastgrnn.export.convert(aware, representative_dataset=samples)
    """
    if LEGACY:
        raise ValueError(
            "quantization_aware() needs Keras 3: start Python without TF_USE_LEGACY_KERAS."
        )
    options = {"streaming": reset == "never", "reset": reset, "activations": activations}
    found = conversion(model, representative_dataset=representative_dataset, **options)
    operators = {}
    for operator in found.operators:
        name, cell = operator.recurrent.name, operator.recurrent.cell
        if operator.ranges is None:
            raise ValueError(
                f"Layer '{name}' is quantisation-aware already: train this model, or start from "
                "the float one."
            )
        if id(cell) in operators:
            raise ValueError(
                f"Layer '{name}' is used more than once, but can have only one format. Use a layer "
                "of its own in each place."
            )
        operators[id(cell)] = operator
    if not operators:
        raise ValueError(
            f"Model '{model.name}' has no FastRNN or FastGRNN layer: train it in float."
        )
    heads = _heads(model, found.rest)
    layers = []

    def quantized_cell(cell):
        kind = QuantizedFastGRNNCell if isinstance(cell, FastGRNNCell) else QuantizedFastRNNCell
        # A 16-bit float cannot hold an int16 state.
        config = cell.get_config() | {"dtype": "float32", "dropout": 0.0, "recurrent_dropout": 0.0}
        return kind.from_config(config | {"formats": operators[id(cell)].formats})

    def quantized_rnn(layer):
        config = keras.layers.RNN.get_config(layer) | {"dtype": "float32"}
        if isinstance(layer.cell, keras.layers.StackedRNNCells):
            return keras.layers.RNN(**config | {"cell": [*map(quantized_cell, cells(layer))]})
        return QuantizedRNN(**config | {"cell": quantized_cell(layer.cell)})

    def clone(layer):
        if is_bidirectional(layer):
            both = layer.forward_layer, layer.backward_layer
            forward, backward = map(quantized_rnn, both)
            config = layer.get_config() | {"layer": forward, "backward_layer": backward}
            copy = keras.layers.Bidirectional(**config)
            layers.extend(zip(both, (copy.forward_layer, copy.backward_layer), strict=True))
        elif is_recurrent(layer):
            copy = quantized_rnn(layer)
            layers.append((layer, copy))
        elif layer in heads:
            config = layer.get_config() | {"dtype": "float32"}
            copy = QuantizedDense(**config, output_format=heads[layer])
        else:
            copy = type(layer).from_config(layer.get_config())
        return copy

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # Keras calls it only in load_weights()
    for pair in layers:
        for original, cell in zip(*map(cells, pair), strict=True):
            _start_from(operators[id(original)], cell)
    # Refuses here, before the training, a model that cannot be exported.
    samples = [x.swapaxes(0, 1) if options["streaming"] else x for x in found.inputs]
    conversion(copy, representative_dataset=[samples], **options)
    return copy


def _start_from(operator, cell):
    """Moves the weights so that they round to the exporter's integers, which compensate each
    other's error."""
    integer = operator.integer_cell
    for name, matrices, formats in (
        ("kernel", integer.kernel, operator.formats.kernel),
        ("recurrent_kernel", integer.recurrent_kernel, operator.formats.recurrent_kernel),
    ):
        weights = cell.matrices(name).values()
        for weight, matrix, (scale, _) in zip(weights, matrices, formats, strict=True):
            q = matrix.values.T
            w = np.asarray(keras.ops.convert_to_numpy(weight))
            weight.assign(
                np.where(w == 0, 0, np.clip(w, (q - _WITHIN) * scale, (q + _WITHIN) * scale))
            )


def _heads(model, rest):
    """Returns a dict from each Dense layer between a recurrent layer and an output of the model to
    the `Affine` of its sums."""
    model, (graph,), heads = functional(model), rest.model.subgraphs, {}
    for y, index in zip(model.outputs, graph.outputs, strict=False):
        layer = y._keras_history.operation
        if not isinstance(layer, keras.layers.Dense) or len(layer._inbound_nodes) != 1:
            continue
        source = layer.input._keras_history.operation
        while isinstance(source, keras.layers.Dropout):
            source = source.input._keras_history.operation
        if (
            is_recurrent(source) or (is_bidirectional(source) and source.merge_mode == "concat")
        ) and layer.activation in _HEAD_ACTIVATIONS:
            (writer,) = (operator for operator in graph.operators if index in operator.outputs)
            if layer.activation not in (keras.activations.linear, keras.activations.relu):
                index = writer.inputs[0]
            heads[layer] = flatbuffer.affine(graph.tensors[index])
    return heads
