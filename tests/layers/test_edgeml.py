"""Folders as EdgeML's trainers write them, against EdgeML's equations in NumPy."""

import numpy as np
import pytest

from keras_fastgrnn import FastGRNN, FastRNN, edgeml
from keras_fastgrnn.compat import keras

BATCH, TIMESTEPS, FEATURES, UNITS, CLASSES = 4, 9, 3, 5, 2
RANKS = {
    "full": (None, None),
    "low": (2, 4),
    "W": (2, None),
    "U": (None, 4),
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def quant_sigm(x):
    return np.clip((x + 1) / 2, 0, 1)


def quant_tanh(x):
    return np.clip(x, -1, 1)


def model_arrays(cell, w_rank=None, u_rank=None, features=FEATURES):
    """Random arrays by file name, as FastTrainer.saveParams() writes them."""
    shapes = {"FC": (UNITS, CLASSES), "FCbias": (CLASSES,)}
    for name, inputs, rank in (("W", features, w_rank), ("U", UNITS, u_rank)):
        if rank is None:
            shapes[name] = (inputs, UNITS)
        else:
            shapes |= {f"{name}1": (inputs, rank), f"{name}2": (rank, UNITS)}
    if cell == "FastGRNN":
        shapes |= {"Bg": (1, UNITS), "Bh": (1, UNITS), "zeta": (1, 1), "nu": (1, 1)}
    else:
        shapes |= {"B": (1, UNITS), "alpha": (1, 1), "beta": (1, 1)}
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def save(folder, arrays):
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def transposed(arrays):
    """The same model with its matrices transposed, as in FastGRNNCUDACell."""
    return {name: a.T if name[0] in "WU" else a for name, a in arrays.items()}


def edgeml_logits(x, p, gate=sigmoid, update=np.tanh):
    """`FastGRNNCell.call` and `FastRNNCell.call`, then `FastTrainer.classifier`, in float64."""
    p = {name: a.astype(np.float64) for name, a in p.items()}
    W = p["W"] if "W" in p else p["W1"] @ p["W2"]
    U = p["U"] if "U" in p else p["U1"] @ p["U2"]
    state = np.zeros((len(x), UNITS))
    for t in range(x.shape[1]):
        pre_comp = x[:, t] @ W + state @ U
        if "zeta" in p:
            z = gate(pre_comp + p["Bg"])
            c = update(pre_comp + p["Bh"])
            state = z * state + (sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])) * c
        else:
            c = update(pre_comp + p["B"])
            state = sigmoid(p["beta"]) * state + sigmoid(p["alpha"]) * c
    return state @ p["FC"] + p["FCbias"]


def inputs():
    return np.random.default_rng(1).normal(size=(BATCH, TIMESTEPS, FEATURES)).astype(np.float32)


# float32 against float64: rounding by 6e-8 in sums of a few terms below 10, over nine steps.
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.mark.one_keras
@pytest.mark.parametrize("layout", ["(inputs, outputs)", "(outputs, inputs)"])
@pytest.mark.parametrize("ranks", RANKS.values(), ids=RANKS)
@pytest.mark.parametrize("cell", ["FastRNN", "FastGRNN"])
def test_computes_what_edgeml_does(tmp_path, cell, ranks, layout):
    arrays, x = model_arrays(cell, *ranks), inputs()
    cuda = layout == "(outputs, inputs)"
    folder = save(tmp_path, transposed(arrays) if cuda else arrays)
    # EdgeML's examples write these beside the model.
    save(folder, {"mean": np.zeros(TIMESTEPS * FEATURES), "std": np.ones(TIMESTEPS * FEATURES)})
    (folder / "command.txt").write_text("python fastcell_example.py")
    model = edgeml.load(folder, transposed=cuda)
    assert isinstance(model.layers[0], {"FastRNN": FastRNN, "FastGRNN": FastGRNN}[cell])
    cell = model.layers[0].cell
    assert (cell.units, cell.kernel_rank, cell.recurrent_rank) == (UNITS, *ranks)
    assert model.input_shape == (None, None, FEATURES)
    np.testing.assert_allclose(model(x), edgeml_logits(x, arrays), **TOLERANCE)


def test_nonlinearities_are_arguments(tmp_path):
    arrays, x = model_arrays("FastGRNN"), inputs()
    model = edgeml.load(
        str(save(tmp_path, arrays)), activation="quant_tanh", recurrent_activation="quant_sigmoid"
    )
    expected = edgeml_logits(x, arrays, gate=quant_sigm, update=quant_tanh)
    np.testing.assert_allclose(model(x), expected, **TOLERANCE)
    assert np.abs(expected - edgeml_logits(x, arrays)).max() > 0.01


def test_arguments_go_to_the_layer(tmp_path):
    model = edgeml.load(save(tmp_path, model_arrays("FastRNN")), return_sequences=True, name="rnn")
    assert model.layers[0].name == "rnn"
    assert model(inputs()).shape == (BATCH, TIMESTEPS, CLASSES)


