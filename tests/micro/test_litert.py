"""The .tflite file in LiteRT: what test_interpreter.py does not ask of both interpreters."""

import contextlib
import importlib.metadata
import subprocess
import sys
import warnings

import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema
from test_interpreter import (
    WEIGHTS,
    X,
    Y,
    model_of,
    random_int8,
    set_operator,
    set_options,
    set_tensor,
    two_branches,
)
from test_operators import CASES, draw, run_micro
from tools import TEST_ALL

from keras_fastgrnn import litert
from keras_fastgrnn.export import convert
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.operator_rules import FASTGRNN, RULES
from keras_fastgrnn.micro.verify import UnsupportedOperator
from tests.export import topologies

INT16 = schema.TensorType.INT16
ENDS = {"int8": {"input_type": "int8", "output_type": "int8"}, "float32": {}}


def constants(model):
    """The offset of each constant in a file."""
    buffers = schema.ModelT.InitFromPackedBuf(model, 0).buffers
    return [model.index(bytes(buffer.data)) for buffer in buffers if buffer.data is not None]


def test_prepare_aligns_constants():
    before = model_of()
    after = litert.prepare(before)
    assert any(at % 64 for at in constants(before)) and not any(at % 64 for at in constants(after))
    assert litert.prepare(after) == after
    x = random_int8(4, 20, 3)
    # One recurrent layer: TFLite Micro runs the file too.
    np.testing.assert_array_equal(Interpreter(after).predict(x), Interpreter(before).predict(x))


def test_prepare_names_layers():
    model = schema.ModelT.InitFromPackedBuf(litert.prepare(model_of(edit=two_branches)), 0)
    codes = [model.operatorCodes[op.opcodeIndex] for op in model.subgraphs[0].operators]
    assert [code.customCode for code in codes] == [b"FASTGRNN", b"FASTGRNN_2"]


def test_prepare_checks_the_file():
    with pytest.raises(ValueError, match="checksum"):
        litert.prepare(model_of()[:-1])


@pytest.mark.parametrize(
    "edit, message",
    [
        (set_operator(inputs=[X]), "the inputs are not x"),
        (set_operator(customOptions=None), "the options block has a wrong size"),
        (set_options(0, 1), "the options block is of another version"),
        (set_options(7, 255), "a field of the options block is out of its range"),
        (set_tensor(X, shape=[1, 20, 4]), r"the inputs are not x \(1, timesteps, features\)"),
        (set_tensor(X, shape=[20, 3]), r"the inputs are not x \(1, timesteps, features\)"),
    ],
)
def test_the_operator_refuses(edit, message, monkeypatch):
    # verify() refuses these first, but an app on a phone has no verify().
    for module in "keras_fastgrnn.litert", "keras_fastgrnn.micro.runner":
        monkeypatch.setattr(f"{module}.verify", lambda model: None)
    with pytest.raises(ValueError, match=f"LiteRT refused the model: FASTGRNN: {message}"):
        litert.Interpreter(model_of(edit=edit, return_sequences=True))


@pytest.mark.parametrize(
    "edit, message",
    [
        (set_tensor(WEIGHTS, shape=[99]), "the weights block has a wrong size"),
        (set_tensor(X, type=INT16), "x or y is not of the cell's type"),
        (set_tensor(Y, type=INT16), "x or y is not of the cell's type"),
    ],
)
def test_a_run_refuses(edit, message, monkeypatch):
    """LiteRT shows tensors to a custom operator only when it runs."""
    for module in "keras_fastgrnn.litert", "keras_fastgrnn.micro.runner":
        monkeypatch.setattr(f"{module}.verify", lambda model: None)
    interpreter = litert.Interpreter(model_of(edit=edit))
    x = np.zeros((1, 20, 3), interpreter.inputs[0].dtype)
    with pytest.raises(ValueError, match=f"LiteRT refused the model: FASTGRNN: {message}"):
        interpreter.invoke(x)


def test_an_operator_that_litert_lacks(monkeypatch):
    for module in "keras_fastgrnn.litert", "keras_fastgrnn.micro.runner":
        monkeypatch.setattr(f"{module}.verify", lambda model: None)

    def edit(model):
        model.operatorCodes[0].customCode = b"OTHER"

    with pytest.raises(ValueError, match=r"status \d+; stderr has its messages"):
        litert.Interpreter(model_of(edit=edit))


NAMES = ("head", "bidirectional_concat", "after_conv", "two_inputs", "batch_normalization")


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", NAMES if TEST_ALL else NAMES[:3])
def test_converted_models(name, ends):
    """int8 and float ends, several layers, other operators between them."""
    model = topologies.randomize(getattr(topologies, name)())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the errors that random weights make
        tflite = convert(model, representative_dataset=topologies.samples(model, 50), **ENDS[ends])
    x = topologies.samples(model, 20, seed=1)
    x = x if len(x) > 1 else x[0]
    expected, y = Interpreter(tflite).predict(x), litert.Interpreter(tflite).predict(x)
    # A step of an operator before a recurrent layer moves its outputs by a few.
    scale = np.ptp(expected) / 255
    np.testing.assert_allclose(y, expected, rtol=0, atol=4 * scale)


# LiteRT's kernels of int8 and int16, in steps of TFLite Micro's: all others are equal.
ONE_STEP = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LEAKY_RELU", "MEAN", "QUANTIZE"),
    *("RESIZE_BILINEAR", "SUM", "TRANSPOSE_CONV"),
}
# int16: TFLite Micro's equals the real value (test_operators.py), LiteRT's does not.
WRONG = {("RSQRT", np.int16)}
QUICK = {"FULLY_CONNECTED", "CONV_2D", "SOFTMAX", "TANH"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.test_all)
        for name in sorted(RULES.keys() - {FASTGRNN})
    ],
)
def test_other_operators(name):
    """docs/litert.md says which of LiteRT's operators differ from TFLite Micro's."""
    for dtype in (np.int8, np.int16):
        steps = [0]
        for seed in range(CASES):
            if not (drawn := draw(name, dtype, seed)):
                continue
            operator, _ = drawn
            with contextlib.suppress(UnsupportedOperator):
                y = run_micro(operator)
                found = litert.Interpreter(operator.file()).invoke(
                    *(x.values for x in operator.free_inputs)
                )
                found = found if isinstance(found, tuple) else [found]
                steps += [np.abs(a - 1.0 * b).max(initial=0) for a, b in zip(y, found, strict=True)]
        if (name, dtype) not in WRONG:
            assert max(steps) <= (name in ONE_STEP), dtype


@pytest.fixture
def fresh():
    litert._load_once.cache_clear()
    yield
    litert._load_once.cache_clear()


def test_not_installed(fresh, monkeypatch):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    with pytest.raises(ImportError, match=f'pip install "ai_edge_litert=={litert.VERSION}"'):
        litert.Interpreter(model_of())


def test_another_version(fresh, monkeypatch):
    monkeypatch.setattr(litert, "VERSION", "9.9.9")
    with pytest.raises(ImportError, match=r'"ai_edge_litert==9\.9\.9"; 2\..* is installed'):
        litert.Interpreter(model_of())


def test_the_version_is_the_extras():
    requirements = importlib.metadata.requires("keras-fastgrnn")
    assert f'ai_edge_litert=={litert.VERSION}; extra == "litert"' in requirements


@pytest.mark.test_all  # test_wheel.py imports the package without it
def test_import_needs_no_litert():
    code = "import sys, keras_fastgrnn.litert; sys.exit('ai_edge_litert' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
