"""A normalisation that stands first is computed in float32, before the input is rounded."""

import warnings

import keras
import numpy as np
import pytest
import topologies
from keras import layers
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert, quantization_aware
from keras_fastgrnn.export.c_source import c_source
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.micro import Interpreter

# With one int8 scale for all features, a step would be 3,900 standard deviations of feature 0.
RANGES = np.float32([0.001, 1.0, 1000.0])
X = np.random.default_rng(0).normal(2 * RANGES, RANGES, (100, 20, 3)).astype(np.float32)


def normalization(x=X, **kwargs):
    layer = layers.Normalization(**kwargs)
    layer.adapt(x)
    return layer


def batch_normalization(**kwargs):
    layer = layers.BatchNormalization(epsilon=1e-9, **kwargs)
    layer.build(X.shape)
    layer.moving_mean.assign(X.mean(axis=(0, 1)))
    layer.moving_variance.assign(X.var(axis=(0, 1)))
    if layer.scale:
        layer.gamma.assign([0.5, 1.0, 2.0])
    if layer.center:
        layer.beta.assign([0.0, 0.5, -0.5])
    return layer


def sequential(*first):
    return topologies.randomize(
        keras.Sequential([keras.Input((20, 3)), *first, FastGRNN(8), layers.Dense(4)])
    )


def operators(data):
    """`(name, shape of its float32 constant or None)` of each operator of a file."""
    file = schema.ModelT.InitFromPackedBuf(data, 0)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if k.isupper()}
    graph = file.subgraphs[0]
    for operator in graph.operators:
        tensor = graph.tensors[operator.inputs[-1]]
        is_float = tensor.type == schema.TensorType.FLOAT32
        is_constant = file.buffers[tensor.buffer].data is not None
        name = names[file.operatorCodes[operator.opcodeIndex].builtinCode]
        yield name, tuple(tensor.shape.tolist()) if is_float and is_constant else None


def first_operators(data):
    """The operators before the QUANTIZE, with the shapes of their constants."""
    found = list(operators(data))
    return found[: [name for name, _ in found].index("QUANTIZE")]


