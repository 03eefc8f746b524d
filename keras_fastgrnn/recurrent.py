"""The base classes of FastRNN and FastGRNN: a cell's weights, and a layer's loop over time."""

import numbers
import operator

import tensorflow as tf

from keras_fastgrnn import activations
from keras_fastgrnn.arguments import whole_number
from keras_fastgrnn.compat import LEGACY, RNN, SimpleRNNCell, keras
from keras_fastgrnn.recurrence import recur

register = keras.saving.register_keras_serializable(package="keras_fastgrnn")

# EdgeML's initializer of every matrix and factor. A config, not an instance: all cells would share
# an instance, which draws the same numbers at each call.
NORMAL = {"class_name": "RandomNormal", "config": {"stddev": 0.1}}


def _positive_integer(argument, value):
    value = whole_number(argument, value)
    if value <= 0:
        raise ValueError(f"{argument}={value!r}; expected at least 1.")
    return value


def _reseeded(initializer):
    """A copy that draws other numbers: with one seed, both factors would draw the same."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    seed = config.get("seed")
    if isinstance(seed, dict):  # A SeedGenerator advances by itself.
        return initializer
    return initializer.from_config(config if seed is None else {**config, "seed": seed + 1})


class RecurrentCell(SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` with factored matrices, scalars and another update.

    A subclass gives, for `a = inputs @ kernel + input_bias() + state @ recurrent_kernel`:

    - `input_bias()`: tensor `(units,)`;
    - `coefficients()`: tuple of tensors `(units,)` or `()` that are the same at every step;
    - `update(a, state, *coefficients)`: the state after the step, and a tuple of `residuals`
      tensors for the gradient;
    - `slopes(state, *residuals, *coefficients)`: the elementwise derivatives of the state after
      the step, each of its shape: by `a`, by the state before the step, and by each coefficient.
      Activations are in `activations.GRADIENTS`.

    Args:
        scalar_initializers: dict from the name of a scalar weight to a number or an initializer.
        scalars_trainable: whether these are trained.
        Others: see the subclasses.
    """

    bias_rows: tuple = ()

    def __init__(
        self,
        units,
        activation,
        *,
        kernel_rank,
        recurrent_rank,
        scalar_initializers,
        scalars_trainable,
        **kwargs,
    ):
        units = _positive_integer("units", units)
        for rate in ("dropout", "recurrent_dropout"):
            if not 0 <= kwargs.get(rate, 0) < 1:
                raise ValueError(f"{rate}={kwargs[rate]!r}; expected 0 <= {rate} < 1.")
        super().__init__(units, activation=activations.get(activation), **kwargs)
        if not tf.as_dtype(self.compute_dtype).is_floating:
            raise ValueError(f"dtype={self.compute_dtype!r}; expected a floating-point dtype.")
        for argument, rank in (("kernel_rank", kernel_rank), ("recurrent_rank", recurrent_rank)):
            setattr(self, argument, None if rank is None else _positive_integer(argument, rank))
        self._scalar_initializers = {
            name: keras.initializers.Constant(float(initializer))
            if isinstance(initializer, numbers.Real)
            else keras.initializers.get(initializer)
            for name, initializer in scalar_initializers.items()
        }
        self.scalars_trainable = bool(scalars_trainable)

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                f"Cell '{self.name}' needs a known number of features; its inputs have shape "
                f"{input_shape}. Give it in keras.Input."
            )
        # Skips SimpleRNNCell.build(), whose weights these replace.
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
            weight = self.add_weight(
                shape=(), name=name, initializer=initializer, trainable=self.scalars_trainable
            )
            setattr(self, name, weight)

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

    def matrices(self, *names):
        """Dict from name to weight: the matrices, or their factors; those of `names`, or all."""
        names = [
            f"{m}{f}" for m in names or ("kernel", "recurrent_kernel") for f in ("", "_a", "_b")
        ]
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def get_prunable_weights(self):
        """The weights that tfmot prunes."""
        return list(self.matrices().values())

    def factors(self, name):
        """The tensors of "kernel" or "recurrent_kernel" as a list: the matrix, or its factors."""
        return list(map(tf.convert_to_tensor, self.matrices(name).values()))

    def recurrent_factors(self):
        """The factors that `project()` takes at each step of a loop."""
        factors = self.factors("recurrent_kernel")
        if len(factors) == 2 and 2 * self.recurrent_rank >= self.units:
            return [tf.matmul(*factors)]  # One product a step, with no more multiplications.
        return factors

    def project(self, v, factors):
        """Rows `v` times a matrix, or times its factors."""
        for factor in factors:
            v = tf.matmul(v, factor)
        return v

    @property
    def gradient_at_once(self):
        """Whether the gradient of a loop computes for all steps at once all that it can.

        A step of the loop is then so short that XLA runs its operations in order, without its
        scheduler. The arrays of all steps of more units leave the cache.
        """
        return self.units <= 32

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
        inputs = tf.nn.bias_add(self.project(inputs, self.factors("kernel")), self.input_bias())
        a = inputs + self.project(recurrent, self.factors("recurrent_kernel"))
        state, _ = self.update(a, state, *self.coefficients())
        return state, [state] if tf.nest.is_nested(states) else state

    def get_config(self):
        scalars = {
            f"{name}_initializer": keras.initializers.serialize(initializer)
            for name, initializer in self._scalar_initializers.items()
        }
        return {
            **super().get_config(),
            "kernel_rank": self.kernel_rank,
            "recurrent_rank": self.recurrent_rank,
            **scalars,
            "scalars_trainable": self.scalars_trainable,
        }


