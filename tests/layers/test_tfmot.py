"""tfmot's own pruning of our layers, from `fit()` to the interpreter. tfmot needs tf_keras."""

import itertools

import numpy as np
import pytest

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.compat import LEGACY, import_tfmot, keras
from keras_fastgrnn.export import convert

if not LEGACY:
    pytest.skip("tfmot prunes tf_keras layers alone", allow_module_level=True)
tfmot = import_tfmot().sparsity.keras

STEPS = 12
X = np.random.default_rng(0).normal(size=(96, 10, 4)).astype(np.float32)
Y = (X[:, :, 0].sum(1) > 0).astype(np.int32)

LAYERS = {
    "RNN(FastGRNNCell)": lambda: keras.layers.RNN(FastGRNNCell(8, recurrent_rank=4)),
    "RNN([FastRNNCell, FastGRNNCell])": lambda: keras.layers.RNN([FastRNNCell(6), FastGRNNCell(8)]),
    "FastRNN": lambda: FastRNN(8, kernel_rank=2, dropout=0.1),
    "FastGRNN": lambda: FastGRNN(8, "relu", recurrent_dropout=0.1),
    "FastGRNN, first": lambda: FastGRNN(8, input_shape=(10, 4)),
}
SCHEDULES = {
    "constant": lambda: tfmot.ConstantSparsity(0.75, begin_step=2, end_step=10, frequency=2),
    "polynomial": lambda: tfmot.PolynomialDecay(0.25, 0.75, begin_step=0, end_step=10, frequency=2),
}


def train(model, **kwargs):
    model.compile("adam", "sparse_categorical_crossentropy", **kwargs)
    model.fit(
        X, Y, batch_size=len(X) // STEPS, epochs=1, verbose=0, callbacks=[tfmot.UpdatePruningStep()]
    )


def sparsities(layer):
    cells = getattr(layer.cell, "cells", [layer.cell])
    return [np.mean(matrix.numpy() == 0) for cell in cells for matrix in cell.matrices().values()]


# A cell of each kind, a layer of each kind, and both schedules.
QUICK = (
    ("RNN([FastRNNCell, FastGRNNCell])", "polynomial"),
    ("FastRNN", "constant"),
    ("FastGRNN, first", "polynomial"),
)
CASES = [
    pytest.param(*case, marks=[] if case in QUICK else pytest.mark.test_all)
    for case in itertools.product(LAYERS, SCHEDULES)
]


@pytest.mark.parametrize("layer, schedule", CASES)
def test_from_fit_to_the_interpreter(layer, schedule, tmp_path):
    keras.utils.set_random_seed(0)
    layer = LAYERS[layer]()
    first = [] if hasattr(layer, "_batch_input_shape") else [keras.Input((10, 4))]
    wrapped = tfmot.prune_low_magnitude(layer, SCHEDULES[schedule]())
    model = keras.Sequential([*first, wrapped, keras.layers.Dense(2, "softmax")])
    before = layer.get_weights()
    train(model)
    assert all((old != new).any() for old, new in zip(before, layer.get_weights(), strict=True))
    predicted = model.predict(X, verbose=0)
    stripped = tfmot.strip_pruning(model)
    assert stripped.layers[0] is layer
    assert set(sparsities(layer)) == {0.75}
    np.testing.assert_array_equal(stripped.predict(X, verbose=0), predicted)

    stripped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), predicted)

    micro = pytest.importorskip("keras_fastgrnn.micro")
    interpreter = micro.Interpreter(convert(loaded, representative_dataset=X))
    # A few steps of int8: one is 1/256 for a probability, and about as much for the state.
    np.testing.assert_allclose(interpreter.predict(X), predicted, rtol=0, atol=0.03)


def test_a_whole_model_is_wrapped():
    x = keras.Input((10, 4))
    y = keras.layers.RNN(FastRNNCell(6), return_sequences=True)(x)
    y = keras.layers.add([y, FastGRNN(6, return_sequences=True)(x)])
    y = keras.layers.Dense(2, "softmax")(FastGRNN(6)(y))
    model = tfmot.prune_low_magnitude(keras.Model(x, y), SCHEDULES["constant"]())
    train(model)
    stripped = tfmot.strip_pruning(model)
    layers = [layer for layer in stripped.layers if isinstance(layer, keras.layers.RNN)]
    assert [set(sparsities(layer)) for layer in layers] == [{0.75}, {0.75}, {0.75}]


@pytest.mark.parametrize("name", ["loop", "mask", "pruning", "state", "training"])
def test_what_the_exporter_refuses(name):
    x = keras.Input((10, 4))
    if name == "mask":
        y = FastGRNN(4)(keras.layers.Masking()(x))
        message = "Layer 'fast_grnn.*gets a mask"
    elif name == "pruning":
        y = tfmot.prune_low_magnitude(FastGRNN(4))(x)
        message = r"Layer 'prune_low_magnitude_fast_grnn.*strip_pruning\(model\)"
    elif name == "state":
        y = FastGRNN(4)(x, initial_state=keras.layers.Dense(4)(x[:, 0]))
        message = "Layer 'fast_grnn.*initial_state"
    elif name == "training":
        y = keras.layers.Dropout(0.5)(FastGRNN(4)(x), training=True)
        message = "Layer 'dropout.*training=True"
    else:
        y = keras.layers.LSTM(4)(FastGRNN(4, return_sequences=True)(x))
        message = "holds a loop"
    with pytest.raises(ValueError, match=message):
        convert(keras.Model(x, y), representative_dataset=X)


def test_export_of_a_graph():
    """An unpruned model with nested models, both directions, Dense heads and two outputs."""
    keras.utils.set_random_seed(0)
    x = keras.Input((10, 4))
    inner = keras.Sequential([keras.Input((10, 4)), FastRNN(4, return_sequences=True)])
    both = keras.layers.Bidirectional(FastGRNN(3, return_sequences=True), merge_mode="concat")
    y = keras.layers.BatchNormalization()(both(inner(x)))
    y = keras.layers.Dropout(0.5)(y) + keras.layers.Dense(6)(x)
    model = keras.Model(
        x, [FastGRNN(5, go_backwards=True)(y), keras.layers.GlobalAveragePooling1D()(y)]
    )
    micro = pytest.importorskip("keras_fastgrnn.micro")
    interpreter = micro.Interpreter(convert(model, representative_dataset=X))
    expected = model.predict(X, verbose=0)
    for actual, desired in zip(interpreter.predict(X), expected, strict=True):
        # A few steps of int8, each 1/256 of the range, after five layers.
        np.testing.assert_allclose(actual, desired, rtol=0, atol=0.03 * np.ptp(desired))
