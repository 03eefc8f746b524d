"""A streaming model gives at each step the float model's output for the sequence so far."""

import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from random_cells import extremes
from tools import TEST_ALL
from topologies import FEATURES, TIMESTEPS, randomize

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.export import c_source, convert, quantization_aware
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.calibrate import calibrate
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.export.report.findings import examine
from keras_fastgrnn.export.report.html import page
from keras_fastgrnn.export.report.text import text
from keras_fastgrnn.export.streaming import as_steps, check_streaming
from keras_fastgrnn.micro import Interpreter

X = np.random.default_rng(0).normal(0, 1, (20, TIMESTEPS, FEATURES)).astype(np.float32)


def sequential(*hidden, timesteps=TIMESTEPS):
    return randomize(keras.Sequential([layers.Input((timesteps, FEATURES)), *hidden]))


def _streaming_models():
    normalization = layers.Normalization()
    normalization.adapt(X)
    return {
        "head": [FastGRNN(8), layers.Dense(5)],
        "stacked": [FastGRNN(8, return_sequences=True), layers.Dropout(0.3), FastGRNN(6)],
        "dense_on_each_step": [
            normalization,
            layers.Dense(4, activation="relu"),
            layers.RNN(FastGRNNCell(8), return_sequences=True),
            layers.Dense(5, activation="softmax"),
        ],
    }


