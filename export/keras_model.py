"""Runs a Keras model, and hands every FastRNN and FastGRNN layer to the caller."""

import dataclasses
import inspect

import tensorflow as tf

from keras_fastgrnn.compat import keras, run_through_graph, set_dtype_policy
from keras_fastgrnn.fastgrnn import FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNNCell

_HALF = ("float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """One run of a cell over a sequence, which becomes one operator.

    Attributes:
        name: string, the name of the Keras layer, for messages.
        cell: a built `FastRNNCell` or `FastGRNNCell`.
        return_sequences, go_backwards, stateful: as in `keras.layers.RNN`.
        reverse_output: whether the outputs are placed from last to first, as in the backward layer
            of `Bidirectional`.
    """

    name: str
    cell: keras.layers.Layer
    return_sequences: bool
    go_backwards: bool
    stateful: bool
    reverse_output: bool = False

    def read(self, x):
        """Returns x `(n, timesteps, features)` in the order in which the cell reads the steps."""
        return x[:, ::-1] if self.go_backwards else x

    def write(self, states):
        """Returns the layer's output, given the states `(n, timesteps, units)` in that order."""
        if not self.return_sequences:
            return states[:, -1]
        return states[:, ::-1] if self.reverse_output else states


class LayerError(ValueError):
    """A layer that cannot be exported. The message names it and the reason."""


def call_layer(layer, args, kwargs):
    """Calls a layer at inference, in float32 if it has mixed precision."""
    parts = layer._flatten_layers() if isinstance(layer, keras.layers.Layer) else ()
    mixed = [
        (part, part.dtype_policy)
        for part in parts
        if part.compute_dtype in _HALF and part.variable_dtype == "float32"
    ]
    try:
        for part, _ in mixed:
            set_dtype_policy(part, "float32")
        return layer(*args, **kwargs)
    finally:
        for part, policy in mixed:
            set_dtype_policy(part, policy)


def run_model(model, inputs, recurrent, visit=None, call=call_layer):
    """Runs a model at inference, operation by operation.

    The model is neither changed nor traced: `inputs` may be eager or symbolic tensors.

    Args:
        model: built `keras.Sequential` or functional `keras.Model`.
        inputs: list of tensors, one for each input of the model.
        recurrent: function `(Recurrent, sequences) -> outputs`, called in place of each FastRNN and
            FastGRNN layer, in an order that depends on the model alone.
        visit: optional function `(name, outputs)`, called after each operation.
        call: function `(layer, args, kwargs) -> outputs`, for all other layers.

    Returns:
        List of tensors, one for each output of the model.

    Raises:
        ValueError: if the model cannot be exported, with the layer's name and the reason.
    """
    return tf.nest.flatten(
        run_through_graph(
            functional(model), inputs, lambda operation: _runner(operation, recurrent, visit, call)
        )
    )


def functional(model):
    """Returns the functional model behind a Keras model.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                f"Model '{model.name}' is not built: give it an Input, or call it once on data."
            )
        model = getattr(model, "_functional", model)  # A Sequential of tf_keras is functional.
    if not hasattr(model, "_nodes_by_depth"):
        raise ValueError(
            f"Model '{model.name}' ({type(model).__name__}) is neither Sequential nor functional. "
            "Write it as keras.Model(inputs, outputs) to export it."
        )
    return model


def is_recurrent(operation):
    """Whether an operation of a Keras model is a FastRNN or FastGRNN layer."""
    return isinstance(operation, keras.layers.RNN) and all(
        isinstance(cell, (FastRNNCell, FastGRNNCell)) for cell in cells(operation)
    )


def is_bidirectional(operation):
    """Whether an operation is a Bidirectional of FastRNN or FastGRNN layers."""
    return isinstance(operation, keras.layers.Bidirectional) and is_recurrent(
        operation.forward_layer
    )


def cells(layer):
    stacked = isinstance(layer.cell, keras.layers.StackedRNNCells)
    return layer.cell.cells if stacked else [layer.cell]


def _runner(operation, recurrent, visit, call):
    """Returns the function that replaces an operation of the model."""
    name = operation.name

    def run(*args, **kwargs):
        # training=True is the default of layers that change images only in training.
        if kwargs.get("training") and not _trains_by_default(operation):
            raise ValueError(
                f"Layer '{name}' is called with training=True, which cannot be exported. "
                "Call it without training, or with training=None."
            )
        if type(operation).__name__ == "PruneLowMagnitude":  # by name, without tfmot
            raise ValueError(
                f"Layer '{name}' is wrapped for pruning: convert "
                "tfmot.sparsity.keras.strip_pruning(model)."
            )
        if isinstance(operation, keras.Model):
            if len(args) != 1 or set(kwargs) - {"training", "mask"}:
                raise ValueError(
                    f"Model '{name}' is called with {len(args)} arguments and the keywords "
                    f"{sorted(kwargs)}. Call it with its inputs alone, as one argument."
                )
            outputs = run_model(operation, tf.nest.flatten(args[0]), recurrent, visit, call)
            return outputs if len(outputs) > 1 else outputs[0]
        if is_recurrent(operation):
            outputs = _run_rnn(operation, _sequences(operation, args, kwargs), recurrent)
        elif is_bidirectional(operation):
            outputs = _run_bidirectional(operation, _sequences(operation, args, kwargs), recurrent)
        else:
            try:
                if "training" in kwargs:
                    kwargs["training"] = False
                outputs = call(operation, args, kwargs)
            except LayerError:
                raise
            except Exception as error:
                shapes = [tuple(x.shape) for x in tf.nest.flatten(args) if hasattr(x, "shape")]
                raise ValueError(
                    f"Layer '{name}' does not run on inputs of shapes {shapes}: {error}"
                ) from error
        if visit is not None:
            visit(name, outputs)
        return outputs

    return run


def _trains_by_default(operation):
    training = inspect.signature(operation.call).parameters.get("training")
    return training is not None and training.default is True


def _sequences(layer, args, kwargs):
    """Returns the sequences, the only argument that an exported recurrent layer may have."""
    arguments = inspect.signature(layer.call).bind(*args, **kwargs).arguments
    # In tf_keras a symbolic initial state is in a list with the sequences.
    if arguments.get("initial_state") is not None or isinstance(args[0], list):
        raise ValueError(
            f"Layer '{layer.name}' is called with an initial_state, which cannot be exported. "
            "Leave it out: the state starts at 0."
        )
    if arguments.get("mask") is not None or getattr(args[0], "_keras_mask", None) is not None:
        raise ValueError(
            f"Layer '{layer.name}' gets a mask, which cannot be exported. Leave out the Masking "
            "layer or mask_zero, and pad at the start of the sequences."
        )
    if layer.return_state:
        raise ValueError(
            f"Layer '{layer.name}' has return_state=True, which cannot be exported: the state "
            "stays inside the operator. Use its output."
        )
    return args[0]


def _run_rnn(layer, x, recurrent, reverse_output=False):
    stack = cells(layer)
    if x.dtype != tf.float32:
        x = tf.cast(x, tf.float32)
    for i, cell in enumerate(stack):
        last = i == len(stack) - 1
        x = recurrent(
            Recurrent(
                name=layer.name if len(stack) == 1 else f"{layer.name}/{cell.name}",
                cell=cell,
                return_sequences=layer.return_sequences or not last,
                go_backwards=layer.go_backwards and i == 0,
                stateful=layer.stateful,
                reverse_output=reverse_output and last,
            ),
            x,
        )
    return x


def _run_bidirectional(layer, x, recurrent):
    y = _run_rnn(layer.forward_layer, x, recurrent)
    y_rev = _run_rnn(layer.backward_layer, x, recurrent, reverse_output=layer.return_sequences)
    match layer.merge_mode:
        case "concat":
            return tf.concat([y, y_rev], axis=-1)
        case "sum":
            return y + y_rev
        case "ave":
            return (y + y_rev) / 2
        case "mul":
            return y * y_rev
    return y, y_rev
