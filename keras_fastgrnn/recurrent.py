"""What FastRNN and FastGRNN share: a cell's weights, and a layer's loop over time."""

import numbers

import tensorflow as tf

from keras_fastgrnn import activations
from keras_fastgrnn.compat import RNN, SimpleRNNCell, keras

register = keras.saving.register_keras_serializable(package="keras_fastgrnn")

# EdgeML's initializer of every matrix and factor. Not an instance, which all cells would share:
# one instance draws the same numbers at each call.
NORMAL = {"class_name": "RandomNormal", "config": {"stddev": 0.1}}


def _positive_integer(argument, value):
    if not isinstance(value, numbers.Integral) or value <= 0:
        raise ValueError(f"{argument}={value!r}: expected a positive integer.")
    return int(value)


def _reseeded(initializer):
    """A copy that draws other numbers: one seed would make the two factors share theirs."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    seed = config.get("seed")
    if isinstance(seed, dict):  # A SeedGenerator's: that moves on by itself.
        return initializer
    return initializer.from_config(config if seed is None else {**config, "seed": seed + 1})


class RecurrentCell(SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` with factored matrices, trainable scalars and another update.

    A subclass gives the update, `update(preactivation, state, *coefficients())`, where
    `preactivation = matmul(inputs, kernel) + matmul(state, recurrent_kernel)`. Activations aside
    it must be elementwise: the layer calls it with all of its arguments transposed.

    Args:
        scalar_initializers: dict from the name of a scalar weight to a number or an initializer.
        Others: see the subclasses.
    """

    bias_rows = ()

    def __init__(
        self, units, activation, *, kernel_rank, recurrent_rank, scalar_initializers, **kwargs
    ):
        units = _positive_integer("units", units)
        for rate in ("dropout", "recurrent_dropout"):
            if not 0 <= kwargs.get(rate, 0) < 1:
                raise ValueError(f"{rate}={kwargs[rate]!r}: expected 0 <= {rate} < 1.")
        super().__init__(units, activation=activations.get(activation), **kwargs)
        if not tf.as_dtype(self.compute_dtype).is_floating:
            raise ValueError(f"dtype={self.compute_dtype!r}: expected a floating-point dtype.")
        for argument, rank in (("kernel_rank", kernel_rank), ("recurrent_rank", recurrent_rank)):
            setattr(self, argument, None if rank is None else _positive_integer(argument, rank))
        self._scalar_initializers = {
            name: keras.initializers.Constant(float(initializer))
            if isinstance(initializer, numbers.Real)
            else keras.initializers.get(initializer)
            for name, initializer in scalar_initializers.items()
        }

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                f"Cell '{self.name}': the number of features of inputs of shape {input_shape} "
                "must be known. Give it in keras.Input."
            )
        # Not SimpleRNNCell's, whose weights these replace.
        keras.layers.Layer.build(self, input_shape)
        self._add_matrix("kernel", input_shape[-1], self.kernel_rank, "kernel")
        self._add_matrix("recurrent_kernel", self.units, self.recurrent_rank, "recurrent")
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(*self.bias_rows, self.units),
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        for name, initializer in self._scalar_initializers.items():
            setattr(self, name, self.add_weight(shape=(), name=name, initializer=initializer))

    def _add_matrix(self, name, inputs, rank, argument):
        initializer = getattr(self, f"{argument}_initializer")
        if rank is None:
            factors = [(name, (inputs, self.units), initializer)]
        else:
            factors = [
                (f"{name}_a", (inputs, rank), initializer),
                (f"{name}_b", (rank, self.units), _reseeded(initializer)),
            ]
        for name, shape, initializer in factors:
            weight = self.add_weight(
                shape=shape,
                name=name,
                initializer=initializer,
                regularizer=getattr(self, f"{argument}_regularizer"),
                constraint=getattr(self, f"{argument}_constraint"),
            )
            setattr(self, name, weight)

    def matrices(self):
        """Dict from name to weight of the matrices, or of their factors."""
        names = [
            f"{m}{factor}" for m in ("kernel", "recurrent_kernel") for factor in ("", "_a", "_b")
        ]
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def get_prunable_weights(self):
        """What tfmot prunes."""
        return list(self.matrices().values())

    def kernel_factors(self):
        """Tensors to multiply the inputs by, one after the other."""
        return self._factors("kernel", self.kernel_rank)

    def recurrent_kernel_factors(self):
        """Tensors to multiply the state by, one after the other."""
        return self._factors("recurrent_kernel", self.recurrent_rank)

    def _factors(self, name, rank):
        names = [name] if rank is None else [f"{name}_a", f"{name}_b"]
        return [tf.convert_to_tensor(getattr(self, name)) for name in names]

    def bias_or_zeros(self):
        if self.bias is None:
            return tf.zeros((*self.bias_rows, self.units), self.compute_dtype)
        return tf.convert_to_tensor(self.bias)

    def call(self, inputs, states, training=False):
        state = states[0] if tf.nest.is_nested(states) else states
        inputs = tf.cast(inputs, self.compute_dtype)
        recurrent = state
        if training and self.dropout:
            inputs *= self.get_dropout_mask(inputs)
        if training and self.recurrent_dropout:
            recurrent *= self.get_recurrent_dropout_mask(state)
        for factor in self.kernel_factors():
            inputs = tf.matmul(inputs, factor)
        for factor in self.recurrent_kernel_factors():
            recurrent = tf.matmul(recurrent, factor)
        state = self.update(inputs + recurrent, state, *self.coefficients())
        return state, [state] if tf.nest.is_nested(states) else state

    def get_config(self):
        scalars = {
            f"{name}_initializer": keras.initializers.serialize(initializer)
            for name, initializer in self._scalar_initializers.items()
        }
        ranks = {"kernel_rank": self.kernel_rank, "recurrent_rank": self.recurrent_rank}
        return {**super().get_config(), **ranks, **scalars}


