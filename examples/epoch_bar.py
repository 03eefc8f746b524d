"""Progress of a training."""

import keras


class EpochBar(keras.callbacks.Callback):
    """One bar for the whole training; Keras's own draws one an epoch."""

    def on_train_begin(self, logs=None):
        self.bar = keras.utils.Progbar(
            self.params["epochs"],
            stateful_metrics=("accuracy", "loss", "val_accuracy", "val_loss"),
            unit_name="epoch",
        )

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update(epoch + 1, logs.items())
