"""The training graph against the integer model, and its conversion."""

import dataclasses
import itertools
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from random_cells import extremes, integer_cells
from tools import TEST_ALL, require, write
from topologies import FEATURES, TIMESTEPS, TOPOLOGIES, randomize, samples

from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.compat import LEGACY
from keras_fastgrnn.export import c_source, convert, quantization_aware
from keras_fastgrnn.export.aware.quantized_layers import (
    QuantizedDense,
    QuantizedFastGRNNCell,
    QuantizedFastRNNCell,
    QuantizedRNN,
    quantize,
)
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.float_cell import read_float_cell
from keras_fastgrnn.export.cell.formats import Formats, MatrixFormat, round_to
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.affine import Affine
from keras_fastgrnn.pruning import sparsity
from tests.boards import TARGETS, program

pytestmark = pytest.mark.skipif(LEGACY, reason="Quantisation-aware training is for Keras 3.")

X = np.random.default_rng(0).normal(0, 1, (64, TIMESTEPS, FEATURES)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 5, 64)


def quantized_cell(integer, input=None, output=None, scales=None):
    """The Keras cell of an `IntegerCell`, with the real values of its integer weights."""
    names = {field.name for field in dataclasses.fields(Formats)}
    fields = {name: value for name, value in vars(integer).items() if name in names}
    matrices = {name: fields.pop(name) for name in ("kernel", "recurrent_kernel")}
    formats = Formats(
        **fields,
        **{
            name: tuple(MatrixFormat(2.0 ** -(i + 1), m.shift) for i, m in enumerate(factors))
            for name, factors in matrices.items()
        },
        input=input or Affine(1.0, integer.input_zero_point, integer.input_dtype),
        output=output or Affine(1.0, integer.output_zero_point, integer.output_dtype),
    )
    ranks = {
        rank: len(matrices[name][0].values) if len(matrices[name]) == 2 else None
        for rank, name in (("kernel_rank", "kernel"), ("recurrent_rank", "recurrent_kernel"))
    }
    if integer.recurrent_activation is None:
        cell = QuantizedFastRNNCell(integer.units, integer.activation, formats=formats, **ranks)
    else:
        activations = integer.activation, integer.recurrent_activation
        cell = QuantizedFastGRNNCell(integer.units, *activations, formats=formats, **ranks)
    cell.build((None, integer.features))
    for name, factors in matrices.items():
        suffixes = ("",) if len(factors) == 1 else ("_a", "_b")
        for suffix, factor, format in zip(suffixes, factors, getattr(formats, name), strict=True):
            getattr(cell, name + suffix).assign(factor.values.T * format.scale)
    bias = integer.bias * 2.0 ** (integer.bias_shift - integer.fraction_bits)
    cell.bias.assign(bias.reshape(cell.bias.shape))
    return cell


def without_least(integer):
    """Replaces -128, a weight that the kernel accepts and the exporter never writes."""

    def matrices(factors):
        return tuple(m._replace(values=np.maximum(m.values, -127)) for m in factors)

    return dataclasses.replace(
        integer,
        kernel=matrices(integer.kernel),
        recurrent_kernel=matrices(integer.recurrent_kernel),
    )


