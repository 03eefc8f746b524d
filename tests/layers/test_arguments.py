"""Bad arguments are refused; the message names the argument and its value."""

import numpy as np
import pytest

from keras_fastgrnn import FastGRNN, FastGRNNCell, FastRNN, FastRNNCell
from keras_fastgrnn.compat import keras

every_class = pytest.mark.parametrize("class_", [FastRNNCell, FastGRNNCell, FastRNN, FastGRNN])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"units": 0}, "units=0"),
        ({"units": -3}, "units=-3"),
        ({"units": 2.5}, "units=2.5; expected a whole number"),
        ({"units": float("nan")}, "units=nan; expected a whole number"),
        ({"units": "16"}, "units='16'"),
        ({"units": None}, "units=None"),
        ({"kernel_rank": 0}, "kernel_rank=0"),
        ({"kernel_rank": 1.5}, "kernel_rank=1.5"),
        ({"recurrent_rank": -1}, "recurrent_rank=-1"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": float("nan")}, "dropout=nan"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout=-0.1"),
        ({"dtype": "int32"}, "dtype='int32'"),
        ({"activation": "quant_relu"}, "quant_relu"),
        ({"reset_after": True}, "reset_after"),
    ],
)
@every_class
def test_bad_argument(class_, arguments, message):
    with pytest.raises(
        (ValueError, TypeError), match=message
    ):  # TypeError: tf_keras, unknown names
        class_(**{"units": 4, **arguments})


@pytest.mark.parametrize("class_", [FastGRNNCell, FastGRNN])
def test_bad_gate(class_):
    with pytest.raises(ValueError, match="hard_gate"):
        class_(4, recurrent_activation="hard_gate")


def test_accepts_whole_numbers_of_any_type_and_ranks_above_full():
    layer = FastGRNN(np.int64(4), kernel_rank=np.int32(9), recurrent_rank=12.0)
    assert layer(np.zeros((2, 3, 5))).shape == (2, 4)
    assert layer.cell.kernel_a.shape == (5, 9) and layer.cell.recurrent_kernel_b.shape == (12, 4)


@pytest.mark.parametrize("layer_class", [FastRNN, FastGRNN])
def test_bad_inputs(layer_class):
    with pytest.raises(ValueError, match="ndim=3"):
        layer_class(4)(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="features"):
        layer_class(4)(keras.Input((3, None)))
    layer = layer_class(4)
    layer(np.zeros((2, 3, 5)))
    with pytest.raises(ValueError, match=r"expected axis -1 .* 5|expected shape=\(None, None, 5\)"):
        layer(np.zeros((2, 3, 6)))