@pytest.mark.parametrize("name", _streaming_models())
def test_streaming_equals_the_whole_sequence(name):
    model = sequential(*_streaming_models()[name])
    result = conversion(model, representative_dataset=X, streaming=True)
    interpreter = Interpreter(result.model)

    def steps(sequence):
        return np.stack([interpreter.predict(x[None, None])[0] for x in sequence])

    streamed = np.stack([(interpreter.reset(), steps(x))[1] for x in X[:5]])
    expected = model.predict(X[:5], verbose=0)
    if expected.ndim == 2:
        streamed, expected = streamed[:, -1], expected
    else:
        streamed = streamed[:, :, 0]
    assert streamed.shape == expected.shape
    # The bound of test_topology.
    assert np.sqrt(np.mean((streamed - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))

    # The state is kept: without a reset the second sequence starts where the first ended.
    interpreter.reset()
    assert np.any(steps(X[0])[0] != steps(X[0])[0])


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_streaming_is_the_same_integers_step_by_step(dtype):
    model = sequential(FastGRNN(8))
    result = conversion(
        model,
        representative_dataset=X,
        streaming=True,
        activations=dtype,
        input_type=dtype,
        output_type=dtype,
    )
    x = extremes(np.random.default_rng(1), dtype, (1, 200, FEATURES))
    (operator,) = result.operators
    expected, _ = reference.run(operator.integer_cell, x, return_sequences=True)
    interpreter = Interpreter(result.model)
    got = np.concatenate([interpreter.invoke(x[:, t : t + 1]) for t in range(200)])
    np.testing.assert_array_equal(got, expected[0])


# ---- Which models can read one step at a time ----


class Own(layers.Layer):
    """A function as a layer."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


def conv(x, kernel=(0.5, 0.5)):
    """A convolution over a step and its predecessor."""
    return kernel[0] * x + kernel[1] * tf.pad(x, [[0, 0], [1, 0], [0, 0]])[:, :-1]


ANY_LENGTH = {
    "causal": lambda: layers.Conv1D(4, 3, padding="causal"),
    "same": lambda: layers.Conv1D(4, 3, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv1D(3, padding="same"),
    "far": lambda: layers.Conv1D(4, 2, dilation_rate=500, padding="causal"),
    "average": lambda: layers.AveragePooling1D(3, 1, padding="same"),
    "largest": lambda: layers.MaxPooling1D(3, 1, padding="same"),
    "softmax": lambda: layers.Softmax(axis=1),
    "sum": lambda: Own(lambda x: tf.cumsum(x, axis=1)),
    "mean": lambda: Own(lambda x: x - tf.reduce_mean(x, axis=1, keepdims=True)),
    "first": lambda: Own(lambda x: x - x[:, :1]),
    "last": lambda: Own(lambda x: x[:, ::-1]),
    "little": lambda: Own(lambda x: conv(x, (1.0, 0.01))),
    "of large values": lambda: Own(lambda x: conv(tf.nn.relu(x - 30.0)) + x),
    "of small values": lambda: Own(lambda x: conv(tf.clip_by_value(x, -0.1, 0.1))),
    "of negative means": lambda: Own(
        lambda x: tf.where(tf.reduce_mean(x, axis=(1, 2), keepdims=True) < -0.1, conv(x), x)
    ),
}
SAMPLES = {
    "random": X,
    "silent": np.zeros_like(X),
    "constant": np.ones_like(X),
    "first silent": np.concatenate([np.zeros_like(X[:1]), X[1:]]),
    "of one step": X[:, :1],
}


def check(model, x):
    check_streaming(model, *as_steps([[x]]))


# Samples that might hide the mixing. `make test-all` runs all layers with all samples.
HIDDEN = ("causal", "of large values", "of small values", "of negative means")


@pytest.mark.parametrize(
    "name, samples",
    [
        pytest.param(
            *(name, samples),
            marks=[] if name in HIDDEN or samples == "random" else [pytest.mark.test_all],
        )
        for name, samples in itertools.product(ANY_LENGTH, SAMPLES)
    ],
)
def test_layer_that_mixes_steps_is_refused_with_any_samples(name, samples):
    before = sequential(ANY_LENGTH[name](), FastGRNN(4), layers.Dense(2), timesteps=None)
    behind = sequential(
        layers.Dense(4, activation="relu"),
        FastGRNN(4, return_sequences=True),
        ANY_LENGTH[name](),
        FastGRNN(4),
        timesteps=None,
    )
    behind.layers[1].cell.kernel.assign(np.zeros((4, 4)))  # a layer that says nothing hides nothing
    for model in (before, behind):
        with pytest.raises(ValueError, match="Layer '.*' mixes time steps"):
            check(model, SAMPLES[samples])


def branches():
    x = layers.Input((None, FEATURES))
    a, b = layers.Dense(4, activation="relu")(x), layers.Dense(4, activation="sigmoid")(x)
    y = layers.Multiply()([a, b])
    y = layers.Concatenate()([FastGRNN(8, return_sequences=True)(y), x * 2.0 - 1.0])
    return keras.Model(x, [layers.Dense(5)(FastRNN(4)(y)), layers.Dense(2)(y)])


def per_step():
    normalization = layers.Normalization()
    normalization.adapt(1e5 + X)
    trained = layers.BatchNormalization()
    model = sequential(
        normalization,
        layers.Conv1D(8, 1, activation="tanh"),
        trained,
        layers.LayerNormalization(),
        layers.PReLU(shared_axes=[1]),
        layers.RNN([FastGRNNCell(8), FastRNNCell(6)], return_sequences=True),
        layers.TimeDistributed(layers.Dense(5, activation="softmax")),
        timesteps=None,
    )
    trained.moving_mean.assign(np.linspace(-1, 1, 8))
    return model


PER_STEP = {
    "branches": branches,
    "per_step": per_step,
    "head": lambda: sequential(FastGRNN(8), layers.Dense(5, activation="softmax"), timesteps=None),
    "deep": lambda: sequential(
        *[layers.Dense(32, activation="tanh") for _ in range(4)], FastGRNN(8), timesteps=None
    ),
}


@pytest.mark.parametrize(
    "name, scale",
    [
        pytest.param(
            name, scale, marks=[] if scale == 1.0 or name == "deep" else pytest.mark.test_all
        )
        for name in PER_STEP
        for scale in (1e-6, 1.0, 3e4)
    ],
)
def test_layers_that_work_per_step_are_accepted(name, scale):
    model = PER_STEP[name]()
    for samples in SAMPLES if TEST_ALL else ("random", "of one step"):
        check(model, scale * (SAMPLES[samples] + 3))


def test_two_inputs_are_read_together():
    a, b = layers.Input((None, 3)), layers.Input((None, 2))
    mixed = layers.Conv1D(4, 2, padding="causal", name="c")(b)
    model = keras.Model([a, b], FastGRNN(4)(layers.Concatenate()([a, mixed])))
    x = [[X], [X[:, :, :2]]]
    with pytest.raises(ValueError, match="Layer 'c' mixes"):
        check_streaming(model, *as_steps(x))
    with pytest.raises(ValueError, match="with the same timesteps; got"):
        as_steps([[X], [X[:, :5, :2]]])
    with pytest.raises(ValueError, match="with the same timesteps; got"):
        as_steps([[X], [X[:, 0]]])


@pytest.mark.parametrize(
    "hidden, message",
    [
        ([layers.Bidirectional(FastGRNN(8))], "'bidirectional.*|'.*' reads its sequence backwards"),
        ([FastGRNN(8, go_backwards=True)], "reads its sequence backwards"),
        ([layers.Conv1D(4, 3, name="c"), FastGRNN(8)], "Layer 'c'"),
        ([layers.Conv1D(4, 3, padding="causal", name="c"), FastGRNN(8)], "'c' mixes time steps"),
        ([FastGRNN(8, return_sequences=True), layers.Flatten(name="f")], "'f' mixes time steps"),
        (
            [FastGRNN(8, return_sequences=True), layers.GlobalAveragePooling1D(name="p")],
            "'p' mixes time steps",
        ),
    ],
)
def test_streaming_refuses(hidden, message):
    with pytest.raises(ValueError, match=message):
        convert(sequential(*hidden), representative_dataset=X, streaming=True)


# ---- Where a stream begins ----


def summing(*behind):
    """A gate of almost 1 and a nu above 0: the state sums its inputs without end."""
    model = sequential(FastGRNN(4, name="r"), *behind, timesteps=None)
    model.layers[0].cell.bias.assign([[20.0] * 4, [1.0] * 4])
    return model


def test_each_sample_begins_a_stream():
    model = summing()
    with pytest.warns(UserWarning, match="Layer 'r': its int16 state saturates"):
        result = conversion(model, representative_dataset=1 + X, streaming=True)
    (operator,) = result.operators
    expected, _ = calibrate(operator.cell, 1 + X)
    np.testing.assert_equal(vars(operator.ranges), vars(expected))
    # The integer model of the sequences, except that the output's scale covers every step.
    whole = conversion(model, representative_dataset=1 + X).operators[0].integer_cell
    for name in ("zeta", "nu", "mix_shift", "fraction_bits", "recurrent_kernel"):
        np.testing.assert_equal(getattr(operator.integer_cell, name), getattr(whole, name))


def test_all_samples_are_one_stream():
    model = summing()
    with pytest.warns(UserWarning, match="samples are one stream of 240 steps, .* still grows"):
        one = conversion(model, representative_dataset=1 + X, streaming=True, reset="never")
    expected, _ = calibrate(one.operators[0].cell, 1 + X.reshape(1, -1, FEATURES))
    np.testing.assert_equal(vars(one.operators[0].ranges), vars(expected))


def test_clips_of_different_lengths():
    model = summing(layers.Dense(2))
    clips = [1 + X[0], 1 + X[1, :5], 1 + X[2, :9], 1 + X[3]]
    steps = np.concatenate(clips)

    def converted(samples, **arguments):
        with pytest.warns(UserWarning):
            return conversion(model, representative_dataset=samples, streaming=True, **arguments)

    assert converted(clips, reset="never").model == converted([steps], reset="never").model
    (operator,) = converted(clips).operators
    expected = np.concatenate([calibrate(operator.cell, x[np.newaxis])[1][0] for x in clips])
    np.testing.assert_allclose(operator.y, expected, rtol=1e-6)  # float32
    np.testing.assert_allclose(operator.ranges.state, np.abs(expected).max())
    # The integers also start anew at each clip.
    integers, _ = operator.run_integers(operator.x)
    starts = np.cumsum([0, *map(len, clips)])
    for start, clip in zip(starts[:-1], clips, strict=True):
        x = operator.formats.input.quantize(clip[np.newaxis])
        (one,), _ = reference.run(operator.integer_cell, x, return_sequences=True)
        np.testing.assert_array_equal(integers[start : start + len(clip)], one)
    # As does the report.
    findings = examine(converted(clips))
    assert findings.compared[0].largest < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("reset", ["sample", "never"])
def test_steps_until_the_state_saturates(reset):
    """Compares with the float model, run across the samples without a reset."""
    model = summing(layers.Dense(2))
    with pytest.warns(UserWarning, match="'r': its int16 state saturates ([0-9,]+) steps") as found:
        result = conversion(model, representative_dataset=1 + X, streaming=True, reset=reset)
    (operator,) = result.operators
    stream = np.tile(1 + X.reshape(1, -1, FEATURES), (1, 4, 1))
    _, h = calibrate(operator.cell, stream)
    limit = 32767 * operator.formats.state_scale
    expected = int(np.argmax(np.abs(h[0]).max(axis=1) > limit)) + 1
    assert result.steps_to_saturation == [expected] and expected > 1
    (message,) = [str(w.message) for w in found if "saturates" in str(w.message)]
    for part in (
        f" {expected:,} steps",
        "Reset the model",
        "reset='never'",
        "nu_initializer=-100.0",
    ):
        assert part in message
    # On the chip the state is below the limit before that step, and at the limit soon after.
    x = operator.formats.input.quantize(stream[:, : expected + 40])
    integers = np.abs(reference.states(operator.integer_cell, x)[0].astype(int)).max(axis=1)
    assert integers[-1] == 32767
    # int8 inputs and weights shift the step by a few per cent.
    assert integers[: int(0.9 * expected)].max() < 32767
    sentence = f"r: without a reset its state saturates after {expected:,} steps"
    findings = examine(result)
    assert sentence in text(findings)
    assert f"<p>{sentence}.</p>" in page(findings, "m.tflite")
    # The C written from the file states the steps.
    header = c_source(result.model)["model.h"]
    assert f"#define MODEL_STEPS_TO_SATURATION {expected}\n" in header


def test_one_sample_is_repeated():
    with pytest.warns(UserWarning, match="Layer 'r': its int16 state saturates"):
        convert(summing(), representative_dataset=1 + X[:1], streaming=True)


def test_the_layer_after_one_that_grows():
    model = sequential(
        FastGRNN(4, name="a", return_sequences=True), FastGRNN(4, name="b"), timesteps=None
    )
    for layer in model.layers:
        layer.cell.bias.assign([[20.0] * 4, [1.0] * 4])
    with pytest.warns(UserWarning, match="Layer 'b': its int16 state saturates"):
        result = conversion(model, representative_dataset=1 + X, streaming=True)
    first, second = result.steps_to_saturation
    a, b = (operator.cell for operator in result.operators)
    stream = 1 + X.reshape(1, -1, FEATURES)
    _, h = calibrate(b, calibrate(a, stream)[1])
    limit = 32767 * result.operators[1].formats.state_scale
    assert first and second == int(np.argmax(np.abs(h[0]).max(axis=1) > limit)) + 1


def test_a_bounded_state_gives_no_warning():
    model = sequential(FastGRNN(4, nu_initializer=-100.0), layers.Dense(2), timesteps=None)
    for reset in ("sample", "never"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            result = conversion(model, representative_dataset=X, streaming=True, reset=reset)
        assert result.steps_to_saturation == [None]
        assert any("does not saturate" in line for line in text(examine(result)))
        assert "STEPS_TO_SATURATION" not in c_source(result.model)["model.h"]


def test_windows_are_as_accurate_as_in_float():
    """A state scaled for all windows as one stream would leave few steps for one window."""
    model = summing(layers.Dense(3))
    x = np.random.default_rng(1).normal(1, 1, (300, TIMESTEPS, FEATURES)).astype(np.float32)
    with pytest.warns(UserWarning):
        stream = Interpreter(convert(model, representative_dataset=x, streaming=True))
    last = []
    for window in x[:50]:
        stream.reset()
        last.append(stream.predict(window[:, np.newaxis])[-1])
    expected = model.predict(x[:50], verbose=0)
    # The bound of test_topology.
    assert np.sqrt(np.mean((last - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))


def test_training_for_one_stream():
    model = summing(layers.Dense(2))
    with pytest.warns(UserWarning):
        aware = quantization_aware(model, representative_dataset=1 + X, reset="never")
        one = conversion(model, representative_dataset=1 + X, streaming=True, reset="never")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer 'r': its int16 state saturates")
        kept = conversion(aware, representative_dataset=1 + X, streaming=True, reset="never")
    assert kept.operators[0].formats == one.operators[0].formats
    assert kept.operators[0].options == one.operators[0].options
    assert kept.operators[0].weights == one.operators[0].weights


def test_unknown_reset_is_refused():
    with pytest.raises(ValueError, match="reset='window' is not supported: use one of 'sample',"):
        convert(summing(), representative_dataset=X, streaming=True, reset="window")
    with pytest.raises(ValueError, match="reset='never' needs streaming=True"):
        convert(summing(), representative_dataset=X, reset="never")
    with pytest.raises(ValueError, match="reset='always' is not supported"):
        quantization_aware(summing(), representative_dataset=X, reset="always")