# The arguments of a layer that its cell does not have.
_OF_LAYER = (
    *("return_sequences", "return_state", "go_backwards", "stateful", "unroll"),
    *("zero_output_for_mask", "activity_regularizer"),
    *("input_shape", "batch_input_shape"),  # read by a Sequential, in place of an Input
)


class RecurrentLayer(RNN):
    """`keras.layers.RNN` over a `RecurrentCell`, with the inputs projected outside the loop.

    Args:
        cell_class: class of the cell.
        *args, **kwargs: arguments of the cell.
        Others: as in `keras.layers.GRU`.
    """

    def __init__(self, cell_class, *args, name=None, dtype=None, trainable=True, **kwargs):
        own = {argument: kwargs.pop(argument) for argument in _OF_LAYER if argument in kwargs}
        both = {"dtype": dtype, "trainable": trainable}
        super().__init__(cell_class(*args, name="cell", **both, **kwargs), name=name, **both, **own)

    def get_prunable_weights(self):
        """The weights that tfmot prunes."""
        return self.cell.get_prunable_weights()

    # RNN.call handles states, dtypes and dropout masks, and calls this for the loop.
    # Keras's own loop, `keras.src.backend.rnn`, is private, and projects at every step.
    def inner_loop(self, sequences, initial_state, mask, training=False):
        cell = self.cell
        functions = {cell.activation, getattr(cell, "recurrent_activation", cell.activation)}
        if not functions <= activations.GRADIENTS.keys():
            return super().inner_loop(sequences, initial_state, mask, training)

        state = initial_state[0]
        inputs = tf.transpose(tf.cast(sequences, cell.compute_dtype), (1, 0, 2))
        if training and cell.dropout:
            inputs *= cell.get_dropout_mask(inputs[0])
        timesteps_by_batch = tf.shape(inputs)[:2]
        inputs = tf.reshape(inputs, (-1, inputs.shape[-1]))
        inputs = cell.project(inputs, cell.factors("kernel"))
        inputs = tf.nn.bias_add(inputs, cell.input_bias())
        inputs = tf.reshape(inputs, tf.concat([timesteps_by_batch, [self.units]], 0))

        state_mask = None
        if training and cell.recurrent_dropout:
            state_mask = cell.get_recurrent_dropout_mask(state)
        if mask is not None:
            if not sequences.shape[:2].is_compatible_with(mask.shape[:2]):
                raise ValueError(
                    f"mask has shape {tuple(mask.shape)}; expected (batch, timesteps), which is "
                    f"{tuple(sequences.shape[:2])} for these sequences."
                )
            mask = tf.reshape(tf.cast(mask, tf.bool), tf.shape(sequences)[:2])
            mask = tf.transpose(mask)[..., tf.newaxis]
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])
            mask = None if mask is None else tf.reverse(mask, [0])

        outputs = recur(
            cell,
            inputs,
            state,
            mask=mask,
            state_mask=state_mask,
            return_sequences=self.return_sequences,
            unroll=self.unroll,
            by_hand=bool(training) and not LEGACY,  # tf_keras's SavedModel holds the training too.
        )
        output = state = outputs[-1] if self.return_sequences else outputs
        if mask is not None:
            # As in Keras, a masked step repeats the last output, and gives zero before the first
            # unmasked step, whatever the initial state.
            seen = mask if self.zero_output_for_mask else tf.cumsum(tf.cast(mask, tf.int32)) > 0
            output = tf.where(seen[-1], output, 0)
            if self.return_sequences:
                outputs = tf.where(seen, outputs, 0)
        outputs = tf.transpose(outputs, (1, 0, 2)) if self.return_sequences else output[:, None]
        return output, outputs, [state]

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return {**self.cell.get_config(), **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


# A layer has its cell's arguments as attributes, as `keras.layers.GRU` does.
for _name in (
    *("units", "activation", "use_bias", "dropout", "recurrent_dropout"),
    *("kernel_initializer", "recurrent_initializer", "bias_initializer"),
    *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"),
    *("kernel_constraint", "recurrent_constraint", "bias_constraint"),
):
    setattr(RecurrentLayer, _name, property(operator.attrgetter(f"cell.{_name}")))
