"""Features below a step of int8, and outputs that rounding changes much, give warnings."""

import warnings

import keras
import numpy as np
import pytest
import topologies
from keras import layers

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert, progress
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.export.report import measure
from keras_fastgrnn.export.report.findings import examine
from keras_fastgrnn.export.report.resolution import ENOUGH_STEPS, features, unresolved
from keras_fastgrnn.export.report.text import text
from keras_fastgrnn.micro import Interpreter

NOISE = np.random.default_rng(0).normal(0, 1, (200, 20, 3)).astype(np.float32)
SMALL = NOISE * np.float32([1, 1e-3, 1])  # an int8 step is 30 deviations of feature 1


def model_of(*hidden):
    model = keras.Sequential([keras.Input((20, 3), name="sensor"), *hidden])
    return topologies.randomize(model)


def said(convert, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(*args, **kwargs)
    return [str(w.message) for w in caught if "keras_fastgrnn" in w.filename]


def steps_of(values):
    """Each feature's spread in steps of the scale that the converter would choose."""
    scale = (max(values.max(), 0) - min(values.min(), 0)) / 255
    return [feature.resolved for feature in features(values, scale)]


# ---- The statistic ----


def test_a_small_feature_is_not_resolved():
    assert steps_of(NOISE) == [True] * 3
    assert steps_of(SMALL) == [True, False, True]


@pytest.mark.parametrize(
    "where",
    [
        (3, 5, 0),  # one value
        (slice(None, None, 125), slice(None), slice(None)),  # 2 whole samples of 200
        (slice(None), 7, 0),  # one step of 20, in each sample
    ],
)
def test_spikes_hide_the_bulk(where):
    x = NOISE.copy()
    x[where] = 1e4
    # 1e4 at one step of 20 is no outlier of feature 0, and puts the other features below a step.
    expected = [isinstance(where[0], slice) and where[1] == 7, False, False]
    assert steps_of(x) == expected


def test_one_sample_of_few_is_an_outlier():
    x = NOISE[:40].copy()
    x[3] *= 1e4
    assert steps_of(x) == [False] * 3


@pytest.mark.parametrize("value", [0, 3.3, -1e6])
def test_a_constant_feature_has_nothing_to_lose(value):
    x = NOISE.copy()
    x[..., 1] = value
    assert steps_of(x)[1]


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5])
def test_a_feature_that_is_seldom_on_is_resolved(share):
    x = NOISE.copy()
    x[..., 1] = np.random.default_rng(1).random(x.shape[:2]) < share
    assert steps_of(x) == [True] * 3


def test_padding_does_not_count():
    x = NOISE.copy()
    x[:, :18] = 0
    assert steps_of(x) == [True] * 3


