"""Every window of HAPT's test people: NumPy, the C kernel and TFLite Micro give the same bytes."""

import keras
import kernel as kernel_process
import numpy as np
import pytest

from examples.common import hapt
from keras_fastgrnn import FastGRNN, FastRNN
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import unpack
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.micro import Interpreter


@pytest.fixture(scope="module")
def windows():
    try:
        x, _, users = hapt.load()
    except ValueError as error:
        pytest.skip(str(error))
    return x[np.isin(users, hapt.TEST_USERS)], x[~np.isin(users, hapt.TEST_USERS)][::40]


@pytest.mark.parametrize("layer", [FastGRNN, pytest.param(FastRNN, marks=pytest.mark.test_all)])
def test_whole_test_set(tmp_path, windows, layer):
    x, representative = windows
    assert x.shape == (3399, 128, 3)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer(16, kernel_rank=2, recurrent_rank=8)])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 2 and weight.name != "bias":  # of a trained size, half 0
            weight.assign(rng.normal(0, 1, weight.shape) * (rng.random(weight.shape) < 0.5))
    result = conversion(
        model, representative_dataset=representative, input_type="int8", output_type="int8"
    )
    (operator,) = result.operators
    x = operator.formats.input.quantize(x)

    cell, flags = unpack(operator.options, operator.weights)
    flags.pop("stateful")
    expected, expected_state = reference.run(cell, x, **flags)
    assert len(np.unique(expected)) > 100  # otherwise equal bytes would show little

    with kernel_process.Kernel(kernel_process.build(tmp_path)) as kernel:
        y, state = kernel.run(operator.options, operator.weights, x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(state, expected_state)

    interpreter = Interpreter(result.model)
    y = np.concatenate([interpreter.invoke(window[None]) for window in x])
    np.testing.assert_array_equal(y, expected)
