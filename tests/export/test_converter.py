import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from random_cells import extremes
from tensorflow.lite.python import schema_py_generated as schema
from topologies import FEATURES, TIMESTEPS, TOPOLOGIES, randomize, samples

from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import encodings, read_options, unpack
from keras_fastgrnn.export.cell.encodings import BLOCKS
from keras_fastgrnn.export.converter import conversion, doubts
from keras_fastgrnn.export.report.findings import examine
from keras_fastgrnn.export.report.measure import integer_run
from keras_fastgrnn.export.report.text import text
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.pruning import three_phases

X = np.random.default_rng(0).normal(0, 1, (20, TIMESTEPS, FEATURES)).astype(np.float32)


def sequential(*hidden):
    return randomize(keras.Sequential([layers.Input((TIMESTEPS, FEATURES)), *hidden]))


def outputs_of(values):
    """The outputs of a model as a list, whether it has one or several."""
    return [np.asarray(v) for v in (values if isinstance(values, (list, tuple)) else [values])]


def as_dataset(arrays):
    return arrays[0] if len(arrays) == 1 else [arrays]


# The topologies that `make test` runs in int16: every kind of operator around recurrent ones.
INT16 = ("after_conv", "bidirectional_concat", "head", "operators_between", "pooled_sequence")
# Those that it does not run in int8, as others hold the same.
LEFT_OUT = (
    "after_dense",
    "bidirectional_ave",
    "bidirectional_last",
    "bidirectional_rnn_of_cell",
    "bidirectional_sum",
    "go_backwards",
    "rnn_of_cell",
    "sequences",
    "stacked",
)


