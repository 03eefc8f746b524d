"""The interpreter for a machine without tflite_micro, and the choice among all."""

import importlib.metadata
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cells import extremes
from test_interpreter import chains, model_of, random_int8, two_branches
from tflite_models import fastgrnn_model
from tools import TEST_ALL

from keras_fastgrnn import litert, micro
from keras_fastgrnn.export import convert
from keras_fastgrnn.export.c_source import Interpreter, Unsupported
from keras_fastgrnn.export.cell import blocks as options
from keras_fastgrnn.interpreters import interpreter
from keras_fastgrnn.micro.host import runtime
from tests.export import topologies

INT8 = {"input_type": "int8", "output_type": "int8"}


@settings(max_examples=100 if TEST_ALL else 8, deadline=None)
@given(chains(), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_c_gives_the_bytes_of_tflite_micro(chain, timesteps, seed):
    """Of random cells, over three sequences, with a reset before the last."""
    stateful = chain[0][1]["stateful"]  # C has one answer for all layers
    cells = [
        options.pack(cell, stateful=stateful, return_sequences=flags["return_sequences"])
        for cell, flags in chain
    ]
    model = fastgrnn_model(*cells, timesteps=timesteps)
    cell, _ = chain[0]
    if len({cell.output_dtype, *(later.input_dtype for later, _ in chain[1:])}) > 1:
        with pytest.raises(Unsupported, match="layer . reads int.*, and the first .* writes int"):
            Interpreter(model)
        return
    a, b = micro.Interpreter(model), Interpreter(model)
    for i in range(3):
        if i == 2:
            a.reset(), b.reset()
        x = extremes(
            np.random.default_rng([seed, i]), cell.input_dtype, (1, timesteps, cell.features)
        )
        np.testing.assert_array_equal(b.invoke(x), a.invoke(x))


ENDS = {"float": {}, "int8": INT8, "int16": {"activations": "int16"}}


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(
    "name", ["stacked", pytest.param("after_normalization", marks=pytest.mark.test_all)]
)
def test_c_of_converted_models(name, ends):
    """A Dense layer, float ends, and a normalisation before."""
    if (name, ends) == ("after_normalization", "int8"):
        pytest.skip("with int8 ends the normalisation is an operator that C has no code for")
    model = topologies.randomize(getattr(topologies, name)())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the errors that random weights make
        tflite = convert(model, representative_dataset=topologies.samples(model, 50), **ENDS[ends])
    (x,) = topologies.samples(model, 20, seed=1)
    expected = micro.Interpreter(tflite).predict(x)
    np.testing.assert_array_equal(Interpreter(tflite).predict(x), expected)


@pytest.mark.parametrize(
    "edit, message",
    [(two_branches, "it has 2 inputs, and C takes one"), (None, "ends with a softmax")],
)
def test_c_refuses(edit, message):
    tflite = model_of(edit=edit) if edit else _softmax()
    with pytest.raises(Unsupported, match=f"cannot be written as C: .*{message}"):
        Interpreter(tflite)


def _softmax():
    model = topologies.randomize(topologies.head())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert(model, representative_dataset=topologies.samples(model, 50))


@pytest.fixture
def without(monkeypatch):
    """A function that hides packages from this process."""

    def hide(*names):
        def missing(name):
            raise importlib.metadata.PackageNotFoundError(name)

        if "tflite_micro" in names:
            monkeypatch.setattr(importlib.metadata, "version", missing)
        if "ai_edge_litert" in names:
            monkeypatch.setattr(importlib.metadata, "distribution", missing)
        runtime._load.cache_clear()
        litert._load_once.cache_clear()

    yield hide
    runtime._load.cache_clear()
    litert._load_once.cache_clear()


def test_the_first_that_the_machine_has(without):
    chain, branches, x = model_of(), model_of(edit=two_branches), random_int8(2, 20, 3)
    assert isinstance(interpreter(chain), micro.Interpreter)
    expected = micro.Interpreter(branches).predict([x, x])
    without("tflite_micro")
    assert isinstance(interpreter(chain), Interpreter)
    other = interpreter(branches)
    assert isinstance(other, litert.Interpreter)
    np.testing.assert_array_equal(other.predict([x, x]), expected)
    with pytest.raises(ValueError, match="without a checksum"):
        interpreter(branches[:-1])


def test_neither_of_them(without):
    without("tflite_micro", "ai_edge_litert")
    with pytest.raises(ImportError, match="ai_edge_litert==.*cannot be written as C: it has 2 inp"):
        interpreter(model_of(edit=two_branches))


def test_where_tflite_micro_has_no_wheel(without):
    without("tflite_micro")
    with pytest.raises(ImportError, match=r"Linux on x86-64 use keras_fastgrnn\.interpreters"):
        micro.Interpreter(model_of())
