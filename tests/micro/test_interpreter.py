import copy
import dataclasses
import gc
import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cells import Shape, extremes, integer_cell, shapes
from tensorflow.lite.python import schema_py_generated as schema
from tflite_models import fastgrnn_model
from tools import TEST_ALL

from keras_fastgrnn import litert, micro
from keras_fastgrnn.export.cell import blocks as options
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.front import Front
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.affine import Affine

CELL = integer_cell(Shape())[0]  # 16 units, 3 features


def model_of(timesteps=20, edit=lambda model: None, **flags):
    return fastgrnn_model(options.pack(CELL, **flags), timesteps=timesteps, edit=edit)


def random_int8(*shape, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


@st.composite
def chains(draw):
    """Up to three cells, one after another: pairs `(IntegerCell, flags)`."""
    chain = []
    for last in [*[False] * draw(st.integers(0, 2)), True]:
        shape = draw(shapes(max_timesteps=8))
        if chain:
            before, _ = chain[-1]
            joined = {"features": before.units, "input_dtype": before.output_dtype}
            shape = dataclasses.replace(shape, **joined)
        names = ("return_sequences", "go_backwards", "reverse_output", "stateful")
        flags = {name: draw(st.booleans()) for name in names}
        flags["return_sequences"] |= not last
        chain.append((integer_cell(shape)[0], flags))
    return chain


BOTH = pytest.mark.parametrize("runtime", [micro, litert], ids=["micro", "litert"])


@BOTH
@settings(max_examples=200 if TEST_ALL else 20, deadline=None)
@given(chain=chains(), timesteps=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_random_cells_give_the_bytes_of_the_reference(runtime, chain, timesteps, seed):
    cells = [options.pack(cell, **flags) for cell, flags in chain]
    interpreter = runtime.Interpreter(fastgrnn_model(*cells, timesteps=timesteps))
    states = [None] * len(chain)
    for i in range(3):
        if i == 2:
            interpreter.reset()
            states = [None] * len(chain)
        first, _ = chain[0]
        rng = np.random.default_rng([seed, i])
        x = y = extremes(rng, first.input_dtype, (1, timesteps, first.features))
        for k, (cell, flags) in enumerate(chain):
            flags = dict(flags)
            stateful = flags.pop("stateful")
            y, state = reference.run(cell, y, states[k], **flags)
            states[k] = state if stateful else None
        np.testing.assert_array_equal(interpreter.invoke(x), y)


@BOTH
def test_interpreters_keep_their_own_states(runtime):
    model, x = model_of(stateful=True), random_int8(3, 20, 3)
    a, b = runtime.Interpreter(model), runtime.Interpreter(model)
    outputs, state = [], None
    for i in range(3):
        y, state = reference.run(CELL, x[i : i + 1], state)
        outputs.append(y)
    assert len({y.tobytes() for y in outputs}) == 3
    for i in (0, 1, 2):
        np.testing.assert_array_equal(a.invoke(x[i : i + 1]), outputs[i])
        np.testing.assert_array_equal(b.invoke(x[:1]), outputs[0])
        b.reset()
    np.testing.assert_array_equal(b.predict(x), np.concatenate(outputs))  # all scales are 1


def graph_only(add, affine):
    """A model of only the operators that `add`, float_input() or float_output(), adds."""

    def edit(model):
        graph = model.subgraphs[0]
        graph.operators, graph.outputs, graph.tensors = [], [0], graph.tensors[:1]
        flatbuffer.set_affine(graph.tensors[0], affine)
        add(model, 0)

    return Interpreter(model_of(timesteps=1000, edit=edit))


@pytest.mark.parametrize("affine", [Affine(0.25, -3), Affine(0.1, 127), Affine(3e-6, 0)])
def test_predict_quantizes_as_tflite_micro_does(affine):
    quantize = graph_only(
        lambda *at: flatbuffer.float_input(*at, Front()), affine
    )  # and predict() dequantises
    dequantize = graph_only(flatbuffer.float_output, affine)
    x = np.random.default_rng(0).uniform(-300, 300, 3000)
    x[:1200] = np.arange(-300, 300, 0.5)
    x = x.reshape(1, 1000, 3) * affine.scale
    y = quantize.predict(x)
    np.testing.assert_array_equal(dequantize.predict(x), y)
    assert len(np.unique(y)) == 256
    # Values out of range saturate; the others are rounded.
    low, high = ((limit - affine.zero_point) * affine.scale for limit in (-128, 127))
    assert np.abs(y - np.clip(x, low, high)).max() <= 0.501 * affine.scale  # float32's own error


def two_branches(model):
    graph = model.subgraphs[0]
    x, y = len(graph.tensors), len(graph.tensors) + 1
    graph.tensors += [copy.deepcopy(graph.tensors[i]) for i in (graph.inputs[0], graph.outputs[0])]
    block = options.pack(CELL, go_backwards=True)
    flatbuffer.add_recurrent(model, x, y, *block)
    graph.inputs, graph.outputs = [*graph.inputs, x], [*graph.outputs, y]


@BOTH
def test_several_inputs_and_outputs(runtime):
    x = random_int8(5, 20, 3)
    interpreter = runtime.Interpreter(model_of(edit=two_branches))
    expected = reference.run(CELL, x)[0], reference.run(CELL, x[::-1], go_backwards=True)[0]
    y = interpreter.invoke(x[:1], x[-1:])
    assert isinstance(y, tuple)
    for i in range(2):
        np.testing.assert_array_equal(y[i], expected[i][:1])
    y = interpreter.predict([x, x[::-1]])
    assert isinstance(y, tuple)
    for i in range(2):
        assert y[i].dtype == np.float32
        np.testing.assert_array_equal(y[i], expected[i])


def name_ends(model):
    graph = model.subgraphs[0]
    for index, name in zip([*graph.inputs, *graph.outputs], "gayz", strict=True):
        graph.tensors[index].name = name.encode()


def test_inputs_and_outputs_have_their_names():
    def edit(model):
        two_branches(model)
        name_ends(model)

    interpreter = Interpreter(model_of(edit=edit))
    assert [tensor.name for tensor in interpreter.inputs] == ["g", "a"]
    assert [tensor.name for tensor in interpreter.outputs] == ["y", "z"]
    x = random_int8(2, 5, 20, 3)
    expected = interpreter.predict([x[0], x[1]])
    np.testing.assert_array_equal(interpreter.predict({"a": x[1], "g": x[0]}), expected)
    for names in ("g", "gb", "gab", ""):
        with pytest.raises(ValueError, match="The model has the inputs 'g', 'a'; got arrays for"):
            interpreter.predict(dict.fromkeys(names, x[0]))
    with pytest.raises(ValueError, match=r"Input 1 \('a'\) has shape \(n, 20, 3\)"):
        interpreter.predict([x[0], x[1, :, :2]])


def test_predict_no_samples():
    assert Interpreter(model_of()).predict(np.zeros((0, 20, 3))).shape == (0, 16)


def int32_input(model):
    """Adds an integer input, as an Embedding has; no operator reads it."""
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = [1, 2], schema.TensorType.INT32, 0
    graph = model.subgraphs[0]
    graph.tensors.append(tensor)
    graph.inputs = [*graph.inputs, len(graph.tensors) - 1]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda i: i.invoke(), "Number of inputs: got 0; the model has 2"),
        (
            lambda i: i.invoke(np.zeros((20, 3), np.int8), np.zeros((1, 2), np.int32)),
            r"Input 0 has shape \(1, 20, 3\) and dtype int8; got shape \(20, 3\) and dtype int8\.",
        ),
        (
            lambda i: i.invoke(np.zeros((1, 20, 3), np.int8), np.zeros((1, 2))),
            r"Input 1 has shape \(1, 2\) and dtype int32; got shape \(1, 2\) and dtype float64\.",
        ),
        (
            lambda i: i.predict([np.zeros((1, 20, 3))]),
            "Number of inputs: got 1; the model has 2",
        ),
        (
            lambda i: i.predict([np.zeros((4, 20, 2)), np.zeros((4, 2))]),
            r"Input 0 has shape \(n, 20, 3\), with one n for all inputs; got \(4, 20, 2\)\.",
        ),
        (
            lambda i: i.predict([np.zeros((4, 20, 3)), np.zeros((3, 2))]),
            r"Input 1 has shape \(n, 2\), with one n for all inputs; got \(3, 2\)\.",
        ),
        (lambda i: i.predict([0.0, 1.0]), r"Input 0 has shape \(n, 20, 3\), .*; got \(\)\."),
        (
            lambda i: i.predict([np.full((1, 20, 3), np.nan), np.zeros((1, 2))]),
            "Input 0 holds NaN: leave such",
        ),
        (
            lambda i: i.predict([np.zeros((1, 20, 3)), [[1.0, 1.5]]]),
            r"Input 1 takes int32 values; got 1\.5\.",
        ),
    ],
)
@BOTH
def test_bad_arguments(runtime, call, message):
    with pytest.raises(ValueError, match=message):
        call(runtime.Interpreter(model_of(edit=int32_input)))


