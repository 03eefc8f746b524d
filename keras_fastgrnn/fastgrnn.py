"""FastGRNN: a cell and a layer."""

import tensorflow as tf

from keras_fastgrnn import activations
from keras_fastgrnn.activations import GRADIENTS
from keras_fastgrnn.compat import keras
from keras_fastgrnn.recurrent import NORMAL, RecurrentCell, RecurrentLayer, register


@register
class FastGRNNCell(RecurrentCell):
    """One step of a FastGRNN: a gated RNN whose gate and candidate share their matrices.

    From [FastGRNN](https://arxiv.org/abs/1901.02358), equation 6:

        a  = matmul(x, kernel) + matmul(h, recurrent_kernel)
        z  = recurrent_activation(a + bias[0])
        c  = activation(a + bias[1])
        h' = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * c + z * h

    The defaults are EdgeML's, the authors' library. The state may exceed 1: with a sigmoid gate
    and tanh it can grow by `sigmoid(nu)` at each time step. `nu_initializer=-100.0`, whose sigmoid
    is 0, bounds the state, and stays untrained, because its gradient is 0
    (docs/long_sequences.md).

    Args:
        units: positive integer, size of the state and of the output.
        activation: nonlinearity of the candidate `c`: a name or function of `keras.activations`,
            or `"quant_tanh"` or `"quant_sigmoid"`. Default: `"tanh"`. `None` is the identity.
        recurrent_activation: the same for the gate `z`. Default: `"sigmoid"`.
        use_bias: whether the cell has biases. Default: `True`.
        kernel_initializer: initializer of `kernel`, or of each of its factors. Default: normal
            with standard deviation 0.1.
        recurrent_initializer: the same for `recurrent_kernel`.
        bias_initializer: Default: `"ones"`.
        kernel_rank: positive integer, rank of `kernel`, which is then the product of `kernel_a`
            `(features, kernel_rank)` and `kernel_b` `(kernel_rank, units)`. Default: `None`, one
            matrix `(features, units)`.
        recurrent_rank: the same for `recurrent_kernel`, `(units, units)`.
        zeta_initializer: number or initializer of the scalar `zeta`, before its sigmoid.
            Default: 1.0.
        nu_initializer: the same for `nu`. Default: -4.0.
        scalars_trainable: whether `zeta` and `nu` are trained, or keep their initial values.
            Default: `True`.
        **kwargs: as in `keras.layers.GRUCell`: `kernel_regularizer`, `recurrent_regularizer`,
            `bias_regularizer`, `kernel_constraint`, `recurrent_constraint`, `bias_constraint`
            (a matrix's apply to each factor), `dropout`, `recurrent_dropout` (from 0 to below 1;
            0 by default), `seed`, `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: tensor `(batch, features)`.
        states: tensor `(batch, units)`, the previous state, or a list of it.
        training: whether dropout is active.

    Raises:
        ValueError: if `units` or a rank is not a positive integer, a dropout rate is not from 0
            to below 1, or the dtype is not floating-point.

    Example:

    >>> layer = keras.layers.RNN(FastGRNNCell(16), return_sequences=True)
    >>> layer(np.zeros((32, 128, 3))).shape
    TensorShape([32, 128, 16])
    """

    bias_rows = (2,)
    residuals = 3

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer=NORMAL,
        recurrent_initializer=NORMAL,
        bias_initializer="ones",
        *,
        kernel_rank=None,
        recurrent_rank=None,
        zeta_initializer=1.0,
        nu_initializer=-4.0,
        scalars_trainable=True,
        **kwargs,
    ):
        super().__init__(
            units,
            activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_rank=kernel_rank,
            recurrent_rank=recurrent_rank,
            scalar_initializers={"zeta": zeta_initializer, "nu": nu_initializer},
            scalars_trainable=scalars_trainable,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)

    # Added to all inputs before the loop, to save an addition at each step.
    def input_bias(self):
        return self.bias_or_zeros()[0]

    def coefficients(self):
        gate_bias, bias = tf.unstack(self.bias_or_zeros())
        return bias - gate_bias, tf.sigmoid(self.zeta), tf.sigmoid(self.nu)

    def update(self, a, state, bias, zeta, nu):
        z = self.recurrent_activation(a)
        c = self.activation(a + bias)
        share = zeta * (1 - z) + nu
        return share * c + z * state, (z, c, share)

    def slopes(self, state, z, c, share, bias, zeta, nu):
        of_bias = GRADIENTS[self.activation](c, share)
        of_gate = GRADIENTS[self.recurrent_activation](z, state - zeta * c)
        return of_bias + of_gate, z, of_bias, (1 - z) * c, c

    def get_config(self):
        activation = keras.activations.serialize(self.recurrent_activation)
        return {**super().get_config(), "recurrent_activation": activation}


@register
class FastGRNN(RecurrentLayer):
    """FastGRNN layer: `FastGRNNCell` over a sequence, a drop-in for `keras.layers.GRU`.

    Computes the outputs of `keras.layers.RNN(FastGRNNCell(...))` in less time: one product
    projects the inputs of all time steps.

    Args:
        units, activation, recurrent_activation: as in `FastGRNNCell`.
        return_sequences: whether to return the output of every time step, or of the last one.
            Default: `False`.
        return_state: whether to return the last state after the output. Default: `False`.
        go_backwards: whether to go from the last time step to the first, and to return the
            sequence in that order. Default: `False`.
        stateful: whether a batch starts from the last states of the previous batch. Default:
            `False`.
        unroll: whether to unroll the loop over time. Default: `False`.
        zero_output_for_mask: whether the output of a masked time step is zero instead of the
            output of the step before. Default: `False`.
        **kwargs: the other arguments of `FastGRNNCell`, and `activity_regularizer`, `name`,
            `dtype`, `trainable`.

    Call arguments:
        sequences: tensor `(batch, timesteps, features)`.
        initial_state: list of one tensor `(batch, units)`. Default: zeros, or the kept state.
        mask: boolean tensor `(batch, timesteps)`; `False` leaves the state as it is.
        training: whether dropout is active.

    Returns:
        The output, `(batch, timesteps, units)` or `(batch, units)`; with `return_state`, a tuple
        of output and state, `(batch, units)`.

    Raises:
        ValueError: as `FastGRNNCell`; if the inputs do not have rank 3 or the number of features
            of the first inputs; if `unroll` meets a sequence of unknown length, or `stateful` a
            batch of unknown size.

    Example:

    >>> model = keras.Sequential([FastGRNN(16, recurrent_rank=8), keras.layers.Dense(6)])
    >>> model(np.zeros((32, 128, 3))).shape
    TensorShape([32, 6])
    """

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", **kwargs):
        super().__init__(FastGRNNCell, units, activation, recurrent_activation, **kwargs)
