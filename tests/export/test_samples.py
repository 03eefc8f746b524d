"""Each form of representative samples becomes the arrays of the inputs, or is refused by name."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert, quantization_aware
from keras_fastgrnn.export.samples import representative_arrays
from keras_fastgrnn.micro import Interpreter

rng = np.random.default_rng(0)
GYRO = rng.normal(0, 30, (6, 5, 3)).astype(np.float32)
ACC = rng.normal(0, 1, (6, 5, 3)).astype(np.float32)
SITE = rng.normal(0, 1, (6, 4)).astype(np.float32)
LABELS = np.arange(6)

ONE = [keras.Input((5, 3), name="gyro")]
TWO = [*ONE, keras.Input((5, 3), name="acc")]  # not in alphabetical order
SITES = [*ONE, keras.Input((4,), name="site")]
WORDS = [keras.Input((5,), name="words", dtype="int32")]


class Batches(keras.utils.PyDataset):
    """Batches of two samples with labels, as `fit()` takes them."""

    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 3

    def __getitem__(self, i):
        part = slice(2 * i, 2 * i + 2)
        return {name: x[part] for name, x in self.arrays.items()}, LABELS[part]


def slices(x, *labels):
    return tf.data.Dataset.from_tensor_slices((x, *labels) if labels else x)


BY_NAME = {"acc": ACC, "gyro": GYRO}

OF_ONE_INPUT = {
    "array": GYRO,
    "tensor": tf.constant(GYRO),
    "dict": {"gyro": GYRO},
    "list of one": [GYRO],
    "float64": GYRO.astype(np.float64),
    "numbers": GYRO.tolist(),
    "batches": [GYRO[:4], GYRO[4:]],
    "tuple of batches of different sizes": (GYRO[:4], GYRO[4:]),
    "lists of one": [[GYRO[:4]], [GYRO[4:]]],
    "windows": list(GYRO),
    "lists of windows": [list(GYRO[:2]), list(GYRO[2:])],
    "generator of windows": (x for x in GYRO),
    "iterator": iter([GYRO[:4], GYRO[4:]]),
    "function": lambda: ([x[np.newaxis]] for x in GYRO),  # as tf.lite.TFLiteConverter takes it
    "function of an array": lambda: GYRO,
    "tf.data": slices(GYRO).batch(4),
    "tf.data of windows": slices(GYRO),
    "x, y": (GYRO, LABELS),
    "x, y, weights": (GYRO, LABELS, np.ones(6)),
    "x, y in a list": [GYRO, LABELS],
    "windows, labels": (list(GYRO), list(LABELS)),
    "x, one-hot": (GYRO, np.eye(6)),
    "x, several outputs": (GYRO, {"a": LABELS, "b": np.eye(6)}),
    "batches of x, y": [(GYRO[:4], LABELS[:4]), (GYRO[4:], LABELS[4:])],
    "lists x, y": ([GYRO[i : i + 2], LABELS[i : i + 2]] for i in (0, 2, 4)),  # PyTorch's
    "tf.data of x, y": slices(GYRO, LABELS).batch(4),
    "tf.data of windows with labels": slices(GYRO, LABELS),
    "autoencoder": slices(GYRO, GYRO).batch(4),
    "tf.data by name": slices({"gyro": GYRO}, LABELS).batch(4),
    "PyDataset": Batches({"gyro": GYRO}),
}

OF_TWO_INPUTS = {
    "dict": BY_NAME,
    "list": [GYRO, ACC],
    "tuple": (GYRO, ACC),
    "dict of windows": {name: list(x) for name, x in BY_NAME.items()},
    "dict, labels": (BY_NAME, LABELS),
    "list, labels": ([GYRO, ACC], LABELS),
    "list of a batch": [[GYRO, ACC]],
    "list of dicts": [{name: x[part] for name, x in BY_NAME.items()} for part in
                      (slice(0, 4), slice(4, 6))],
    "generator of dicts": ({"acc": a, "gyro": g} for g, a in zip(GYRO, ACC, strict=True)),
    "function of dicts": lambda: (
        {"acc": ACC[i : i + 1], "gyro": GYRO[i : i + 1]} for i in range(6)
    ),
    "generator of lists": ([GYRO[i : i + 1], ACC[i : i + 1]] for i in range(6)),
    "tf.data": slices(BY_NAME).batch(4),
    "tf.data with labels": slices(BY_NAME, LABELS).batch(4),
    "tf.data in order": slices((GYRO, ACC)).batch(4),
    "tf.data in order with labels": slices((GYRO, ACC), LABELS).batch(4),
    "PyDataset": Batches(BY_NAME),
}  # fmt: skip


def assert_read(inputs, dataset, expected):
    columns = representative_arrays(inputs, dataset)
    for column, x in zip(columns, expected, strict=True):
        array = np.concatenate(column)
        assert array.dtype == x.dtype
        np.testing.assert_array_equal(array, x)


@pytest.mark.parametrize("form", OF_ONE_INPUT)
def test_one_input(form):
    assert_read(ONE, OF_ONE_INPUT[form], [GYRO])


@pytest.mark.parametrize("form", OF_TWO_INPUTS)
def test_two_inputs(form):
    assert_read(TWO, OF_TWO_INPUTS[form], [GYRO, ACC])


def test_inputs_of_different_shapes():
    expected = [GYRO, SITE]
    assert_read(SITES, [GYRO, SITE], expected)
    assert_read(SITES, [[GYRO[:2], SITE[:2]], [GYRO[2:], SITE[2:]]], expected)
    assert_read(SITES, [list(pair) for pair in zip(GYRO, SITE, strict=True)], expected)
    assert_read(SITES, ([list(GYRO), list(SITE)], LABELS), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64", "float16", "float64"])
def test_real_numbers_of_any_kind(dtype):
    x = np.arange(15).reshape(1, 5, 3)
    assert_read(ONE, x.astype(dtype), [x.astype(np.float32)])
    assert_read(ONE, tf.cast(x, tf.bfloat16), [x.astype(np.float32)])
    words = x[:, :, 0]
    assert_read(WORDS, words.astype(dtype), [words.astype(np.int32)])


@pytest.mark.parametrize(
    "array",
    [
        GYRO.astype(np.complex64),
        GYRO.astype(bool),
        GYRO.astype(str),
        GYRO.astype(object),
        GYRO.astype("datetime64[s]"),
        GYRO.astype("timedelta64[s]"),
    ],
    ids=lambda array: array.dtype.name,
)
def test_other_kinds_are_refused(array):
    for dataset in (array, [array], (array, LABELS), {"gyro": array}):
        with pytest.raises(
            ValueError, match=f"input 'gyro' have dtype {array.dtype}".replace("[", "\\[")
        ):
            representative_arrays(ONE, dataset)


@pytest.mark.parametrize(
    "inputs, dataset, message",
    [
        (ONE, [], "is empty"),
        (ONE, GYRO[:0], "for input 'gyro' are empty"),
        (ONE, GYRO[:, :, :2], r"'gyro' has shape \(6, 5, 2\); expected \(n, 5, 3\), or \(5, 3\)"),
        (ONE, [GYRO[:, :, :2], LABELS], r"'gyro' has shape \(6, 5, 2\)"),
        (ONE, (GYRO[:, :, :2], LABELS), r"'gyro' has shape \(6, 5, 2\)"),
        (ONE, np.where(GYRO > 0, np.nan, GYRO), "'gyro' hold NaN or infinity"),
        (ONE, GYRO.astype(np.float64) * 1e60, "'gyro' hold NaN or infinity"),
        (ONE, {"acc": GYRO}, "are 'gyro'; .* has arrays for 'acc'"),
        (ONE, {"gyro": GYRO, "y": LABELS}, "are 'gyro'; .* has arrays for 'gyro', 'y'"),
        (ONE, (GYRO, GYRO), "can be read as batches or as samples with labels"),
        (ONE, [(GYRO[0], GYRO[1])], "can be read as an array for each input or as samples with"),
        (ONE, (GYRO, LABELS[:3]), r"not a pair of 6 samples and as many labels: .* \[\(3,\)\]"),
        (ONE, [GYRO[0], GYRO[1, :4]], r"'gyro' has shape \(4, 3\)"),
        (ONE, 3.0, "representative_dataset=3.0 is not supported: give an array"),
        (TWO, {"gyro": GYRO}, "are 'gyro', 'acc'; .* has arrays for 'gyro'"),
        (TWO, [{"gyro": GYRO, "Acc": ACC}], "are 'gyro', 'acc'; .* has arrays for 'gyro', 'Acc'"),
        (TWO, GYRO, "holds 1 arrays; the model has 2 inputs, 'gyro', 'acc'. Give a dict"),
        (TWO, [GYRO, ACC, LABELS], "holds 3 arrays|holds 1 arrays"),
        (TWO, [[GYRO, ACC, LABELS]], "holds 3 arrays; the model has 2 inputs"),
        (TWO, [GYRO, ACC[:3]], r"holds \[6, 3\] samples for the inputs 'gyro', 'acc'"),
        (TWO, [GYRO, ACC[:, :2]], r"'acc' has shape \(6, 2, 3\)"),
        (TWO, [list(GYRO[:2]), list(ACC[:2])], "can be read as batches or as an array for each"),
        (TWO, (([GYRO, ACC]), ([GYRO, ACC])), "can be read as batches or as samples with labels"),
        (WORDS, np.full((2, 5), 1.5), "Input 'words' takes int32; .* holds 1.5"),
        (WORDS, np.full((2, 5), 1 << 40), "Input 'words' takes int32; .* holds 1099511627776"),
    ],
)
def test_refused(inputs, dataset, message):
    with pytest.raises(ValueError, match=message):
        representative_arrays(inputs, dataset)


@pytest.mark.parametrize(
    "dataset",
    [
        slices(GYRO).batch(4).repeat(),
        itertools.repeat(GYRO[:1]),
        itertools.repeat(np.zeros((100_000, 5, 3), np.float32)),
        lambda: itertools.cycle([(GYRO, LABELS)]),
    ],
    ids=["tf.data", "many", "large", "cycle"],
)
def test_an_endless_dataset_is_refused(dataset):
    with pytest.raises(
        ValueError, match="does not end, or has more than 100,000 batches or 1,024 MiB"
    ):
        representative_arrays(ONE, dataset)


def test_lengths():
    inputs = [keras.Input((None, 3), name="x")]
    clips = [GYRO[0], GYRO[1, :2]]
    for dataset in (clips, [x[np.newaxis] for x in clips], lambda: iter(clips)):
        with pytest.raises(ValueError, match=r"'x' have different shapes: \[\(2, 3\), \(5, 3\)\]"):
            representative_arrays(inputs, dataset)
        for streams in (inputs, ONE):  # a model for 5 steps can also read one at a time
            (column,) = representative_arrays(streams, dataset, streaming=True)
            assert [x.shape for x in column] == [(1, 5, 3), (1, 2, 3)]


def test_each_input_of_the_model_gets_its_samples():
    gyro, acc = keras.Input((5, 3), name="gyro"), keras.Input((5, 3), name="acc")
    y = layers.Concatenate()([FastGRNN(4)(gyro), FastGRNN(4)(acc)])
    model = keras.Model([gyro, acc], layers.Dense(2, name="y")(y))
    expected = convert(model, representative_dataset=[GYRO, ACC])
    int8 = Interpreter(expected)
    np.testing.assert_array_equal(int8.predict(BY_NAME), int8.predict([GYRO, ACC]))
    assert convert(model, representative_dataset=(BY_NAME, LABELS)) == expected
    aware = quantization_aware(model, representative_dataset=slices(BY_NAME, LABELS).batch(3))
    same = quantization_aware(model, representative_dataset=[GYRO, ACC])
    np.testing.assert_array_equal(
        aware.predict(BY_NAME, verbose=0), same.predict(BY_NAME, verbose=0)
    )
