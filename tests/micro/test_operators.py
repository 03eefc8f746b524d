"""Each operator that verify() lets through, in TFLite Micro, against TensorFlow Lite."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from operator_cases import GENERATORS, Maker, Operator

from keras_fastgrnn.export.quantize import affine_int8
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.operator_rules import FASTGRNN, RULES
from keras_fastgrnn.micro.verify import verify

# The formats that int8 kernels of saturating functions write in.
FIXED = [(1 / 256, -128), (1 / 128, 0), (16 / 256, 127)]
Resolver = tf.lite.experimental.OpResolverType


def run_lite(operator, resolver):
    lite = tf.lite.Interpreter(
        model_content=operator.file(), experimental_op_resolver_type=resolver
    )
    lite.allocate_tensors()
    for detail, x in zip(lite.get_input_details(), operator.free_inputs, strict=True):
        lite.set_tensor(detail["index"], x.values)
    lite.invoke()
    return [lite.get_tensor(detail["index"]) for detail in lite.get_output_details()]


def run_micro(operator):
    y = Interpreter(operator.file()).invoke(*(x.values for x in operator.free_inputs))
    return list(y) if isinstance(y, tuple) else [y]


def real_outputs(operator):
    """What the operator makes of the real values of its inputs."""
    if operator.name in ("QUANTIZE", "DEQUANTIZE"):
        return [operator.inputs[0].real.values]
    return run_lite(operator.real, Resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def put_scales(operator, kind, rng, real):
    """Gives all int8 data one format, or the outputs one that fits, or one of `FIXED`."""
    data = [x for x in operator.inputs if x is not None and x.scale is not None]
    outputs = [y for y in operator.outputs if y.scale is not None]
    if kind == "shared" and data:
        affine = data[0].scale, data[0].zero_point
    elif kind == "fixed":
        scale, zero_point = FIXED[rng.integers(len(FIXED))]
        affine = np.array([scale]), np.array([zero_point])
    else:
        values = np.concatenate([y.ravel() for y in real]).astype(np.float64)
        fits = affine_int8(min(values.min(), 0.0), max(values.max(), 1e-3))
        affine = np.array([fits.scale]), np.array([fits.zero_point])
    for y in outputs:
        y.scale, y.zero_point = affine


def share_inputs(operator):
    """Gives int8 inputs of one scale that of the first; weights keep theirs."""
    first, *others = [x for x in operator.inputs if x is not None and x.scale is not None] or [None]
    if any(x.values.dtype != np.int8 or not x.zero_point.any() for x in others):
        return
    for x in others:
        x.scale, x.zero_point = first.scale, first.zero_point


def draw(name, seed, dtype):
    """A random operator, and its real outputs."""
    rng = np.random.default_rng(seed)
    operator = Operator(name, *GENERATORS[name](Maker(rng, dtype)))
    kind = ("shared", "fits", "fixed")[seed % 3]
    if kind == "shared":
        share_inputs(operator)
    if not is_valid(operator):
        return None
    real = real_outputs(operator)
    put_scales(operator, kind, rng, real)
    return operator, real


def is_valid(operator):
    """Whether TensorFlow Lite takes the operator in float32."""
    try:
        real_outputs(operator)
    except (RuntimeError, ValueError):
        return False
    return True


def compare(operator, real):
    exact = None
    got = run_micro(operator)
    try:
        exact = run_lite(operator, Resolver.BUILTIN_REF)
    except (RuntimeError, ValueError):
        pass
    for i, (y, output, expected) in enumerate(zip(got, operator.outputs, real, strict=True)):
        if output.scale is None:
            if exact:
                np.testing.assert_allclose(y, exact[i], rtol=1e-5)
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
            continue
        wanted = np.round(expected.astype(np.float64) / output.scale) + output.zero_point
        wanted = np.clip(wanted, -128, 127)
        assert np.abs(y - wanted).max() <= 1
        if exact:
            assert np.abs(y.astype(int) - exact[i]).max() <= 0, "lite"


@pytest.mark.parametrize("name", sorted(RULES.keys() - {FASTGRNN}))
def test_what_verify_lets_through_is_right(name):
    ran = Counter()
    for dtype in (np.float32, np.int8):
        for seed in range(60):
            drawn = draw(name, seed, dtype)
            if drawn is None:
                continue
            try:
                verify(drawn[0].file())
            except ValueError:
                continue
            compare(*drawn)
            ran[np.dtype(dtype).name] += 1
    print(name, dict(ran))
    # Operators of one type run on it alone: QUANTIZE and CAST on more than the maker says.
    expected = {"float32", "int8"} if set(RULES[name].tensors) & set("ds") else set(ran)
    assert expected and min(ran[kind] for kind in expected) >= 10
