"""The training that all models share: Adam with a warm-up, in the paper's phases if weights go."""

import math

import keras
import numpy as np

from keras_fastgrnn.pruning import three_phases

GLOROT = {"kernel_initializer": "glorot_uniform", "recurrent_initializer": "glorot_uniform"}


def fit(
    model,
    x,
    y=None,
    *,
    loss,
    epochs,
    learning_rate,
    batch_size=None,
    sparsity=0.0,
    run_eagerly=False,
    validation_data=None,
    **arguments,
):
    """Compiles a model and trains it, with one progress bar for all epochs.

    Args:
        model: Keras model.
        x, y: arrays; or a `PyDataset` as `x`, and no `batch_size`.
        loss: of `compile()`.
        epochs, batch_size: integers.
        learning_rate: float, the highest one.
        sparsity: float, the fraction of the recurrent layers' weights to prune, in the paper's
            three phases.
        run_eagerly: boolean. Compiling a graph takes seconds, more than a few steps take eagerly.
        validation_data: of `fit()`.
        **arguments: of `compile()`.

    Returns:
        dict from the name of a metric to a list of its values, one an epoch.
    """
    steps = epochs * (math.ceil(len(x) / batch_size) if batch_size else len(x))
    model.compile(
        adam(learning_rate, steps),
        loss,
        run_eagerly=run_eagerly,
        jit_compile=not run_eagerly,
        **arguments,
    )
    prune = [three_phases(sparsity, sparsity, steps)] if sparsity else []
    return model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation_data,
        callbacks=[progress(epochs), *prune],
        verbose=0,
    ).history


class Batches(keras.utils.PyDataset):
    """Shuffled batches of equal size. A subclass gives those of some examples: `batch(indices)`.

    Args:
        count: integer, the number of examples.
        batch_size: integer.
        seed: integer, of `rng`, which orders the examples and may vary them.
    """

    def __init__(self, count, batch_size, seed):
        super().__init__()
        self._count, self._batch_size = count, batch_size
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self._order) // self._batch_size

    def __getitem__(self, index):
        return self.batch(self._order[index * self._batch_size :][: self._batch_size])

    def on_epoch_end(self):
        self._order = self.rng.permutation(self.epoch())

    def epoch(self):
        """The indices of the examples of an epoch; all by default."""
        return np.arange(self._count)


def adam(learning_rate, steps):
    """Adam whose rate rises to `learning_rate` in a tenth of the steps, then falls as a cosine."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=learning_rate, warmup_steps=steps // 10
    )
    return keras.optimizers.Adam(schedule, global_clipnorm=1.0)


def progress(epochs):
    """A callback that draws one bar for the training; Keras draws one for each epoch. It draws none
    after `keras.config.disable_interactive_logging()`."""
    bar = keras.utils.Progbar(
        epochs,
        verbose=int(keras.config.is_interactive_logging_enabled()),
        stateful_metrics=("accuracy", "loss", "val_accuracy", "val_loss"),
        unit_name="epoch",
    )
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: bar.update(epoch + 1, logs.items())
    )