def test_accuracy_falls_below_enough_steps():
    """The measurement behind `ENOUGH_STEPS`: the sign of a feature's mean is the class."""
    rng = np.random.default_rng(0)

    def data(n):
        y = rng.integers(0, 2, n)
        shift = (2 * y - 1)[:, None, None] * 0.3
        return (rng.normal(0, 1, (n, 20, 1)) + shift).astype(np.float32), y

    keras.utils.set_random_seed(0)
    x, y = data(600)
    model = keras.Sequential([keras.Input((20, 1)), FastGRNN(8), layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x, y, epochs=10, verbose=0)
    x, y = data(2000)

    def right(steps):
        """The accuracy with the feature rounded to so many steps, on shifted grids."""
        spread = np.subtract(*np.quantile(x, [0.99, 0.01]))
        grids = [np.round(x * steps / spread + shift) - shift for shift in (0, 0.25, 0.5, 0.75)]
        said = model.predict(np.concatenate(grids) * spread / steps, verbose=0, batch_size=1000)
        return np.mean(said.argmax(axis=-1) == np.tile(y, 4))

    lost = {k: np.mean(model.predict(x, verbose=0).argmax(-1) == y) - right(k) for k in (1, 2, 4)}
    # Measured: 0.22, 0.05 and 0.01. The mean of 2,000 has a standard deviation of 0.007.
    assert lost[1] > 0.1 and lost[2] > 0.025 and lost[ENOUGH_STEPS] < 0.025


# ---- The warnings ----


@pytest.mark.parametrize("input_type", ["float32", "int8"])
def test_convert_names_the_input_the_feature_and_its_steps(input_type):
    (message,) = said(
        convert, model_of(FastGRNN(8)), representative_dataset=SMALL, input_type=input_type
    )
    result = conversion(model_of(FastGRNN(8)), representative_dataset=SMALL)
    scale = result.operators[0].formats.input.scale
    steps = np.subtract(*np.quantile(SMALL[..., 1], [0.99, 0.01])) / scale
    assert f"Input 'sensor': one step of its int8 is {scale:.3g}," in message
    assert f"{steps:.2g} steps in feature 1." in message
    assert "Normalise" in message and "clip" in message


def test_many_features_are_counted():
    x = np.random.default_rng(0).normal(0, [1] + [1e-3] * 9, (100, 20, 10)).astype(np.float32)
    model = keras.Sequential([keras.Input((20, 10)), FastGRNN(4)])
    (message,) = unresolved(conversion(model, representative_dataset=x))
    assert message.count(" steps in feature") == 5
    assert "and as few in 4 more" in message


def test_the_input_of_an_inner_layer():
    dense = layers.Dense(3)
    model = model_of(dense, FastGRNN(8, name="r"))
    dense.set_weights([np.diag([1, 1e-4, 1]), np.zeros(3)])
    messages = list(unresolved(conversion(model, representative_dataset=NOISE)))
    assert len(messages) == 1
    assert messages[0].startswith("The input of layer 'r': one step")
    assert "in feature 1." in messages[0]


def test_outputs_of_two_ranges():
    """A large and a small value warn; the probability of a class that is never likely does not."""
    for activation, count in ((None, 1), ("softmax", 0), ("sigmoid", 0)):
        head = layers.Dense(2, activation=activation, name="head")
        model = model_of(FastGRNN(8), head)
        head.set_weights([head.get_weights()[0] * [1, 1e-4], np.zeros(2)])
        if activation is not None:
            head.set_weights([head.get_weights()[0], np.array([0, -20])])
        messages = list(unresolved(conversion(model, representative_dataset=NOISE)))
        assert len(messages) == count
        assert all("Output 'head'" in message for message in messages)


def test_error_that_is_large_against_the_output():
    """The weights of a Dense nearly cancel, and leave less than a step of the state."""
    head = layers.Dense(1, use_bias=False, name="head")
    model = model_of(FastGRNN(2), head)
    cell = model.layers[0].cell
    for weight in cell.weights:
        if "kernel" in weight.path:  # two nearly equal units
            value = weight.numpy()
            value[..., 1] = value[..., 0] * 1.002
            weight.assign(value)
    cell.bias.assign(np.zeros_like(cell.bias))
    head.set_weights([np.array([[1.0], [-1.0]])])
    result = conversion(model, representative_dataset=NOISE)
    findings = examine(result)
    (message,) = measure.large_errors(result, findings.outputs)
    error = Interpreter(result.model).predict(NOISE) - model.predict(NOISE, verbose=0)
    rms, deviation = np.sqrt(np.mean(error**2)), result.outputs[0].std()
    assert f"Output 'head': the int8 model is off by {rms:.3g} (rms" in message
    assert f"standard deviation of the float model's values is {deviation:.3g}." in message
    assert message in findings.warnings
    assert any("Output 'head'" in m for m in said(convert, model, representative_dataset=NOISE))


# ---- The report ----


def test_report_shows_each_feature_or_the_worst():
    lines = text(examine(conversion(model_of(FastGRNN(4)), representative_dataset=SMALL)))
    start = lines.index("Input 'sensor': its features") + 2
    rows = [line.split() for line in lines[start : start + 3]]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert [row[4:] for row in rows] == [[], ["too", "few"], []]
    for row, column in zip(rows, SMALL.reshape(-1, 3).T, strict=True):
        assert row[1:3] == [f"{column.min():.4g}", f"{column.max():.4g}"]

    x = np.random.default_rng(0).normal(0, np.arange(1, 21), (50, 20, 20)).astype(np.float32)
    model = keras.Sequential([keras.Input((20, 20), name="many"), FastGRNN(4)])
    lines = text(examine(conversion(model, representative_dataset=x)))
    start = lines.index("Input 'many': the 12 of its 20 features with fewest steps") + 2
    assert [int(line.split()[0]) for line in lines[start : start + 12]] == list(range(12))
    assert lines[start + 12] == ""


def test_outputs_are_measured_in_tflm():
    model = model_of(FastGRNN(4, return_sequences=True), layers.ReLU(), layers.Dense(2))
    for types in ({}, {"input_type": "int8", "output_type": "int8"}):
        findings = examine(conversion(model, representative_dataset=NOISE, **types))
        assert "outputs: in TensorFlow Lite Micro; layers: in the integer model" in text(findings)
        chip = Interpreter(findings.conversion.model).predict(NOISE).astype(np.float64)
        (output,) = findings.outputs
        np.testing.assert_array_equal(output.error, chip - output.expected)


def test_outputs_are_measured_without_tflm(monkeypatch):
    def missing(model):
        raise ImportError("it is not installed\nat all")

    monkeypatch.setattr(measure, "Interpreter", missing)
    result = conversion(model_of(FastGRNN(4)), representative_dataset=NOISE)
    findings = examine(result)
    where = "TensorFlow Lite (TensorFlow Lite Micro cannot run: it is not installed)"
    assert findings.measured_in == where
    _, (y,) = measure.integer_run(result)
    error = result.rest.outputs[0].dequantize(y) - findings.outputs[0].expected
    np.testing.assert_array_equal(findings.outputs[0].error, error)
    assert len(said(convert, model_of(FastGRNN(4)), representative_dataset=SMALL)) == 1


def test_convert_runs_few_samples(monkeypatch):
    x = np.repeat(NOISE, 3, axis=0)
    result = conversion(model_of(FastGRNN(4)), representative_dataset=x)
    few = measure.few_samples(result)
    assert len(few.inputs[0]) == len(few.outputs[0]) == 200
    np.testing.assert_array_equal(few.inputs[0][[0, -1]], x[[0, -1]])
    monkeypatch.setattr(measure, "_FEW_MULTIPLICATIONS", 20 * 4 * (4 + 3) * 7)
    assert len(measure.few_samples(result).inputs[0]) == 6  # and one more for the rest

    stream = conversion(model_of(FastGRNN(4)), representative_dataset=NOISE, streaming=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(
        measure.few_samples(stream).inputs[0], NOISE.reshape(-1, 1, 3)[:200]
    )


def test_progress_is_shown_on_a_terminal_after_a_while(monkeypatch, capsys):
    assert list(progress.progress(range(3), "Test")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "_PATIENCE", -1)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(progress.progress(range(3), "Test")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == "" and "3/3" in err
