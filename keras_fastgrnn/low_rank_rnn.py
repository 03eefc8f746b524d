"""What the cells and layers of FastRNN and FastGRNN have in common."""

import keras
import tensorflow as tf

from keras_fastgrnn import activations


class LowRankRNNCell(keras.layers.SimpleRNNCell):
    """A cell with one pre-activation `W x + U h`, in which `W` and `U` may be of low rank.

    `SimpleRNNCell` brings the initializers, regularizers, constraints and the dropout.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        kernel_rank=None,
        recurrent_rank=None,
        kernel_initializer=None,
        recurrent_initializer=None,
        bias_initializer="ones",
        **kwargs,
    ):
        for name, rank in (("kernel_rank", kernel_rank), ("recurrent_rank", recurrent_rank)):
            if rank is not None and rank < 1:
                raise ValueError(
                    f"Received an invalid value for argument `{name}`, expected None or a positive "
                    f"integer, got {rank}."
                )
        super().__init__(
            units,
            activation=activations.get(activation),
            kernel_initializer=kernel_initializer or _normal(),
            recurrent_initializer=recurrent_initializer or _normal(),
            bias_initializer=bias_initializer,
            **kwargs,
        )
        self.kernel_rank = kernel_rank
        self.recurrent_rank = recurrent_rank

    def _add_matrix(self, name, inputs, rank, initializer, regularizer, constraint):
        """Adds `name`, or at low rank its factors `name_a` and `name_b`, as attributes."""
        shapes = {"": (inputs, self.units)}
        if rank is not None:
            shapes = {"_a": (inputs, rank), "_b": (rank, self.units)}
        for factor, shape in shapes.items():
            weight = self.add_weight(
                shape=shape,
                name=name + factor,
                # A copy: an initializer with a seed would give factors of one shape one value.
                initializer=initializer.clone() if factor == "_b" else initializer,
                regularizer=regularizer,
                constraint=constraint,
            )
            setattr(self, name + factor, weight)

    def _add_scalar(self, name, initializer):
        setattr(self, name, self.add_weight(shape=(), name=name, initializer=initializer))

    def _build(self, input_shape, bias_shape):
        self._add_matrix(
            "kernel",
            input_shape[-1],
            self.kernel_rank,
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        self._add_matrix(
            "recurrent_kernel",
            self.units,
            self.recurrent_rank,
            self.recurrent_initializer,
            self.recurrent_regularizer,
            self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=bias_shape,
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.built = True

    def project(self, inputs):
        """`W x`, for one time step or all of a sequence."""
        if self.kernel_rank is None:
            return tf.matmul(inputs, self.kernel)
        return tf.matmul(tf.matmul(inputs, self.kernel_a), self.kernel_b)

    def project_state(self, h):
        """`U h`."""
        if self.recurrent_rank is None:
            return tf.matmul(h, self.recurrent_kernel)
        return tf.matmul(tf.matmul(h, self.recurrent_kernel_a), self.recurrent_kernel_b)

    def recurrence(self, training):
        """Returns the function `(W x, h) -> h'`. What does not change over time is computed here,
        once."""
        raise NotImplementedError

    def drop_inputs(self, inputs, training):
        mask = self.get_dropout_mask(inputs if len(inputs.shape) == 2 else inputs[:, 0])
        if not training or mask is None:
            return inputs
        return inputs * (mask if len(inputs.shape) == 2 else mask[:, None])

    def drop_state(self, h, training):
        mask = self.get_recurrent_dropout_mask(h)
        return h * mask if training and mask is not None else h

    def call(self, inputs, states, training=False):
        h = states[0] if keras.tree.is_nested(states) else states
        h = self.recurrence(training)(self.project(self.drop_inputs(inputs, training)), h)
        return h, [h] if keras.tree.is_nested(states) else h

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_rank": self.kernel_rank,
            "recurrent_rank": self.recurrent_rank,
        }


def _normal():
    return keras.initializers.RandomNormal(stddev=0.1)


def scalar_initializer(value):
    """An initializer from a number or from what `keras.initializers.get` takes."""
    if isinstance(value, (int, float)):
        return keras.initializers.Constant(value)
    return keras.initializers.get(value)


class LowRankRNN(keras.layers.RNN):
    """`keras.layers.RNN` over a `LowRankRNNCell`, with `W x` of all time steps in one product."""

    cell_class = None

    def __init__(
        self,
        units,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        activity_regularizer=None,
        name=None,
        trainable=True,
        dtype=None,
        **kwargs,
    ):
        super().__init__(
            self.cell_class(units, trainable=trainable, dtype=dtype, **kwargs),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            activity_regularizer=activity_regularizer,
            name=name,
            trainable=trainable,
            dtype=dtype,
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        sequences = self.cell.drop_inputs(sequences, training)
        recurrence = self.cell.recurrence(training)

        def step(projection, states):
            h = recurrence(projection, states[0])
            return h, [h]

        # The one loop that is public in both Kerases.
        return tf.keras.backend.rnn(
            step,
            self.cell.project(sequences),
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
        cell = self.cell.get_config()
        del config["cell"]
        return {**{k: v for k, v in cell.items() if k not in ("name", "trainable")}, **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
