"""Models in which a recurrent layer stands in every place that convert() supports."""

import keras
import numpy as np
from keras import layers

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell

TIMESTEPS, FEATURES = 12, 3


def _sequence(*hidden, **input):
    return keras.Sequential([layers.Input((TIMESTEPS, FEATURES), **input), *hidden])


def _functional(build):
    x = layers.Input((TIMESTEPS, FEATURES))
    return keras.Model(x, build(x))


def last_state():
    return _sequence(FastGRNN(8))


def sequences():
    return _sequence(FastGRNN(8, return_sequences=True))


def head():
    return _sequence(FastGRNN(8), layers.Dense(5, activation="softmax"))


def low_rank():
    return _sequence(FastGRNN(8, kernel_rank=2, recurrent_rank=4), layers.Dense(5))


def fast_rnn():
    return _sequence(FastRNN(8, kernel_rank=2), layers.Dense(5))


def stacked():
    return _sequence(FastGRNN(8, return_sequences=True), FastRNN(6), layers.Dense(5))


def stacked_with_dropout():
    return _sequence(
        FastGRNN(8, return_sequences=True, dropout=0.5),
        layers.Dropout(0.5),
        FastGRNN(6, recurrent_dropout=0.5),
    )


def go_backwards():
    return _sequence(FastGRNN(8, go_backwards=True), layers.Dense(5))


def go_backwards_sequences():
    return _sequence(FastGRNN(8, go_backwards=True, return_sequences=True))


def bidirectional_last():
    return _sequence(layers.Bidirectional(FastGRNN(8)), layers.Dense(5))


def bidirectional_concat():
    return _sequence(layers.Bidirectional(FastGRNN(8, return_sequences=True)))


def bidirectional_sum():
    return _sequence(layers.Bidirectional(FastGRNN(8, return_sequences=True), merge_mode="sum"))


def bidirectional_mul():
    return _sequence(layers.Bidirectional(FastRNN(8, return_sequences=True), merge_mode="mul"))


def bidirectional_ave():
    return _sequence(layers.Bidirectional(FastGRNN(8, return_sequences=True), merge_mode="ave"))


def bidirectional_two_outputs():
    return _functional(
        lambda x: layers.Bidirectional(FastGRNN(8, return_sequences=True), merge_mode=None)(x)
    )


def bidirectional_two_layers():
    return _sequence(
        layers.Bidirectional(
            FastGRNN(8, return_sequences=True),
            backward_layer=FastRNN(4, return_sequences=True, go_backwards=True),
        )
    )


def after_conv():
    return _sequence(layers.Conv1D(6, 3, activation="relu"), FastGRNN(8), layers.Dense(5))


def after_pooling():
    return _sequence(
        layers.Conv1D(6, 3, padding="same"), layers.MaxPooling1D(2), FastGRNN(8), layers.Dense(5)
    )


def after_dense():
    return _sequence(layers.Dense(6, activation="relu"), FastGRNN(8), layers.Dense(5))


def after_normalization():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(1, 2, (50, TIMESTEPS, FEATURES)))
    return _sequence(normalization, FastGRNN(8), layers.Dense(5))


def batch_normalization():
    return _sequence(FastGRNN(8, return_sequences=True), layers.BatchNormalization(), FastGRNN(6))


def dense_on_each_step():
    return _sequence(FastGRNN(8, return_sequences=True), layers.Dense(5, activation="sigmoid"))


def pooled_sequence():
    return _sequence(
        FastGRNN(8, return_sequences=True), layers.GlobalAveragePooling1D(), layers.Dense(5)
    )


def flattened_sequence():
    return _sequence(FastGRNN(4, return_sequences=True), layers.Flatten(), layers.Dense(5))


def parallel_branches():
    return _functional(
        lambda x: layers.Dense(5)(
            layers.Concatenate()([FastGRNN(8)(x), FastRNN(4)(layers.Dense(4)(x))])
        )
    )


def two_outputs():
    def build(x):
        y = FastGRNN(8, return_sequences=True)(x)
        return [layers.Dense(5, activation="softmax")(FastGRNN(6)(y)), y]

    return _functional(build)


