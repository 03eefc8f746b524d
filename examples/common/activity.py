"""The model of examples/activity_recognition.py and its training, on HAPT."""

from examples.common import classifier, hapt
from keras_fastgrnn import FastGRNN

UNITS = 16
BATCH_SIZE = 100
EPOCHS = 45
# Chosen among 18 sparse models a setting: docs/decisions.md, "How the example trains".
LEARNING_RATE = 2e-2
NU = -2.0
# Keeps logits small enough for the steps of one int8 to tell the two largest apart: the same entry.
LABEL_SMOOTHING = 0.1


def fast_grnn(kernel_rank=None, recurrent_rank=None):
    return FastGRNN(
        UNITS,
        kernel_rank=kernel_rank,
        recurrent_rank=recurrent_rank,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="glorot_uniform",
        nu_initializer=NU,
    )


def low_rank():
    return fast_grnn(kernel_rank=2, recurrent_rank=8)


def load(data_dir=None):
    """Returns `(train, validation, test)`: no person is in two of them."""
    x, y, users = hapt.load(data_dir)
    return [classifier.Data(x[who], y[who]) for who in hapt.sides(users)]


def train(layer, train, validation, *, seed, epochs=EPOCHS, sparse=False):
    """`classifier.train()`; a sparse model has half of its weights."""
    return classifier.train(
        layer,
        train,
        validation,
        seed=seed,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        label_smoothing=LABEL_SMOOTHING,
        sparsity=0.5 if sparse else 0.0,
    )