def assert_as_right_as_float(model, data, x=X):
    y, expected = Interpreter(data).predict(x), model.predict(x, verbose=0)
    # The bound of test_converter.test_topology.
    assert np.sqrt(np.mean((y - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))


EACH, ONE = (3,), (1,)
TWO = {"MUL": EACH, "ADD": ONE}  # for a mean of 2 standard deviations


@pytest.mark.parametrize(
    "first, expected",
    [
        (lambda: [normalization()], {"MUL": EACH, "ADD": EACH}),
        (lambda: [normalization(), layers.Rescaling(2.0)], {"MUL": EACH, "ADD": EACH}),
        (
            lambda: [layers.Rescaling(8.0, 0.5), normalization(8 * X + 0.5)],
            {"MUL": EACH, "ADD": EACH},
        ),
        (lambda: [layers.Rescaling(list(1 / RANGES))], {"MUL": EACH}),
        (lambda: [layers.Rescaling(list(1 / RANGES), -2.0)], TWO),
        (lambda: [layers.Normalization(mean=2 * RANGES, variance=RANGES**2)], TWO),
        (lambda: [batch_normalization()], {"MUL": EACH, "ADD": EACH}),
        (lambda: [batch_normalization(scale=False, center=False)], {"MUL": EACH, "ADD": EACH}),
    ],
)
def test_constants(first, expected):
    model = sequential(*first())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        data = convert(model, representative_dataset=X)
    assert dict(first_operators(data)) == expected
    assert_as_right_as_float(model, data)


def test_only_leading_layers_are_taken():
    with pytest.warns(UserWarning, match="steps in feature 0"):
        data = convert(sequential(layers.ReLU(), normalization()), representative_dataset=X)
    assert first_operators(data) == []


def test_normalization_of_other_axes():
    for axis, shape in ((None, (1,)), ((1, 2), (20, 3))):
        data = convert(sequential(normalization(axis=axis)), representative_dataset=X)
        assert dict(first_operators(data)) == {"MUL": shape, "ADD": shape}


def test_inverted_normalization():
    model = sequential(normalization(), normalization(invert=True), layers.Rescaling(1 / RANGES))
    assert_as_right_as_float(model, convert(model, representative_dataset=X))


def test_models_within_the_model():
    inner = keras.Sequential([keras.Input((20, 3)), normalization()])
    more = keras.Sequential([keras.Input((20, 3)), layers.Rescaling(0.5), layers.Dense(4)])
    model = sequential(inner, more)
    data = convert(model, representative_dataset=X)
    assert dict(first_operators(data)) == {"MUL": EACH, "ADD": EACH}
    assert_as_right_as_float(model, data)


def test_each_input_has_its_own_front():
    a, b = keras.Input((20, 3), name="a"), keras.Input((4,), name="b")
    y = [FastGRNN(6)(normalization()(a)), layers.Rescaling([1.0, 10.0, 0.1, 1e-3])(b)]
    model = topologies.randomize(keras.Model([a, b], layers.Dense(4)(layers.Concatenate()(y))))
    scales = np.float32([1.0, 0.1, 10.0, 1e3])
    x = [X, np.random.default_rng(1).normal(0, scales, (100, 4)).astype(np.float32)]
    data = convert(model, representative_dataset=[x])
    assert sorted(name for name, shape in operators(data) if shape) == ["ADD", "MUL", "MUL"]
    assert_as_right_as_float(model, data, x)


@pytest.mark.parametrize("used", ["the input elsewhere", "the layer elsewhere", "as an output"])
def test_a_layer_used_elsewhere_stays(used):
    x, layer = keras.Input((20, 3)), layers.Rescaling([1.0, 2.0, 3.0])
    y = layer(x)
    outputs = [FastGRNN(4)(y)]
    if used == "as an output":
        outputs.append(layers.Rescaling([2.0, 3.0, 4.0])(y))  # replaced, as is the first
        outputs.append(y)
    else:
        other = x if used == "the input elsewhere" else layer(layers.Dense(3)(y))
        outputs.append(FastGRNN(4, name="other")(other))
    model = topologies.randomize(keras.Model(x, outputs))
    small = np.random.default_rng(0).normal(0, 1, (50, 20, 3)).astype(np.float32)
    data = convert(model, representative_dataset=small)
    assert len(first_operators(data)) == (used == "as an output")
    for got, want in zip(
        Interpreter(data).predict(small), model.predict(small, verbose=0), strict=True
    ):
        assert np.sqrt(np.mean((got - want) ** 2)) < 0.05 * np.sqrt(np.mean(want**2))


def test_int8_input_is_rounded_before_the_normalisation():
    with pytest.warns(UserWarning, match="steps in feature 0"):
        data = convert(sequential(normalization()), representative_dataset=X, input_type="int8")
    assert not any(shape for _, shape in operators(data))  # the Normalization is int8


def test_streaming():
    model = sequential(normalization())
    result = conversion(model, representative_dataset=X, streaming=True)
    assert dict(first_operators(result.model)) == {"MUL": EACH, "ADD": EACH}
    interpreter = Interpreter(result.model)
    streamed = []
    for x in X[:10]:
        interpreter.reset()
        streamed.append(interpreter.predict(x[:, None])[-1])
    expected = model.predict(X[:10], verbose=0)
    assert np.sqrt(np.mean((streamed - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))


def test_training_agrees_with_the_file():
    """In training the recurrent layer reads the values that the file rounds."""
    aware = quantization_aware(sequential(normalization()), representative_dataset=X)
    said = aware.predict(X, verbose=0)
    data = convert(aware, representative_dataset=X)
    assert dict(first_operators(data)) == {"MUL": EACH, "ADD": EACH}
    step = (
        Interpreter(convert(aware, representative_dataset=X, output_type="int8")).outputs[0].scale
    )
    # (x - mean) / deviation and x * multiplier + offset may differ in the last bit, which may move
    # an int8 of x by one; a Dense rounds twice (docs/quantize.md). Each moves an output by at most
    # one step.
    differ = np.abs(Interpreter(data).predict(X) - said) > step / 2
    assert differ.mean() < 0.02


# ---- Integers of a sensor ----

SPANS = np.array([9000, 300, 20, 2])  # of four features with one scale


def sensor_model(dtype):
    """A model that normalises each feature first, and integer samples."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(1, 1, (60, 12, 4)) * SPANS).astype(dtype)
    normalization = layers.Normalization()
    normalization.adapt(x.astype(np.float32))
    keras.utils.set_random_seed(0)
    hidden = normalization, FastGRNN(8, return_sequences=True), layers.Dense(3)
    return keras.Sequential([keras.Input((12, 4), dtype=dtype), *hidden]), x


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_each_feature_of_a_sensor_has_its_own_multiplier(dtype, activations):
    model, x = sensor_model(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tflite = convert(model, representative_dataset=x, activations=activations)
    interpreter = Interpreter(tflite)
    assert interpreter.inputs[0].dtype == dtype
    expected = model.predict(x, verbose=0)
    error = np.sqrt(np.mean((interpreter.predict(x) - expected) ** 2))
    # int8 weights cause 0.03. With one scale for all, two features would be lost: 0.5.
    assert error < 0.08 * expected.std()
    # An int16 sensor needs no float32.
    names = [name for name, _ in operators(tflite)]
    in_integers = (dtype, activations) == ("int16", "int16")
    assert ("DEPTHWISE_CONV_2D" in names) == in_integers
    assert ("CAST" in names) != in_integers


def test_an_int16_sensor_in_c(tmp_path):
    """`model_quantize()` gives the bytes of the file's operators, for every int16."""
    model, x = sensor_model("int16")
    ends = {"activations": "int16", "output_type": "int16"}
    tflite = convert(model, representative_dataset=x, **ends)
    chain = read_chain(tflite)
    every = np.arange(-32768, 32768, dtype=np.int16)[:, None].repeat(4, 1)
    every = np.concatenate([every, every[:8]]).reshape(-1, 12, 4)[::29]
    interpreter = Interpreter(tflite)
    for sample in (*x, *every):
        got = chain.run(chain.quantizer.quantize(sample))
        np.testing.assert_array_equal(got, interpreter.invoke(sample[None])[0])
    assert "void model_quantize(const int16_t* x, int16_t* q);" in c_source(tflite)["model.h"]
    with pytest.raises(ValueError, match="unit=1 is not supported: the model itself reads"):
        c_source(tflite, unit=1)