@pytest.mark.parametrize(
    ("build", "activations"),
    [
        pytest.param(
            build,
            activations,
            id=f"{build.__name__}-{activations}",
            marks=[]
            if build.__name__ in INT16 or activations == "int8" and build.__name__ not in LEFT_OUT
            else pytest.mark.test_all,
        )
        for build in TOPOLOGIES
        for activations in ("int8", "int16")
    ],
)
def test_topology(build, activations):
    keras.utils.set_random_seed(0)
    model = randomize(build())
    arrays = samples(model, 40)
    result = conversion(model, representative_dataset=as_dataset(arrays), activations=activations)

    # Standard operators, and one custom operator for each run of a cell.
    file = schema.ModelT.InitFromPackedBuf(result.model, 0)
    codes = [
        file.operatorCodes[operator.opcodeIndex].builtinCode
        for operator in file.subgraphs[0].operators
    ]
    assert codes.count(schema.BuiltinOperator.CUSTOM) == len(result.operators) > 0
    assert doubts(result) == []

    interpreter = Interpreter(result.model)
    inputs = [x[:10] for x in arrays]
    inputs = inputs[0] if len(inputs) == 1 else inputs
    got = outputs_of(interpreter.predict(inputs))

    # TFLite Micro against the integers of NumPy (the cells) and TensorFlow Lite (the rest). The two
    # libraries round a few operators differently, by one step; in int16 later layers may amplify
    # the step.
    steps = 1.001 if activations == "int8" else 16
    _, integers = integer_run(result)
    for y, expected, affine in zip(got, integers, result.rest.outputs, strict=True):
        expected = affine.dequantize(expected[:10])
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=steps * affine.scale)

    # Against Keras: weights, inputs and outputs have 7 bits, and a state accumulates the errors of
    # its steps. 5 % of the output's rms is four times the error of the worst of these models.
    keras_outputs = outputs_of(model.predict(inputs, verbose=0))
    for y, expected in zip(got, keras_outputs, strict=True):
        assert y.shape == expected.shape
        assert np.sqrt(np.mean((y - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_recurrent_operators_give_the_bytes_of_the_integer_model(dtype):
    model = sequential(FastGRNN(8, return_sequences=True), FastGRNN(5, go_backwards=True))
    ends = dict.fromkeys(("activations", "input_type", "output_type"), dtype)
    result = conversion(model, representative_dataset=X, **ends)
    x = extremes(np.random.default_rng(1), dtype, (50, TIMESTEPS, FEATURES))
    expected = x
    for operator in result.operators:
        cell, flags = unpack(operator.options, operator.weights)
        assert not flags.pop("stateful")
        expected, _ = reference.run(cell, expected, **flags)
    interpreter = Interpreter(result.model)
    got = np.concatenate([interpreter.invoke(sample[None]) for sample in x])
    np.testing.assert_array_equal(got, expected)


def test_integer_input_and_output():
    model = sequential(FastGRNN(8), layers.Dense(5))
    ends = [*itertools.product(("int8", "float32"), repeat=2), ("int16", "int16")]
    for input_type, output_type in ends:
        data = convert(
            model,
            representative_dataset=X,
            activations="int16" if "int16" in (input_type, output_type) else "int8",
            input_type=input_type,
            output_type=output_type,
        )
        y = Interpreter(data).invoke(np.zeros((1, TIMESTEPS, FEATURES), input_type))
        assert y.dtype == output_type
        assert y.shape == (1, 5)


@pytest.mark.parametrize("end", ["input_type", "output_type"])
@pytest.mark.parametrize(("activations", "type"), [("int8", "int16"), ("int16", "int8")])
def test_integer_inputs_and_outputs_have_the_type_of_the_activations(end, activations, type):
    message = f"{end}='{type}' does not match activations='{activations}': use 'float32'"
    with pytest.raises(ValueError, match=message):
        convert(
            sequential(FastGRNN(4)),
            representative_dataset=X,
            activations=activations,
            **{end: type},
        )


def test_int8_files_are_of_version_2_and_int16_files_of_version_3():
    model = sequential(FastGRNN(4))
    for activations, version in (("int8", 2), ("int16", 3)):
        result = conversion(model, representative_dataset=X, activations=activations)
        assert result.operators[0].options[0] == version


def test_conversion_does_not_touch_the_model():
    model = sequential(FastGRNN(8, return_sequences=True), layers.Dropout(0.5), layers.Dense(5))
    before, config = model.predict(X, verbose=0), model.to_json()
    convert(model, representative_dataset=X)
    assert model.to_json() == config
    assert len(model.layers[-1]._inbound_nodes) == 1
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_stateful_layer_keeps_its_state():
    model = randomize(
        keras.Sequential(
            [
                layers.Input(batch_shape=(1, TIMESTEPS, FEATURES)),
                FastRNN(8, stateful=True),  # keeps half of its state over 12 steps
                layers.Dense(5),
            ]
        )
    )
    data = convert(model, representative_dataset=X)
    interpreter = Interpreter(data)
    for _ in range(2):  # the second time after a reset
        got = interpreter.predict(X)
        expected = model.predict(X, batch_size=1, verbose=0)
        # The bound of test_topology.
        assert np.sqrt(np.mean((got - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))
        assert not np.allclose(got[0], interpreter.predict(X[:1])[0], atol=0.01)
        interpreter.reset()
        model.layers[0].reset_state()


# ---- Refused by name ----


def _functional(build):
    x = layers.Input((TIMESTEPS, FEATURES))
    return keras.Model(x, build(x))


class Subclassed(keras.Model):
    def call(self, x):
        return x


class Loop(layers.Layer):
    def call(self, x):
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, 2 * x), (0, x))[1]


REFUSED = {
    "masking": (lambda: sequential(layers.Masking(), FastGRNN(8, name="r")), "'r' gets a mask"),
    "mask_zero": (
        lambda: keras.Sequential(
            [layers.Input((TIMESTEPS,)), layers.Embedding(9, 4, mask_zero=True), FastGRNN(8)]
        ),
        "gets a mask",
    ),
    "initial_state": (
        lambda: _functional(
            lambda x: FastGRNN(8, name="r")(x, initial_state=layers.Dense(8)(x[:, 0]))
        ),
        "'r' is called with an initial_state",
    ),
    "mask_argument": (
        lambda: _functional(lambda x: FastGRNN(8, name="r")(x, mask=x[:, :, 0] > 0)),
        "'r' gets a mask",
    ),
    "return_state": (
        lambda: _functional(lambda x: FastGRNN(8, return_state=True, name="r")(x)),
        "'r' has return_state=True",
    ),
    "dropout at inference": (
        lambda: _functional(lambda x: layers.Dropout(0.5, name="d")(FastGRNN(8)(x), training=True)),
        "'d' is called with training=True",
    ),
    "LSTM": (lambda: sequential(FastGRNN(8, return_sequences=True), layers.LSTM(4)), "loop .*lstm"),
    "GRU": (lambda: sequential(layers.GRU(4)), "loop .*gru"),
    "loop in a layer": (lambda: sequential(FastGRNN(8), Loop(name="own")), "loop .*own"),
    "inside another layer": (
        lambda: keras.Sequential(
            [layers.Input((2, TIMESTEPS, FEATURES)), layers.TimeDistributed(FastGRNN(4))]
        ),
        "loop .*time_distributed",
    ),
    "subclassed": (lambda: Subclassed(name="s"), "'s' .* neither Sequential nor functional"),
    "not built": (lambda: keras.Sequential([FastGRNN(4)], name="s"), "'s' is not built"),
    "what TFLite Micro cannot run": (
        lambda: _functional(lambda x: layers.Embedding(9, 4, name="e")(FastGRNN(8)(x))),
        r"Layer 'e' \(Embedding\) cannot be exported: .* look the vectors up before the model",
    ),
    "activation": (lambda: sequential(FastGRNN(8, activation="gelu", name="r")), "'r'.*gelu"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_model_is_refused_by_name(name):
    build, message = REFUSED[name]
    model = build()
    shapes = {"mask_zero": (TIMESTEPS,), "inside another layer": (2, TIMESTEPS, FEATURES)}
    shape = shapes.get(name, (TIMESTEPS, FEATURES))
    with pytest.raises(ValueError, match=message):
        convert(model, representative_dataset=np.ones((2, *shape), np.float32))


def test_weights_that_are_not_finite_are_refused():
    model = sequential(FastGRNN(8, name="r"))
    model.layers[0].cell.kernel.assign(np.full((FEATURES, 8), np.nan))
    with pytest.raises(ValueError, match="Layer 'r': weight 'kernel' holds NaN"):
        convert(model, representative_dataset=X)


def test_unknown_type_is_refused():
    with pytest.raises(ValueError, match="input_type='uint8' is not supported"):
        convert(sequential(FastGRNN(8)), representative_dataset=X, input_type="uint8")
    with pytest.raises(ValueError, match="optimize='time' is not supported: use one of 'size', 's"):
        convert(sequential(FastGRNN(8)), representative_dataset=X, optimize="time")


def test_optimize_changes_only_the_storage():
    model = sequential(FastGRNN(16))
    for weight in model.weights:
        if "kernel" in weight.path and "dense" not in weight.path:
            mask = np.random.default_rng(0).random(weight.shape) < 0.2
            weight.assign(weight * mask)
    files = [
        convert(model, representative_dataset=X, optimize=optimize)
        for optimize in ("size", "speed")
    ]
    assert len(files[0]) < len(files[1])
    outputs = [Interpreter(file).predict(X) for file in files]
    np.testing.assert_array_equal(*outputs)


def test_weights_pruned_in_blocks_are_stored_in_blocks():
    """Down to a matrix whose inputs and units four does not divide."""
    model = sequential(FastGRNN(22))
    model.compile("adam", "mse")
    y = np.zeros((len(X), 22), np.float32)
    pruning = three_phases(0.5, 0.5, steps=3, begin_step=0, end_step=1, block_size=(4, 4))
    model.fit(X, y, batch_size=8, callbacks=[pruning], verbose=0)
    result = conversion(model, representative_dataset=X, input_type="int8", output_type="int8")
    (operator,) = result.operators
    found = encodings(read_options(operator.options))
    assert found["recurrent_kernel"] is BLOCKS
    blocks = BLOCKS.nonzero(operator.integer_cell.recurrent_kernel[0].values)
    assert blocks.sum() == blocks.size // 2
    x = extremes(np.random.default_rng(1), np.int8, (1, TIMESTEPS, FEATURES))
    expected, _ = reference.run(operator.integer_cell, x)
    np.testing.assert_array_equal(Interpreter(result.model).invoke(x), expected)


# ---- The report ----


def test_report_counts_every_byte():
    model = sequential(FastGRNN(8, name="r"), layers.Dense(5))
    result = conversion(model, representative_dataset=X)
    lines = text(examine(result))
    start = lines.index("bytes  part") + 1
    sizes = [int(line.split()[0]) for line in lines[start : lines.index("", start)]]
    assert sum(sizes[:-1]) == sizes[-1] == len(result.model)
    (operator,) = result.operators
    # int8 matrices of 8x3 and 8x8, dense or sparse, and two int16 biases of 8.
    assert sizes[0] == 36
    assert sizes[1] == 32
    assert sizes[2] == len(operator.weights) - 32 == 88
    assert any(line.startswith("r  ") for line in lines[lines.index("", start) :])
