"""The model of examples/activity_recognition.py and its training, on HAPT."""

from examples.common import classifier, hapt
from examples.common.training import GLOROT
from keras_fastgrnn import FastGRNN

UNITS = 16
# Chosen with 18 sparse models for each setting: docs/decisions.md, "How the example trains".
NU = -2.0
TRAINING = {"epochs": 45, "batch_size": 100, "learning_rate": 2e-2, "label_smoothing": 0.1}


def fast_grnn(kernel_rank=None, recurrent_rank=None):
    return FastGRNN(
        UNITS,
        kernel_rank=kernel_rank,
        recurrent_rank=recurrent_rank,
        nu_initializer=NU,
        **GLOROT,
    )


def low_rank():
    return fast_grnn(kernel_rank=2, recurrent_rank=8)


def load(data_dir=None, sensors=hapt.SENSORS[:1], fold=0):
    """The `Split` of HAPT; arguments of `hapt.load()` and `hapt.sides()`."""
    x, y, users = hapt.load(data_dir, sensors=sensors)
    return classifier.Split(*(classifier.Data(x[who], y[who]) for who in hapt.sides(users, fold)))


def train(layer, train, validation, *, sparse=False, **changes):
    """`classifier.train()` with `TRAINING` and changes to it; a sparse model keeps half of its
    weights."""
    training = TRAINING | changes
    return classifier.train(layer, train, validation, sparsity=0.5 if sparse else 0.0, **training)
