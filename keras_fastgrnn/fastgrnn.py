"""FastGRNN: a gated recurrent layer with one pair of matrices."""

import keras
import tensorflow as tf

from keras_fastgrnn import activations
from keras_fastgrnn.low_rank_rnn import LowRankRNN, LowRankRNNCell, scalar_initializer


@keras.saving.register_keras_serializable(package="keras_fastgrnn")
class FastGRNNCell(LowRankRNNCell):
    """Cell class for the `FastGRNN` layer; drops into `keras.layers.RNN`.

    With the input `x` and the state `h` of one time step
    ([FastGRNN](https://arxiv.org/abs/1901.02358), equation 6):

        z  = recurrent_activation(W x + U h + bias[0])
        c  = activation(W x + U h + bias[1])
        h' = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * c + z * h

    Unlike in a GRU the gate and the candidate share `W` and `U`. The state is not bounded by 1.

    Args:
        units: Positive integer, dimensionality of the output space.
        activation: Nonlinearity of the candidate `c`: a function or a name, of Keras or
            `"quant_tanh"`, `"quant_sigmoid"`. Default: `"tanh"`.
        recurrent_activation: Nonlinearity of the gate `z`. Default: `"sigmoid"`.
        kernel_rank: `None` for a full matrix `kernel (features, units)`, else the rank of `W`,
            which is then the product of `kernel_a (features, rank)` and `kernel_b (rank, units)`.
            Default: `None`.
        recurrent_rank: The same for `U`, `recurrent_kernel (units, units)`. Default: `None`.
        use_bias: Boolean, whether there is a `bias (2, units)`. Default: `True`.
        kernel_initializer: Initializer of the kernel or each of its factors. Default: a normal
            distribution with a standard deviation of 0.1, as EdgeML's.
        recurrent_initializer: The same for the recurrent kernel.
        bias_initializer: Initializer of the bias. Default: `"ones"`, as EdgeML's.
        zeta_initializer, nu_initializer: Initializers of the two scalars, before their sigmoid.
            Default: 1.0 and -4.0, as EdgeML's.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Regularizers. Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: Constraints. Default: `None`.
        dropout: Float between 0 and 1, the fraction of the inputs to drop. Default: 0.
        recurrent_dropout: Float between 0 and 1, the fraction of the state to drop where it meets
            `U`. Default: 0.
        seed: Random seed for dropout.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: Tensor `(batch, units)`, or a list of it.
        training: Boolean, whether dropout is applied.

    Raises:
        ValueError: if `units` or a rank is not positive.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        zeta_initializer=1.0,
        nu_initializer=-4.0,
        **kwargs,
    ):
        super().__init__(units, activation=activation, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.zeta_initializer = scalar_initializer(zeta_initializer)
        self.nu_initializer = scalar_initializer(nu_initializer)

    def build(self, input_shape):
        self._build(input_shape, bias_shape=(2, self.units))
        self._add_scalar("zeta", self.zeta_initializer)
        self._add_scalar("nu", self.nu_initializer)

    def recurrence(self, training):
        zeta, nu = tf.sigmoid(self.zeta), tf.sigmoid(self.nu)

        def step(projection, h):
            p = projection + self.project_state(self.drop_state(h, training))
            gate, candidate = (p, p) if self.bias is None else (p + self.bias[0], p + self.bias[1])
            z, c = self.recurrent_activation(gate), self.activation(candidate)
            return (zeta * (1.0 - z) + nu) * c + z * h

        return step

    def get_config(self):
        return {
            **super().get_config(),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            "zeta_initializer": keras.initializers.serialize(self.zeta_initializer),
            "nu_initializer": keras.initializers.serialize(self.nu_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_fastgrnn")
class FastGRNN(LowRankRNN):
    """FastGRNN layer: `keras.layers.RNN(FastGRNNCell(units, ...))`, faster.

    Gives the same numbers: the input projections of all time steps are one matrix product before
    the loop.

    Args:
        units: Positive integer, dimensionality of the output space.
        return_sequences: Boolean, whether to return the output of each time step or of the last
            alone. Default: `False`.
        return_state: Boolean, whether to return the last state as well. Default: `False`.
        go_backwards: Boolean, whether to read the sequence from its end. Default: `False`.
        stateful: Boolean, whether the state of sample i in a batch starts where that of sample i in
            the batch before ended. Default: `False`.
        unroll: Boolean, whether the loop is unrolled in the graph. Default: `False`.
        zero_output_for_mask: Boolean, whether masked time steps give zeros. Default: `False`.
        **kwargs: The arguments of `FastGRNNCell`, and `name`, `dtype`, `trainable`,
            `activity_regularizer`.

    Call arguments:
        sequences: Tensor `(batch, timesteps, features)`.
        initial_state: List of a tensor `(batch, units)`; zeros by default.
        mask: Boolean tensor `(batch, timesteps)`: where it is `False` the state stays.
        training: Boolean, whether dropout is applied.

    Example:

    >>> y = keras_fastgrnn.FastGRNN(16, kernel_rank=2, recurrent_rank=8)(x)
    """

    cell_class = FastGRNNCell