def test_without_a_classifier(tmp_path):
    arrays = model_arrays("FastGRNN")
    del arrays["FC"], arrays["FCbias"]
    model = edgeml.load(save(tmp_path, arrays))
    assert [type(layer) for layer in model.layers] == [FastGRNN]


def test_the_model_trains_and_is_saved(tmp_path):
    model, x = edgeml.load(save(tmp_path / "f", model_arrays("FastGRNN", 2, 4))), inputs()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    before = model.predict(x, verbose=0)
    model.fit(x, np.arange(BATCH) % CLASSES, verbose=0)
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), after)


def refuses(folder, message, error=ValueError, **arguments):
    with pytest.raises(error, match=message):
        edgeml.load(folder, **arguments)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("W", (FEATURES, 6), r"W\.npy has shape \(3, 6\); expected \(features, 5\)"),
        ("W", (UNITS, FEATURES), r"\(5, 3\); expected \(features, 5\) with transposed=False"),
        ("U", (UNITS, 6), r"U\.npy has shape \(5, 6\); expected \(5, 5\)"),
        ("Bg", (UNITS,), r"Bg\.npy has shape \(5,\); expected \(1, units\)\."),
        ("Bh", (1, 4), r"Bh\.npy has shape \(1, 4\); expected \(1, 5\)\."),
        ("zeta", (), r"zeta\.npy has shape \(\); expected \(1, 1\)\."),
        ("FC", (4, CLASSES), r"FC\.npy has shape \(4, 2\); expected \(5, classes\)\."),
        ("FCbias", (3,), r"FCbias\.npy has shape \(3,\); expected \(2\)\."),
    ],
)
def test_names_the_file_of_the_wrong_shape(tmp_path, name, shape, expected):
    arrays = model_arrays("FastGRNN") | {name: np.zeros(shape, np.float32)}
    refuses(save(tmp_path, arrays), expected)


def test_names_the_factor_of_the_wrong_shape(tmp_path):
    arrays = model_arrays("FastGRNN", 2, 4) | {"W2": np.zeros((3, UNITS), np.float32)}
    refuses(save(tmp_path, arrays), r"W2\.npy has shape \(3, 5\); expected \(2, 5\)")


def test_names_transposed_where_the_matrices_do_not_fit(tmp_path):
    save(tmp_path / "cuda", transposed(model_arrays("FastGRNN", 2, 4)))
    refuses(tmp_path / "cuda", r"W2\.npy .* expected \(3, 5\) with transposed=False")
    save(tmp_path / "other", model_arrays("FastGRNN", 2, 4))
    refuses(tmp_path / "other", r"W2\.npy .* with transposed=True", transposed=True)


def test_refuses_other_cells(tmp_path):
    arrays = model_arrays("FastGRNN")
    gru = {name: arrays[name] for name in ("Bg", "Bh", "FC", "FCbias")} | {"W1": arrays["W"]}
    refuses(save(tmp_path / "gru", gru), r"arrays \['Bg', 'Bh', .* expected Bg, Bh, zeta and nu")
    # The files that saveParams() writes for FastGRNNCUDACell.
    cuda = {name: arrays[name] for name in ("W", "U", "FC", "FCbias")}
    refuses(save(tmp_path / "cuda", cuda), "For FastGRNNCUDACell, save bias_gate")
    refuses(save(tmp_path / "empty", {}), r"arrays \[\]")


def test_refuses_a_quantised_folder(tmp_path):
    # As quantizeFastModels.py writes it.
    folder = save(tmp_path / "f", model_arrays("FastGRNN")) / "QuantizedModel"
    save(folder, {"paramScaleFactor": np.int32(40), "qW": np.zeros((3, 5), np.int8)})
    refuses(folder, r"quantised.*\(.*/f\).*export\.convert")
    edgeml.load(tmp_path / "f")


def test_refuses_files_of_two_models(tmp_path):
    arrays = model_arrays("FastGRNN") | model_arrays("FastGRNN", 2, 4)
    refuses(save(tmp_path, arrays), r"W\.npy and also its factors")


def test_names_the_file_that_is_missing(tmp_path):
    folder = save(tmp_path / "f", model_arrays("FastGRNN"))
    (folder / "U.npy").unlink()
    refuses(folder, r"U1\.npy", FileNotFoundError)
    refuses(tmp_path / "none", "none", FileNotFoundError)


def test_names_the_file_that_is_damaged(tmp_path):
    folder = save(tmp_path, model_arrays("FastGRNN"))
    data = (folder / "U.npy").read_bytes()
    for damaged in (b"", data[:4], data[:-1], b"PK\x03\x04" + data):
        (folder / "U.npy").write_bytes(damaged)
        refuses(folder, r"U\.npy is damaged")


def test_unpickles_nothing(tmp_path):
    folder = save(tmp_path, model_arrays("FastGRNN"))
    np.save(folder / "U.npy", np.array([[print]], object), allow_pickle=True)
    refuses(folder, r"U\.npy.*allow_pickle=False")


def test_refuses_integers(tmp_path):
    arrays = model_arrays("FastGRNN") | {"U": np.zeros((UNITS, UNITS), np.int8)}
    refuses(save(tmp_path, arrays), r"U\.npy has dtype int8; expected floats")