def loop_over_time(step, inputs, state, return_sequences):
    """A loop that XLA can differentiate.

    Args:
        step: function of the index of a time step, its inputs and the state before it; returns the
            state after it.
        inputs: tensor `(timesteps, ...)`.
        state: tensor, before the first step.
        return_sequences: whether to keep the state of each step.

    Returns:
        `(state, states)`: after the last step, and tensor `(timesteps, ...)` or `(1, ...)`.
    """
    timesteps = inputs.shape[0] or tf.shape(inputs)[0]
    inputs = tf.TensorArray(inputs.dtype, timesteps).unstack(inputs)
    # An array that is not written is not in the loop: XLA fails on its gradient.
    arrays = []
    if return_sequences:
        arrays = [tf.TensorArray(state.dtype, timesteps, element_shape=state.shape)]

    def body(t, state, *arrays):
        state = step(t, inputs.read(t), state)
        return t + 1, state, *(array.write(t, state) for array in arrays)

    _, state, *arrays = tf.while_loop(
        lambda t, *_: t < timesteps,
        body,
        (0, state, *arrays),
        maximum_iterations=timesteps,
    )
    return state, arrays[0].stack() if arrays else state[tf.newaxis]


class RecurrentLayer(RNN):
    """`keras.layers.RNN` over a `RecurrentCell`, with the inputs projected outside the loop.

    Args:
        cell_class: class of the cell.
        *args, **kwargs: arguments of the cell.
        Others: as in `keras.layers.GRU`.
    """

    def __init__(
        self,
        cell_class,
        *args,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        activity_regularizer=None,
        name=None,
        dtype=None,
        trainable=True,
        **kwargs,
    ):
        # Of the layer, not the cell: a Sequential takes them in place of an Input.
        shapes = {n: kwargs.pop(n) for n in ("input_shape", "batch_input_shape") if n in kwargs}
        super().__init__(
            cell_class(*args, name="cell", dtype=dtype, trainable=trainable, **kwargs),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            activity_regularizer=activity_regularizer,
            name=name,
            dtype=dtype,
            trainable=trainable,
            **shapes,
        )

    @property
    def units(self):
        return self.cell.units

    def get_prunable_weights(self):
        """What tfmot prunes."""
        return self.cell.get_prunable_weights()

    # RNN.call, which looks after states, dtypes and dropout masks, calls this for the loop alone.
    # Of the three ways to loop, `keras.src.backend.rnn` is private, and through RNN.inner_loop it
    # projects at every step; `keras.ops.scan` gives XLA no bound on its steps, so that a jitted
    # gradient fails. `tf.while_loop` is public, and in both Kerases.
    #
    # In the loop samples are columns, as in the paper: units are few, and XLA vectorises over the
    # last axis. Coefficients are broadcast outside it, so that their gradients are summed over
    # the batch once and not at each step.
    def inner_loop(self, sequences, initial_state, mask, training=False):
        cell = self.cell
        functions = {cell.activation, getattr(cell, "recurrent_activation", cell.activation)}
        if not functions <= activations.ELEMENTWISE:
            return super().inner_loop(sequences, initial_state, mask, training)

        state = initial_state[0]
        batch_by_units = tf.shape(state)
        coefficients = [
            tf.transpose(tf.broadcast_to(coefficient, batch_by_units))
            for coefficient in cell.coefficients()
        ]

        sequences = tf.cast(sequences, cell.compute_dtype)
        if training and cell.dropout:
            sequences *= cell.get_dropout_mask(sequences[:, 0])[:, tf.newaxis]
        inputs = tf.transpose(sequences, (1, 2, 0))
        for factor in cell.kernel_factors():
            inputs = tf.matmul(factor, inputs, transpose_a=True)

        factors = cell.recurrent_kernel_factors()
        if len(factors) == 2 and 2 * cell.recurrent_rank >= cell.units:
            factors = [tf.matmul(*factors)]  # No more multiplications at a step, in one product.
        factors = [tf.transpose(factor) for factor in factors]

        state_mask = None
        if training and cell.recurrent_dropout:
            state_mask = tf.transpose(cell.get_recurrent_dropout_mask(state))
        state = tf.transpose(state)

        if mask is not None:
            mask = tf.reshape(tf.cast(mask, tf.bool), tf.shape(sequences)[:2])
            mask = tf.transpose(mask)[:, tf.newaxis]
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])
            mask = None if mask is None else tf.reverse(mask, [0])

        def step(t, inputs_t, state):
            recurrent = state if state_mask is None else state * state_mask
            for factor in factors:
                recurrent = tf.matmul(factor, recurrent)
            new_state = cell.update(inputs_t + recurrent, state, *coefficients)
            return new_state if mask is None else tf.where(mask[t], new_state, state)

        if self.unroll:
            states = []
            for t, inputs_t in enumerate(tf.unstack(inputs)):
                state = step(t, inputs_t, state)
                states.append(state)
            states = tf.stack(states)
        else:
            state, states = loop_over_time(step, inputs, state, self.return_sequences)

        output, outputs = state, states
        if mask is not None:
            # As in Keras, a masked step's output is the last one's, and zero before the first
            # step that counts, whatever the initial state.
            seen = mask if self.zero_output_for_mask else tf.cumsum(tf.cast(mask, tf.int32)) > 0
            output = tf.where(seen[-1], output, tf.zeros_like(output))
            if self.return_sequences:
                outputs = tf.where(seen, outputs, tf.zeros_like(outputs))
        return tf.transpose(output), tf.transpose(outputs, (2, 0, 1)), [tf.transpose(state)]

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return {**self.cell.get_config(), **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
