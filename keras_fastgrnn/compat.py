"""Chooses Keras 3 or tf_keras for the layers, and holds all differences between them.

The layers follow `tf.keras`: Keras 3, or tf_keras if the environment variable TF_USE_LEGACY_KERAS
says so. The rest of the package is written once, on `keras` and on two base classes from here,
which behave like those of Keras 3.
"""

import contextlib
import os

import tensorflow as tf

# tf.keras decides, not the environment: importing tfmot sets the variable, when tf.keras may
# already be Keras 3.
LEGACY = tf.keras.Model.__module__.startswith("tf_keras.")

if LEGACY:
    import tf_keras as keras
else:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "keras_fastgrnn runs on Keras's TensorFlow backend, not on "
            f"'{keras.backend.backend()}'. Set KERAS_BACKEND=tensorflow before Keras is imported."
        )


def import_tfmot():
    """Imports tfmot, which needs tf_keras, and restores the environment."""
    name = "TF_USE_LEGACY_KERAS"
    before = os.environ.get(name)
    try:
        import tensorflow_model_optimization as tfmot
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
    return tfmot


@contextlib.contextmanager
def _replaced_train_step(model, train_step):
    before, own = model.train_step, "train_step" in vars(model)
    model.train_step = train_step
    try:
        yield
    finally:
        if own:
            model.train_step = before
        else:
            del model.train_step


if not LEGACY:
    SimpleRNNCell = keras.layers.SimpleRNNCell

    class RNN(keras.layers.RNN):
        """`keras.layers.RNN` that checks the shape of its inputs."""

        def __init__(self, cell, **kwargs):
            super().__init__(cell, **kwargs)
            self.input_spec = keras.layers.InputSpec(ndim=3)

        def build(self, sequences_shape, initial_state_shape=None):
            super().build(sequences_shape, initial_state_shape)
            self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: sequences_shape[-1]})

    def make_train_function(model, train_step):
        """Makes `model.train_function` from another train_step than the model's."""
        with _replaced_train_step(model, train_step):
            model.make_train_function(force=True)

    def run_through_graph(model, inputs, function_of):
        """Runs a functional model, with `function_of(layer)` in place of each layer."""
        return model._run_through_graph(inputs, operation_fn=function_of)

    def set_dtype_policy(layer, policy):
        layer.dtype_policy = policy

    def graph_nodes(model):
        """For each call of a layer in a functional model: `(layer, input ids, output ids)`, the ids
        of its tensors."""
        return [
            (node.operation, [id(x) for x in node.input_tensors], [id(y) for y in node.outputs])
            for nodes in model._nodes_by_depth.values()
            for node in nodes
            if not node.is_input
        ]

else:

    class SimpleRNNCell(keras.layers.SimpleRNNCell):  # type: ignore[no-redef]
        """tf_keras's cell, with the `seed` and the dropout masks of Keras 3."""

        def __init__(self, units, *, seed=None, **kwargs):
            super().__init__(units, seed=seed, **kwargs)
            self.seed = seed

        def get_dropout_mask(self, inputs):
            return self.get_dropout_mask_for_cell(inputs, training=True)

        def get_recurrent_dropout_mask(self, state):
            return self.get_recurrent_dropout_mask_for_cell(state, training=True)

        def get_config(self):
            return {**super().get_config(), "seed": self.seed}

    class RNN(keras.layers.RNN):  # type: ignore[no-redef]
        """tf_keras's layer with the loop in `inner_loop`, as in Keras 3: subclasses override it."""

        def __init__(self, cell, **kwargs):
            super().__init__(cell, **kwargs)
            self.input_spec = [keras.layers.InputSpec(ndim=3)]

        def call(self, sequences, initial_state=None, mask=None, training=None):
            ragged = isinstance(sequences, tf.RaggedTensor)
            if ragged:
                self._validate_args_if_ragged(ragged, mask)
                lengths, sequences = sequences.row_lengths(), sequences.to_tensor()
                mask = tf.sequence_mask(lengths, tf.shape(sequences)[1])
            if self.unroll and sequences.shape[1] is None:
                raise ValueError(
                    f"Layer '{self.name}': unroll=True needs a known number of time steps; the "
                    f"sequences have shape {tuple(sequences.shape)}. Give it in keras.Input."
                )
            # tf_keras puts a symbolic initial state into a list with the sequences.
            sequences, initial_state, _ = self._process_inputs(sequences, initial_state, None)
            initial_state = [tf.cast(s, self.cell.compute_dtype) for s in initial_state]
            self._maybe_reset_cell_dropout_mask(self.cell)
            last_output, outputs, states = self.inner_loop(
                sequences, initial_state, mask, bool(training)
            )
            if self.stateful:
                for kept, state in zip(self.states, states, strict=True):
                    kept.assign(tf.cast(state, kept.dtype))
            if ragged and self.return_sequences:
                mask = tf.reverse(mask, [1]) if self.go_backwards else mask
                outputs = tf.ragged.boolean_mask(outputs, mask)
            output = outputs if self.return_sequences else last_output
            return [output, *states] if self.return_state else output

        def inner_loop(self, sequences, initial_state, mask, training=False):
            return keras.backend.rnn(
                lambda inputs, states: self.cell(inputs, states, training=training),
                sequences,
                initial_state,
                go_backwards=self.go_backwards,
                mask=mask,
                unroll=self.unroll,
                input_length=sequences.shape[1],
                zero_output_for_mask=self.zero_output_for_mask,
                return_all_outputs=self.return_sequences,
            )

        def get_config(self):
            config = super().get_config()
            del config["time_major"]
            if self.activity_regularizer is not None:
                regularizer = keras.regularizers.serialize(self.activity_regularizer)
                config["activity_regularizer"] = regularizer
            return config

    def make_train_function(model, train_step):
        model.make_train_function(force=True)
        train_function = model.train_function

        def function(iterator):
            # Each tracing looks up the model's train_step.
            with _replaced_train_step(model, train_step):
                return train_function(iterator)

        model.train_function = function

    def run_through_graph(model, inputs, function_of):
        # Like the model's own _run_internal_graph, where each use of a tensor takes one copy.
        uses = model._tensor_usage_count
        tensors = {
            key: [y] * uses[key]
            for key, y in zip((str(id(x)) for x in model.inputs), inputs, strict=True)
        }
        for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if node.is_input:
                    continue
                args, kwargs = node.map_arguments(tensors)
                outputs = tf.nest.flatten(function_of(node.layer)(*args, **kwargs))
                for key, y in zip(node.flat_output_ids, outputs, strict=True):
                    tensors[key] = [y] * uses[key]
        return [tensors[str(id(y))].pop() for y in model.outputs]

    def set_dtype_policy(layer, policy):
        layer._set_dtype_policy(policy)

    def graph_nodes(model):
        return [
            (node.layer, [*map(int, node.flat_input_ids)], [*map(int, node.flat_output_ids)])
            for nodes in model._nodes_by_depth.values()
            for node in nodes
            if not node.is_input
        ]

    # tfmot prunes RNN(cell) only if the cell is a PrunableLayer. By inheritance metaclasses clash.
    import_tfmot().sparsity.keras.PrunableLayer.register(SimpleRNNCell)