@settings(max_examples=30 if TEST_ALL else 12, deadline=None)
@given(
    integer=integer_cells(),
    timesteps=st.integers(1, 12),
    jit_compile=st.sampled_from([False] * 5 + [True]),  # compiling takes a second
    go_backwards=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_training_graph_is_the_integer_model(
    integer, timesteps, jit_compile, go_backwards, seed
):
    """In all states and outputs of any cell that the kernel accepts."""
    integer = without_least(integer)
    cell = quantized_cell(integer)
    rng = np.random.default_rng(seed)
    x = extremes(rng, integer.input_dtype, (3, timesteps, integer.features))
    real = tf.constant(x.astype(np.float32) - integer.input_zero_point)
    layer = QuantizedRNN(cell, return_sequences=True, return_state=True, go_backwards=go_backwards)
    run = tf.function(layer, jit_compile=jit_compile, autograph=False)
    y, state = run(real)
    expected, expected_state = reference.run(
        integer, x, return_sequences=True, go_backwards=go_backwards
    )
    np.testing.assert_array_equal(y, expected.astype(np.float32) - integer.output_zero_point)
    np.testing.assert_array_equal(state, expected_state)

    # Keras's own loop over the cell gives the same.
    y, state = layers.RNN(cell, return_state=True, go_backwards=go_backwards)(real)
    np.testing.assert_array_equal(y, expected[:, -1].astype(np.float32) - integer.output_zero_point)
    np.testing.assert_array_equal(state, expected_state)

    # The exporter recovers the integers.
    found = round_to(cell.formats, read_float_cell(cell, "layer"))
    for got, wanted in zip(
        (*found.kernel, *found.recurrent_kernel, (found.bias, 0)),
        (*integer.kernel, *integer.recurrent_kernel, (integer.bias, 0)),
        strict=True,
    ):
        np.testing.assert_array_equal(got[0], wanted[0])


def test_an_input_is_rounded_as_the_file_rounds_it():
    """Also where a quotient is a half, as are 2 % of HAPT's."""
    affine = Affine(float(np.float32(1 / 75)), -23)
    x = np.arange(-2000, 2000).astype(np.float32) / 150
    for jit_compile in (False, True):
        got = tf.function(
            lambda x: quantize(x, affine) + affine.zero_point, jit_compile=jit_compile
        )(x)
        np.testing.assert_array_equal(got, affine.quantize(x))


# ---- Gradients ----


GRADIENTS = [("tanh", None, None), ("quant_tanh", "sigmoid", 4), ("relu", "quant_sigmoid", None)]


@pytest.mark.parametrize(
    "activation, gate, rank",
    [
        pytest.param(*case, marks=[] if case in GRADIENTS else pytest.mark.test_all)
        for case in itertools.product(
            ["tanh", "quant_tanh", "relu"], [None, "sigmoid", "quant_sigmoid"], [None, 4]
        )
    ],
)
def test_gradients_are_those_of_the_float_layer(activation, gate, rank):
    """Up to the rounding to integers. A weight of 0 has no gradient."""
    keras.utils.set_random_seed(0)
    ranks = {"kernel_rank": rank, "recurrent_rank": rank}
    layer = (
        FastRNN(8, activation, **ranks)
        if gate is None
        else FastGRNN(8, activation, gate, nu_initializer=-2.0, **ranks)
    )
    model = keras.Sequential([layers.Input((TIMESTEPS, FEATURES)), layer, layers.Dense(5)])
    rng = np.random.default_rng(2)
    for weight in layer.cell.weights:
        if "kernel" in weight.name:
            weight.assign(rng.normal(0, 0.5, weight.shape) * (rng.random(weight.shape) < 0.6))
    x = rng.normal(0, 1, (1000, TIMESTEPS, FEATURES)).astype(np.float32)
    y = (4 * np.abs(np.tanh(x.mean(axis=(1, 2))))).astype(int)
    aware = quantization_aware(model, representative_dataset=x[:100])

    def gradients(model):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
            loss = tf.reduce_mean(loss)
        scalars = ("zeta", "nu", "alpha", "beta")
        weights = [w for w in model.trainable_weights if w.name not in scalars]
        return weights, tape.gradient(loss, [w.value for w in weights])

    assert len(aware.trainable_weights) == len(model.trainable_weights) - 2
    (weights, got), (_, expected) = gradients(aware), gradients(model)
    for weight, g, e in zip(weights, map(np.asarray, got), map(np.asarray, expected), strict=True):
        if "/cell/" in weight.path and "kernel" in weight.name:
            zero = np.asarray(weight) == 0
            assert zero.any()
            assert not g[zero].any()
            g, e = g[~zero], e[~zero]
        # 7 bits put inputs and weights off by 1 %, these gradients through 12 steps by up to 6 %.
        assert np.linalg.norm(g - e) < 0.1 * np.linalg.norm(e), weight.path


@pytest.mark.parametrize("layer_class", [FastRNN, FastGRNN])
@pytest.mark.parametrize("rank", [None, 4])
def test_gradient_by_hand(layer_class, rank):
    """Of the loop, equal to TensorFlow's gradient of Keras's loop over the cell."""
    model = classifier(layer_class(8, recurrent_rank=rank), layers.Dense(5))
    cell = quantization_aware(model, representative_dataset=X[:4]).layers[0].cell
    weighting = np.random.default_rng(3).normal(0, 1, (len(X), TIMESTEPS, 8))
    x = tf.constant(2 * X)  # saturates

    def gradients(loop):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(weighting * loop(x, training=True))
        return tape.gradient(loss, [x, *(weight.value for weight in cell.trainable_weights)])

    options = {"return_sequences": True}
    found, expected = (gradients(loop(cell, **options)) for loop in (QuantizedRNN, layers.RNN))
    for got, wanted in zip(found, expected, strict=True):
        assert np.linalg.norm(wanted) > 0
        # Keras's loop sums the steps in float32, which keeps 24 bits.
        assert np.linalg.norm(got - wanted) < 1e-5 * np.linalg.norm(wanted)


# ---- The copy ----


def compiled(model, rate=1e-2, **kwargs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, **kwargs)
    model.optimizer.build(model.trainable_variables)  # otherwise fit() of Keras 3 traces twice
    return model


def classifier(*hidden):
    keras.utils.set_random_seed(0)
    hidden = hidden or (FastGRNN(8, kernel_rank=2, recurrent_rank=6), layers.Dense(5))
    return randomize(keras.Sequential([layers.Input((TIMESTEPS, FEATURES)), *hidden]))


def blocks(result):
    return [(operator.options, operator.weights) for operator in result.operators]


REFUSED = ("shared_layer", "two_inputs")  # two_inputs concatenates two kept formats
# One topology of each kind; `make test-all` runs all others too.
QUICK = (
    "low_rank", "stacked_with_dropout", "go_backwards_sequences", "two_outputs", "after_conv",
    "bidirectional_concat", "after_normalization", "dense_on_each_step", "nested_model",
    "rnn_of_cells", "operators_between",
)  # fmt: skip
SUPPORTED = [
    pytest.param(
        build, marks=[] if build.__name__ in QUICK else pytest.mark.test_all, id=build.__name__
    )
    for build in TOPOLOGIES
    if build.__name__ not in REFUSED
]


@pytest.mark.parametrize("build", SUPPORTED)
def test_the_copy_starts_as_the_exported_model(build):
    keras.utils.set_random_seed(0)
    model = randomize(build())
    arrays = samples(model, 40)
    dataset = arrays[0] if len(arrays) == 1 else [arrays]
    config, before = model.to_json(), model.get_weights()
    aware = quantization_aware(model, representative_dataset=dataset)
    assert model.to_json() == config
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    expected = blocks(conversion(model, representative_dataset=dataset))
    assert blocks(conversion(aware, representative_dataset=dataset)) == expected


def low_rank():
    return FastGRNN(8, kernel_rank=2, recurrent_rank=6), layers.Dense(5)


def stacked():
    return FastRNN(8, return_sequences=True), FastGRNN(6), layers.Dense(5, activation="relu")


def piecewise_linear():
    return FastGRNN(8, "quant_tanh", "quant_sigmoid"), layers.Dropout(0.2), layers.Dense(5)


def bidirectional():
    return layers.Bidirectional(FastGRNN(6)), layers.Dense(5)


def normalized():
    return layers.Normalization(mean=[0, 1, 2], variance=[1, 1, 2]), FastGRNN(8), layers.Dense(5)


@pytest.mark.parametrize(
    ("hidden", "jit_compile"),
    [
        (stacked, True),
        pytest.param(stacked, False, marks=pytest.mark.test_all),
        pytest.param(low_rank, True, marks=pytest.mark.test_all),
        pytest.param(low_rank, False, marks=pytest.mark.test_all),
        pytest.param(piecewise_linear, False, marks=pytest.mark.test_all),
        pytest.param(bidirectional, False, marks=pytest.mark.test_all),
        pytest.param(normalized, False, marks=pytest.mark.test_all),
    ],
)
def test_trained_integers_are_the_exported_ones(hidden, jit_compile, tmp_path):
    model = classifier(*hidden())
    recurrent = next(
        layer for layer in model.layers if isinstance(layer, layers.RNN | layers.Bidirectional)
    )
    for weight in recurrent.weights:
        if "kernel" in weight.name:
            weight.assign(weight * (np.random.default_rng(2).random(weight.shape) < 0.6))
    before = sparsity(model)
    aware = quantization_aware(model, representative_dataset=X)
    start = conversion(aware, representative_dataset=X)
    history = compiled(aware, jit_compile=jit_compile).fit(X, Y, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]

    # The formats are those of the training, whatever the calibration set.
    result = conversion(aware, representative_dataset=3 * X[:20] + 1)
    assert blocks(result) != blocks(start)
    assert [operator.formats for operator in result.operators] == [
        operator.formats for operator in start.operators
    ]
    # Zeros stay zeros.
    for path, fraction in sparsity(aware).items():
        assert fraction >= before[path] > 0 or fraction == before[path] == 0

    path = tmp_path / "aware.keras"
    aware.save(path)
    loaded = keras.models.load_model(path)
    data = convert(aware, representative_dataset=X)
    assert convert(loaded, representative_dataset=X) == data
    expected = aware.predict(X, verbose=0)
    np.testing.assert_array_equal(loaded(X), expected)

    if isinstance(aware.layers[0], layers.Normalization):
        return  # that is float in training
    # TFLite Micro gives the logits of the training graph. It rounds a product of the Dense layer
    # twice, which near the middle of two integers makes a difference of one step.
    got = Interpreter(data).predict(X)
    step = aware.layers[-1].output_format.scale
    np.testing.assert_allclose(got, expected, rtol=0, atol=1.001 * step)
    assert np.mean(np.abs(got - expected) < 0.001 * step) > 0.98


def test_int16_activations(tmp_path):
    model = classifier()
    aware = quantization_aware(model, representative_dataset=X, activations="int16")
    options = {"representative_dataset": X, "activations": "int16"}
    assert blocks(conversion(aware, **options)) == blocks(conversion(model, **options))
    compiled(aware).fit(X, Y, epochs=2, verbose=0)
    aware.save(tmp_path / "aware.keras")
    loaded = keras.models.load_model(tmp_path / "aware.keras")
    # TFLite Micro rounds the Dense layer's multiplier to 15 bits, half a step at the end of the
    # format, and then the product, by half a step.
    step = aware.layers[-1].output_format.scale
    got = Interpreter(convert(loaded, **options)).predict(X)
    np.testing.assert_allclose(got, aware.predict(X, verbose=0), rtol=0, atol=1.5 * step)
    with pytest.raises(ValueError, match="trained with int16 activations: convert it with activa"):
        convert(aware, representative_dataset=X)


def test_heads_at_each_step_are_trained_as_int8():
    """Also in branches: a Dense on each step of a sequence, and one on the last step."""
    keras.utils.set_random_seed(0)
    x = layers.Input((TIMESTEPS, FEATURES))
    h = FastGRNN(8, return_sequences=True)(x)
    heads = [layers.Dense(3, activation="sigmoid"), layers.Dense(4), layers.Dense(3, "relu")]
    both = layers.Bidirectional(FastGRNN(4, return_sequences=True))(h)
    outputs = [heads[0](h), heads[1](layers.Dropout(0.2)(both)), heads[2](FastGRNN(6)(h))]
    model = randomize(keras.Model(x, outputs))
    aware = quantization_aware(model, representative_dataset=X)
    assert sum(isinstance(layer, QuantizedDense) for layer in aware.layers) == 3
    aware.compile(keras.optimizers.Adam(3e-3), ["mse"] * 3, run_eagerly=True)
    aware.fit(X, model(X), batch_size=len(X), verbose=0)
    int8 = Interpreter(convert(aware, representative_dataset=X, output_type="int8"))
    got, expected = int8.predict(X), aware(X)
    for y, e, output in zip(got, expected, int8.outputs, strict=True):
        # Half a step where the file rounds an activation and training does not; in few outputs one
        # step more, where TFLite Micro rounds twice.
        steps = np.abs(y - e) / float(output.scale)
        assert steps.max() < 1.51 and np.mean(steps > 0.51) <= 0.01


def test_streaming_is_the_training_graph_step_by_step():
    aware = quantization_aware(classifier(), representative_dataset=X)
    interpreter = Interpreter(convert(aware, representative_dataset=X, streaming=True))
    expected = aware.predict(X[:5], verbose=0)
    for x, y in zip(X, expected, strict=False):
        got = [interpreter.predict(step[None, None])[0] for step in x][-1]
        interpreter.reset()
        np.testing.assert_allclose(
            got, y, rtol=0, atol=1.001 * aware.layers[-1].output_format.scale
        )


def test_the_piecewise_linear_variant_needs_no_table(tmp_path):
    """Its twin has the same shape, and is trained and exported in the same way."""
    avr = next(target for target in TARGETS if target.name == "ATmega328P")
    require(avr.packages, "avr-gcc")
    kernel, tables = {}, {}
    for activations in (("tanh", "sigmoid"), ("quant_tanh", "quant_sigmoid")):
        layer = FastGRNN(16, *activations, kernel_rank=2, recurrent_rank=8)
        aware = quantization_aware(classifier(layer, layers.Dense(5)), representative_dataset=X)
        compiled(aware, run_eagerly=True).fit(X, Y, verbose=0)
        files = c_source(convert(aware, representative_dataset=X))
        folder = write(tmp_path / activations[0], files)
        kernel[activations[0]] = program.kernel_size(avr, folder)
        symbols = subprocess.run(["avr-nm", folder / "m.o"], capture_output=True, text=True)
        tables[activations[0]] = "fastgrnn_sigmoid" in symbols.stdout
    assert tables == {"tanh": True, "quant_tanh": False}
    assert kernel["quant_tanh"] < kernel["tanh"]


# ---- Refused ----


def test_refuses_a_model_that_is_not_built():
    with pytest.raises(ValueError, match="is not built: give it an Input"):
        quantization_aware(keras.Sequential([FastGRNN(8)]), representative_dataset=X)


def test_refuses_a_model_without_such_a_layer():
    model = keras.Sequential([layers.Input((TIMESTEPS, FEATURES)), layers.Dense(5)])
    with pytest.raises(ValueError, match="has no FastRNN or FastGRNN layer"):
        quantization_aware(model, representative_dataset=X)


def test_refuses_its_own_copy():
    aware = quantization_aware(classifier(), representative_dataset=X)
    with pytest.raises(ValueError, match="'fast_grnn.*' is quantisation-aware already"):
        quantization_aware(aware, representative_dataset=X)


def test_refuses_a_layer_that_is_used_twice():
    x = layers.Input((TIMESTEPS, FEATURES))
    shared = FastGRNN(FEATURES, return_sequences=True, name="shared")
    model = randomize(keras.Model(x, shared(shared(x))))
    with pytest.raises(ValueError, match="'shared' is used more than once"):
        quantization_aware(model, representative_dataset=X)


def test_refuses_an_activation_without_an_integer_form():
    model = classifier(FastGRNN(8, "gelu", name="g"), layers.Dense(5))
    with pytest.raises(ValueError, match="Layer 'g': activation=.* has no integer form"):
        quantization_aware(model, representative_dataset=X)


def test_refuses_an_output_that_shares_its_format():
    x = [layers.Input((TIMESTEPS, FEATURES)), layers.Input((4,))]
    y = layers.Concatenate()([FastGRNN(8, name="g")(x[0]), x[1]])
    model = randomize(keras.Model(x, layers.Dense(5)(y)))
    with pytest.raises(ValueError, match="Layer 'g' was trained with .* the tensor it writes has"):
        quantization_aware(model, representative_dataset=[samples(model, 40)])


def test_export_refuses_an_input_whose_format_can_not_be_kept():
    """A pooling shares the scale of its input, which training has changed."""
    model = classifier(
        layers.Conv1D(4, 3), layers.MaxPooling1D(2), FastGRNN(8, name="g"), layers.Dense(5)
    )
    aware = quantization_aware(model, representative_dataset=X)
    aware.layers[0].kernel.assign(2 * aware.layers[0].kernel)
    with pytest.raises(ValueError, match="Layer 'g' was trained with Affine"):
        convert(aware, representative_dataset=X)
