"""TFLite Micro computes each operator that verify() accepts as TensorFlow Lite does.

The integer kernels are held against TensorFlow Lite's float32 kernels on the real values, not
against its integer kernels: where TFLite Micro takes scales for equal that are not, those do the
same.
"""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from operator_cases import GENERATORS, Maker, Operator
from tools import TEST_ALL

from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.affine import choose_affine
from keras_fastgrnn.micro.operator_rules import DATA, FASTGRNN, NOT_INT16, RULES, SHARED
from keras_fastgrnn.micro.verify import UnsupportedOperator, verify

# Cases of each type; a rule that accepted all scales would fail in most.
CASES = 27 if TEST_ALL else 18
# The fixed output formats of int8 kernels of saturating functions.
FIXED = [(1 / 256, -128), (1 / 128, 0), (16 / 256, 127)]
FIXED_INT16 = (1 / 32768, 0)
# These int16 kernels interpolate in tables or have 16 bits of a Newton step: in 100 draws their
# largest errors were 3, 8 and 3 steps.
INT16_STEPS = {"TANH": 4, "SOFTMAX": 10, "RSQRT": 4}


def run_lite(operator):
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
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
    """The operator's outputs for the real values of its inputs."""
    if operator.name in ("QUANTIZE", "DEQUANTIZE"):
        return [operator.inputs[0].real.values]
    return run_lite(operator.real)


def share_inputs(operator):
    """Gives integer inputs the format of the first; weights and biases keep theirs."""
    data = [x for x in operator.inputs if x is not None and x.scale is not None]
    if all(x.values.dtype == np.int16 or x.zero_point.any() for x in data):
        for x in data:
            x.scale, x.zero_point = data[0].scale, data[0].zero_point


def put_outputs(operator, kind, fixed, real):
    """Gives integer outputs the format of the first input, or a fixed one, or one that fits."""
    inputs = [x for x in operator.inputs if x is not None and x.scale is not None]
    if kind == "shared" and inputs:
        scale, zero_point = inputs[0].scale[:1], inputs[0].zero_point[:1]
    elif kind == "fixed":
        scale, zero_point = map(np.atleast_1d, fixed)
    else:
        values = np.clip(np.concatenate([y.ravel() for y in real]).astype(np.float64), -1e9, 1e9)
        dtype = operator.outputs[0].values.dtype
        dtype = dtype.name if dtype.kind == "i" else "int8"
        affine = choose_affine(min(values.min(), 0.0), max(values.max(), 1e-3), dtype)
        scale, zero_point = map(np.atleast_1d, affine[:2])
    for y in operator.outputs:
        if y.scale is not None:
            y.scale, y.zero_point = scale.astype(np.float32), zero_point


def draw(name, dtype, seed):
    """A random operator and its real outputs; `None` if TensorFlow Lite refuses it too."""
    operator = Operator(name, *GENERATORS[name](Maker(np.random.default_rng(seed), dtype)))
    kind, fixed = ("shared", "fits", "fixed")[seed % 3], FIXED[seed // 3 % 3]
    if operator.outputs[0].values.dtype == np.int16:
        fixed = FIXED_INT16
    if kind == "shared":
        share_inputs(operator)
    try:
        real = real_outputs(operator)
    except (RuntimeError, ValueError):
        return None
    put_outputs(operator, kind, fixed, real)
    return operator, real


def check(name, y, output, real):
    if output.scale is None:
        # Sums of about 50 float32 products in another order, and exp() of another library.
        np.testing.assert_allclose(y, real, rtol=1e-5, atol=1e-5)
        return
    expected = np.round(real.astype(np.float64) / output.scale) + output.zero_point
    # One step: the kernels round a multiplier, a product and a shift; the real value is rounded
    # once.
    steps = INT16_STEPS.get(name, 1) if y.dtype == np.int16 else 1
    ends = np.iinfo(y.dtype)
    assert np.abs(y - np.clip(expected, ends.min, ends.max)).max() <= steps


@pytest.mark.parametrize("name", sorted(RULES.keys() - {FASTGRNN}))
def test_accepted_operators_are_right(name):
    ran = Counter()
    for dtype in (np.float32, np.int8, np.int16):
        for seed in range(CASES):
            drawn = draw(name, dtype, seed)
            if drawn is None:
                continue
            operator, real = drawn
            try:
                verify(operator.file())
            except UnsupportedOperator:
                continue
            for y, output, expected in zip(
                run_micro(operator), operator.outputs, real, strict=True
            ):
                check(name, y, output, expected)
            ran[dtype] += 1
    # An operator of several types must run in each.
    rule = RULES[name]
    types = 1
    if {DATA, SHARED} & {*rule.reads, *rule.writes}:
        types = 2 if name in NOT_INT16 else 3
    assert len(ran) >= types and min(ran.values()) >= CASES // 9  # one format of FIXED


def test_a_wrong_scale_is_noticed():
    """RELU6 from one scale into another, which verify() refuses."""
    operator, real = draw("RELU6", np.int8, seed=1)
    with pytest.raises(UnsupportedOperator, match="needs one scale and zero point"):
        verify(operator.file())
    copied = np.clip(operator.inputs[0].values, operator.inputs[0].zero_point, 127)
    with pytest.raises(AssertionError):
        check("RELU6", copied, operator.outputs[0], real[0])
