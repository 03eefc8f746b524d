"""FastRNN: a cell and a layer."""

import tensorflow as tf

from keras_fastgrnn.activations import GRADIENTS
from keras_fastgrnn.recurrent import NORMAL, RecurrentCell, RecurrentLayer, register


@register
class FastRNNCell(RecurrentCell):
    """One step of a FastRNN: a simple RNN with a weighted residual connection.

    From [FastGRNN](https://arxiv.org/abs/1901.02358), equation 2:

        c  = activation(matmul(x, kernel) + matmul(h, recurrent_kernel) + bias)
        h' = sigmoid(alpha) * c + sigmoid(beta) * h

    The defaults are EdgeML's, the authors' library.

    Args:
        units: positive integer, size of the state and of the output.
        activation: nonlinearity of the candidate `c`: a name or function of `keras.activations`,
            or `"quant_tanh"` or `"quant_sigmoid"`. Default: `"tanh"`. `None` is the identity.
        use_bias: whether the cell has a bias. Default: `True`.
        kernel_initializer: initializer of `kernel`, or of each of its factors. Default: normal
            with standard deviation 0.1.
        recurrent_initializer: the same for `recurrent_kernel`.
        bias_initializer: Default: `"ones"`.
        kernel_rank: positive integer, rank of `kernel`, which is then the product of `kernel_a`
            `(features, kernel_rank)` and `kernel_b` `(kernel_rank, units)`. Default: `None`, one
            matrix `(features, units)`.
        recurrent_rank: the same for `recurrent_kernel`, `(units, units)`.
        alpha_initializer: number or initializer of the scalar `alpha`, before its sigmoid.
            Default: -3.0.
        beta_initializer: the same for `beta`. Default: 3.0.
        scalars_trainable: whether `alpha` and `beta` are trained, or keep their initial values.
            Default: `True`.
        **kwargs: as in `keras.layers.SimpleRNNCell`: `kernel_regularizer`,
            `recurrent_regularizer`, `bias_regularizer`, `kernel_constraint`,
            `recurrent_constraint`, `bias_constraint` (a matrix's apply to each factor), `dropout`,
            `recurrent_dropout` (from 0 to below 1; 0 by default), `seed`, `name`, `dtype`,
            `trainable`.

    Call arguments:
        inputs: tensor `(batch, features)`.
        states: tensor `(batch, units)`, the previous state, or a list of it.
        training: whether dropout is active.

    Raises:
        ValueError: if `units` or a rank is not a positive integer, a dropout rate is not from 0
            to below 1, or the dtype is not floating-point.

    Example:

    >>> layer = keras.layers.RNN(FastRNNCell(16), return_sequences=True)
    >>> layer(np.zeros((32, 128, 3))).shape
    TensorShape([32, 128, 16])
    """

    residuals = 1

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer=NORMAL,
        recurrent_initializer=NORMAL,
        bias_initializer="ones",
        *,
        kernel_rank=None,
        recurrent_rank=None,
        alpha_initializer=-3.0,
        beta_initializer=3.0,
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
            scalar_initializers={"alpha": alpha_initializer, "beta": beta_initializer},
            scalars_trainable=scalars_trainable,
            **kwargs,
        )

    def input_bias(self):
        return self.bias_or_zeros()

    def coefficients(self):
        return tf.sigmoid(self.alpha), tf.sigmoid(self.beta)

    def update(self, a, state, alpha, beta):
        c = self.activation(a)
        return alpha * c + beta * state, (c,)

    def slopes(self, state, c, alpha, beta):
        alpha, beta = (tf.broadcast_to(v, tf.shape(state)) for v in (alpha, beta))
        return GRADIENTS[self.activation](c, alpha), beta, c, state


@register
class FastRNN(RecurrentLayer):
    """FastRNN layer: `FastRNNCell` over a sequence, a drop-in for `keras.layers.SimpleRNN`.

    Computes the outputs of `keras.layers.RNN(FastRNNCell(...))` in less time: one product projects
    the inputs of all time steps.

    Args:
        units, activation: as in `FastRNNCell`.
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
        **kwargs: the other arguments of `FastRNNCell`, and `activity_regularizer`, `name`,
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
        ValueError: as `FastRNNCell`; if the inputs do not have rank 3 or the number of features of
            the first inputs; if `unroll` meets a sequence of unknown length, or `stateful` a batch
            of unknown size.

    Example:

    >>> model = keras.Sequential([FastRNN(16, recurrent_rank=8), keras.layers.Dense(6)])
    >>> model(np.zeros((32, 128, 3))).shape
    TensorShape([32, 6])
    """

    def __init__(self, units, activation="tanh", **kwargs):
        super().__init__(FastRNNCell, units, activation, **kwargs)