@BOTH
def test_bad_models(runtime):
    with pytest.raises(ValueError, match="as bytes; got str"):
        runtime.Interpreter("model.tflite")
    with pytest.raises(ValueError):
        runtime.Interpreter(model_of()[:-1])


def set_tensor(i, **fields):
    return lambda model: vars(model.subgraphs[0].tensors[i]).update(fields)


def set_operator(**fields):
    return lambda model: vars(model.subgraphs[0].operators[0]).update(fields)


def set_options(i, value):
    def edit(model):
        block = np.array(model.subgraphs[0].operators[0].customOptions)
        block[i] = value
        model.subgraphs[0].operators[0].customOptions = block

    return edit


INT16 = schema.TensorType.INT16
X, Y, WEIGHTS = range(3)


@pytest.mark.parametrize(
    "edit, message",
    [
        (set_operator(inputs=[X]), "1 inputs and 1 outputs, expected 2 and 1"),
        (set_operator(outputs=[]), "2 inputs and 0 outputs, expected 2 and 1"),
        (set_operator(inputs=[-1, WEIGHTS]), "x is missing"),
        (set_operator(inputs=[X, -1]), "weights is missing"),
        (set_tensor(X, type=INT16), r"x has type 7, expected 9 \(int8\)"),
        (set_tensor(X, shape=[20, 3]), "x has 2 dimensions, expected 3"),
        (set_tensor(X, shape=[2, 20, 3]), "dimension 0 of x is 2, expected 1"),
        (set_tensor(X, shape=[1, 0, 3]), "dimension 1 of x is 0, expected 1"),
        (set_tensor(X, shape=[1, 20, 4]), "dimension 2 of x is 4, expected 3"),
        (set_tensor(WEIGHTS, type=INT16), "weights has type 7, expected 9"),
        (set_tensor(WEIGHTS, shape=[1, 228]), "weights has 2 dimensions, expected 1"),
        (set_tensor(WEIGHTS, buffer=0), "weights is not a constant"),
        (set_tensor(WEIGHTS, shape=[99]), "weights block has a wrong size"),
        (set_tensor(Y, type=INT16), "y has type 7, expected 9"),
        (set_tensor(Y, shape=[1, 1, 20, 16]), "y has 4 dimensions, expected 3"),
        (set_tensor(Y, shape=[2, 20, 16]), "dimension 0 of y is 2, expected 1"),
        (set_tensor(Y, shape=[1, 19, 16]), "dimension 1 of y is 19, expected 20"),
        (set_tensor(Y, shape=[1, 20, 17]), "dimension 2 of y is 17, expected 16"),
        (set_options(4, 0), "y has 3 dimensions, expected 2"),
        (set_operator(customOptions=None), "options block has a wrong size"),
        (set_options(0, 1), "options block is of another version"),
        (set_options(5, 255), "a field of the options block is out of its range"),
    ],
)
def test_the_operator_refuses(edit, message, monkeypatch, capfd):
    # verify() refuses most of these first, but a firmware has no verify().
    monkeypatch.setattr("keras_fastgrnn.micro.runner.verify", lambda model: None)
    with pytest.raises(ValueError, match=f"TFLite Micro refused the model: FASTGRNN: .*{message}"):
        Interpreter(model_of(edit=edit, return_sequences=True))
    assert capfd.readouterr().err == ""


def test_other_refusals_have_the_message_of_tflite_micro(monkeypatch):
    monkeypatch.setattr("keras_fastgrnn.micro.runner.verify", lambda model: None)

    def edit(model):
        model.operatorCodes[0].customCode = b"OTHER"

    with pytest.raises(ValueError, match="refused the model: Failed to get registration from"):
        Interpreter(model_of(edit=edit))


def test_arena_bytes():
    shorter, longer = (Interpreter(model_of(timesteps)).arena_bytes for timesteps in (160, 320))
    assert longer - shorter == 160 * 3  # the input's bytes, a multiple of its alignment of 16


def resident_bytes():
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@BOTH
def test_interpreters_are_freed(runtime):
    model, x = model_of(), random_int8(1, 20, 3)
    y = reference.run(CELL, x)[0]
    alive = [runtime.Interpreter(model) for _ in range(50)]
    for interpreter in alive:
        np.testing.assert_array_equal(interpreter.invoke(x), y)
    del alive, interpreter
    before = resident_bytes()
    for _ in range(250):
        runtime.Interpreter(model).invoke(x)
    # An interpreter has 20 KB; kept ones would add 5 MB.
    assert resident_bytes() - before < 2e6
