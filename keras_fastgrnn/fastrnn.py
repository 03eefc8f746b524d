"""FastRNN: a recurrent layer with a weighted residual connection."""

import keras
import tensorflow as tf

from keras_fastgrnn.low_rank_rnn import LowRankRNN, LowRankRNNCell, scalar_initializer


@keras.saving.register_keras_serializable(package="keras_fastgrnn")
class FastRNNCell(LowRankRNNCell):
    """Cell class for the `FastRNN` layer; drops into `keras.layers.RNN`.

    With the input `x` and the state `h` of one time step
    ([FastGRNN](https://arxiv.org/abs/1901.02358), equation 2):

        c  = activation(W x + U h + bias)
        h' = sigmoid(alpha) * c + sigmoid(beta) * h

    Args:
        alpha_initializer, beta_initializer: Initializers of the two scalars, before their sigmoid.
            Default: -3.0 and 3.0, as EdgeML's.
        units, activation, kernel_rank, recurrent_rank, **kwargs: As in `FastGRNNCell`; the bias is
            `(units,)`.

    Raises:
        ValueError: if `units` or a rank is not positive.
    """

    def __init__(self, units, alpha_initializer=-3.0, beta_initializer=3.0, **kwargs):
        super().__init__(units, **kwargs)
        self.alpha_initializer = scalar_initializer(alpha_initializer)
        self.beta_initializer = scalar_initializer(beta_initializer)

    def build(self, input_shape):
        self._build(input_shape, bias_shape=(self.units,))
        self._add_scalar("alpha", self.alpha_initializer)
        self._add_scalar("beta", self.beta_initializer)

    def recurrence(self, training):
        alpha, beta = tf.sigmoid(self.alpha), tf.sigmoid(self.beta)

        def step(projection, h):
            p = projection + self.project_state(self.drop_state(h, training))
            c = self.activation(p if self.bias is None else p + self.bias)
            return alpha * c + beta * h

        return step

    def get_config(self):
        return {
            **super().get_config(),
            "alpha_initializer": keras.initializers.serialize(self.alpha_initializer),
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_fastgrnn")
class FastRNN(LowRankRNN):
    """FastRNN layer: `keras.layers.RNN(FastRNNCell(units, ...))`, faster.

    Args: as `FastGRNN`, with the arguments of `FastRNNCell`.
    """

    cell_class = FastRNNCell
