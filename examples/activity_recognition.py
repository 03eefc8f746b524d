"""Six activities from a phone's accelerometer: from `model.fit` to int8 in TFLite Micro.

    python -m examples.activity_recognition

Trains FastGRNN, sparsifies it, converts it to an int8 .tflite file and runs that in TensorFlow Lite
for Microcontrollers, on people it has never seen. Prints a table beside keras GRU and LSTM of the
same size; writes the .tflite file and a picture.
"""

import keras
import numpy as np
from matplotlib.figure import Figure

from examples.common import activity, classifier, command, data, hapt
from examples.common.training_flags import changes, output_folder
from keras_fastgrnn.interpreters import interpreter

HEADER = "model", "accuracy", "macro-F1", "nonzero\nweights", "weight\nbytes", ".tflite\nbytes"


def row(name, counts, weights, weight_bytes, tflite):
    """A line of the table, from `classifier.confusion()` and the model's arrays of weights."""
    sizes = sum(map(np.count_nonzero, weights)), weight_bytes, len(tflite)
    scores = f"{classifier.accuracy(counts):.2%}", f"{classifier.macro_f1(counts):.4f}"
    return name, *scores, *(f"{size:,}" for size in sizes)


def float_row(name, model, test):
    counts = classifier.confusion(test.y, classifier.predict(model, test.x))
    weights = model.get_weights()
    return row(name, counts, weights, sum(w.nbytes for w in weights), classifier.to_float(model))


def picture(history, counts, path):
    """The three phases of the training, and the confusion matrix of the int8 model."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = len(history["loss"])
    left.plot(np.arange(1, epochs + 1), history["accuracy"], label="17 people for training")
    left.plot(np.arange(1, epochs + 1), history["val_accuracy"], label="4 people for validation")
    for i, phase in enumerate(("I dense", "II sparsifying", "III support frozen")):
        left.axvspan(i * epochs / 3, (i + 1) * epochs / 3, color="C2", alpha=0.05 + 0.1 * i, lw=0)
        left.text(
            (i + 0.5) * epochs / 3, 0.02, phase, ha="center", transform=left.get_xaxis_transform()
        )
    left.set(xlabel="epoch", ylabel="accuracy", xlim=(0, epochs), title="training")
    left.legend(loc="center right")

    right.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(counts):
        right.text(j, i, n, ha="center", va="center", color="w" if 2 * n > counts[i].sum() else "k")
    ticks = range(len(hapt.ACTIVITIES))
    right.set_xticks(ticks, hapt.ACTIVITIES, rotation=30)
    right.set_yticks(ticks, hapt.ACTIVITIES)
    right.set(xlabel="int8 model says", ylabel="person does", title="test, int8 in TFLite Micro")
    figure.savefig(path, dpi=120)


def main():
    train_data, validation, test = data.load(activity.load)
    folder = output_folder()
    models = {}
    for name, layer, sparse in (
        ("FastGRNN", activity.fast_grnn, False),
        ("FastGRNN low-rank", activity.low_rank, False),
        ("FastGRNN low-rank sparse", activity.low_rank, True),
        ("GRU", lambda: keras.layers.GRU(activity.UNITS), False),
        ("LSTM", lambda: keras.layers.LSTM(activity.UNITS), False),
    ):
        print(f"Training {name}")
        models[name], history = activity.train(
            layer, train_data, validation, sparse=sparse, **changes()
        )
        if sparse:
            sparse_model, sparse_history = models[name], history

    print("Converting to int8")
    tflite = classifier.to_int8(sparse_model, train_data)
    (folder / "activity_recognition.tflite").write_bytes(tflite)
    int8_model = interpreter(tflite)
    print(f"Running {len(test.x):,} windows in {int8_model.name}")
    logits = int8_model.predict(test.x)
    counts = classifier.confusion(test.y, logits)

    int8 = row("  the same, int8", counts, *classifier.int8_weights(tflite), tflite)
    rows = [float_row(name, model, test) for name, model in models.items()]
    rows.insert(3, int8)
    command.show(
        f"HAPT, {len(test.x):,} windows of 9 people who took no part in training",
        HEADER,
        rows,
        caption="float .tflite: by TensorFlow's own converter, with the recurrence as a loop",
    )
    agreement = classifier.agreement(logits, classifier.predict(sparse_model, test.x))
    print(f"The int8 model and its float model agree on {agreement:.2%} of the windows.")
    if hasattr(int8_model, "arena_bytes"):
        print(f"Its arena in {int8_model.name} takes {int8_model.arena_bytes:,} bytes.")
    picture(sparse_history, counts, folder / "activity_recognition.png")
    print(f"Written: activity_recognition.tflite and activity_recognition.png in {folder}/")


if __name__ == "__main__":
    command.run(main)
