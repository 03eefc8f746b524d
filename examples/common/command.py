"""What the commands of the examples have in common."""

import sys

import keras
import tensorflow as tf
from absl import app, logging


def start(argv, load, data_dir):
    """What `load(data_dir)` gives, for a command that takes flags alone; ends it with one line if
    there is no data."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    try:
        return load(data_dir)
    except ValueError as error:
        sys.exit(str(error))


class EpochBar(keras.callbacks.Callback):
    """One bar for the whole training; Keras's own draws one an epoch. None where
    `keras.config.disable_interactive_logging()` was called."""

    def on_train_begin(self, logs=None):
        self.bar = keras.utils.Progbar(
            self.params["epochs"],
            verbose=int(keras.config.is_interactive_logging_enabled()),
            stateful_metrics=("accuracy", "loss", "val_accuracy", "val_loss"),
            unit_name="epoch",
        )

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update(epoch + 1, logs.items())
