import json

import keras
import numpy as np
import pytest
import topologies
from keras import layers

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert, estimate
from keras_fastgrnn.export.cell.blocks import pack
from keras_fastgrnn.export.cost import COSTS, step_terms
from keras_fastgrnn.micro import Interpreter
from tests.random_cells import Shape, integer_cell


def activity(timesteps=128):
    return keras.Sequential(
        [
            keras.Input((timesteps, 3)),
            FastGRNN(16, kernel_rank=2, recurrent_rank=8),
            layers.Dense(6),
        ]
    )


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize(
    "build", [topologies.head, topologies.stacked, topologies.go_backwards, activity]
)
def test_bytes_are_those_of_the_trained_model(build, activations):
    """A trained model differs from the estimate's in its numbers alone."""
    model = build()
    found = estimate(model, activations=activations)
    trained = topologies.randomize(build())
    samples = np.random.default_rng(1).normal(0, 3, (20, *model.inputs[0].shape[1:]))
    tflite = convert(
        trained, representative_dataset=samples.astype(np.float32), activations=activations
    )
    assert found.tflite_bytes == len(tflite)
    assert found.arena_bytes == Interpreter(tflite).arena_bytes


def test_the_model_is_not_changed():
    model = activity()
    before = model.get_weights()
    estimate(model, sparsity=0.5)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(now, was)


def test_sparsity_is_the_fraction_removed():
    dense, sparse = estimate(activity()), estimate(activity(), sparsity=0.5)
    # Every second of 38 + 256 weights goes; a bitmap has a bit for each.
    assert dense.constant_bytes - sparse.constant_bytes == pytest.approx(294 / 2 - 294 / 8, abs=4)
    assert sparse.macs == dense.macs == 128 * 294


def test_blocks_have_a_bit_for_sixteen_weights():
    model = keras.Sequential([keras.Input((5, 32)), FastGRNN(32)])
    dense, blocks = estimate(model), estimate(model, sparsity=0.5, block_size=(4, 4))
    saved = dense.constant_bytes - blocks.constant_bytes
    assert saved == 2048 // 2 - 2048 // 16 // 8 - 2  # version 3 of the options
    assert blocks.chips["Cortex-M4"].step < dense.chips["Cortex-M4"].step


def test_memory_is_that_of_the_c():
    assert estimate(activity()).ram_bytes == 2 * 16 + 2 * (3 + 2 + 8) + 16
    assert estimate(topologies.go_backwards()).ram_bytes is None, "c_source() refuses it"


def test_other_layers_are_counted_apart():
    x = keras.Input((40, 3))
    y = layers.Conv1D(8, 5, activation="relu")(x)
    y = layers.Dense(4)(FastGRNN(6)(y))
    found = estimate(keras.Model(x, y))
    assert found.other_macs == 36 * 8 * 5 * 3 + 6 * 4
    assert found.macs == 36 * 6 * (8 + 6)


def test_steps_are_those_of_the_file():
    whole, stream = estimate(activity()), estimate(activity(), streaming=True)
    for name, cost in whole.chips.items():
        assert cost.inference == pytest.approx(128 * cost.step)
        assert stream.chips[name].inference == stream.chips[name].step
        # The ranges of a stream are others, and so are the shifts, by which an AVR takes longer.
        assert stream.chips[name].step == pytest.approx(cost.step, rel=0.05)
        assert cost.milliseconds(48) == cost.inference / 48_000
    assert list(estimate(activity(), chip="Cortex-M0").chips) == ["Cortex-M0"]
    open_steps = estimate(activity(timesteps=None))
    assert open_steps.chips["Cortex-M4"].step == pytest.approx(
        whole.chips["Cortex-M4"].step, rel=0.05
    )


def test_terms_have_costs():
    cell, *_ = integer_cell(Shape())
    options, _ = pack(cell)
    for known in json.loads(COSTS.read_text()).values():
        assert list(known["costs"]) == list(step_terms(options, cell))
        assert 0 < known["error"] <= 0.05  # 0.01 to 0.04


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"chip": "Cortex-M1"}, "chip='Cortex-M1' is not measured: use one of Cortex-M0, "),
        ({"sparsity": 1.0}, r"sparsity=1.0 is not in \[0, 1\): give the fraction of the weights"),
        ({"block_size": (4, 0)}, r"block_size=\(4, 0\); expected two whole numbers"),
        ({"activations": "int4"}, "activations='int4'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        estimate(activity(), **arguments)