def two_inputs():
    x = [layers.Input((TIMESTEPS, FEATURES)), layers.Input((4,))]
    return keras.Model(x, layers.Dense(5)(layers.Concatenate()([FastGRNN(8)(x[0]), x[1]])))


def shared_layer():
    x = [layers.Input((TIMESTEPS, FEATURES)) for _ in range(2)]
    shared = FastGRNN(8)
    return keras.Model(x, layers.Subtract()([shared(x[0]), shared(x[1])]))


def residual():
    def build(x):
        x = layers.Dense(8)(x)
        return FastGRNN(6)(layers.Add()([x, FastGRNN(8, return_sequences=True)(x)]))

    return _functional(build)


def nested_model():
    inner = _functional(lambda x: FastGRNN(8, return_sequences=True)(layers.Dense(4)(x)))
    return _functional(lambda x: layers.Dense(5)(FastGRNN(6)(inner(x))))


def nested_sequential():
    return _sequence(_sequence(layers.Dense(4), FastGRNN(8)), layers.Dense(5))


def rnn_of_cell():
    return _sequence(
        layers.RNN(FastGRNNCell(8, recurrent_rank=3), return_sequences=True),
        layers.RNN(FastRNNCell(6)),
    )


def rnn_of_cells():
    return _sequence(layers.RNN([FastGRNNCell(8), FastRNNCell(6)]), layers.Dense(5))


def bidirectional_rnn_of_cell():
    return _sequence(layers.Bidirectional(layers.RNN(FastGRNNCell(8))), layers.Dense(5))


def two_dimensional_front():
    return keras.Sequential(
        [
            layers.Input((TIMESTEPS, 8, 1)),
            layers.Conv2D(4, 3, strides=(1, 2), padding="same", activation="relu"),
            layers.Reshape((TIMESTEPS, 16)),
            FastGRNN(8),
            layers.Dense(5, activation="softmax"),
        ]
    )


def any_timesteps():
    return keras.Sequential([layers.Input((None, FEATURES)), FastGRNN(8), layers.Dense(5)])


def operators_between():
    return _functional(lambda x: FastGRNN(8)(x * 2.0 - 1.0) + 1.0)


def _activations(activation, recurrent_activation):
    def build():
        return _sequence(
            FastGRNN(8, activation=activation, recurrent_activation=recurrent_activation)
        )

    build.__name__ = f"{activation}_and_{recurrent_activation}"
    return build


TOPOLOGIES = [
    last_state, sequences, head, low_rank, fast_rnn, stacked, stacked_with_dropout, go_backwards,
    go_backwards_sequences, bidirectional_last, bidirectional_concat, bidirectional_sum,
    bidirectional_mul, bidirectional_ave, bidirectional_two_outputs, bidirectional_two_layers,
    after_conv, after_pooling, after_dense, after_normalization, batch_normalization,
    dense_on_each_step, pooled_sequence, flattened_sequence, parallel_branches, two_outputs,
    two_inputs, shared_layer, residual, nested_model, nested_sequential, rnn_of_cell, rnn_of_cells,
    bidirectional_rnn_of_cell, two_dimensional_front, any_timesteps, operators_between,
    _activations("relu", "quant_sigmoid"), _activations("quant_tanh", "sigmoid"),
]  # fmt: skip


def randomize(model, seed=0):
    """Gives a model weights of a trained model's size; the initial ones are too small."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if len(weight.shape) >= 2:
            weight.assign(rng.normal(0, 0.8 / np.sqrt(weight.shape[-2]), weight.shape))
    return model


def samples(model, n, seed=0):
    """Random walks: a list of arrays, one for each input of the model."""
    rng = np.random.default_rng(seed)
    arrays = []
    for x in model.inputs:
        shape = (n, *(TIMESTEPS if size is None else size for size in x.shape[1:]))
        walk = np.cumsum(rng.normal(0, 0.3, shape), axis=1)
        arrays.append((walk + rng.normal(0, 0.5, shape)).astype(np.float32))
    return arrays
