"""Dtype policies act as on GRU: in layers, RNN(cell) and training steps, with XLA and without."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from kinds import FEATURES, KINDS, OURS, RNNS, UNITS, every_kind, named, sequences, state

from keras_fastgrnn.compat import LEGACY, keras

POLICIES = {  # variables, outputs
    "float32": ("float32", "float32"),
    "mixed_bfloat16": ("float32", "bfloat16"),
    "mixed_float16": ("float32", "float16"),
    "float64": ("float64", "float64"),
}
# For values of about 1 after 7 steps; bfloat16 has 8 bits of mantissa, float16 has 11.
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 0.05, "mixed_float16": 0.01, "float64": 1e-5}

every_policy = pytest.mark.parametrize("policy", POLICIES)
kinds_of_ours = pytest.mark.parametrize("make", [*OURS, *RNNS], ids=named)


def same_start(layer):
    """Gives a layer weights that do not depend on its dtype, and differ from the initial ones."""
    layer.build((None, None, FEATURES))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
    return layer


def dtypes(tensors):
    return {tf.as_dtype(t.dtype).name for t in tensors}


@every_policy
@every_kind
def test_dtypes(make, policy):
    options = {"return_state": True, "dropout": 0.1, "recurrent_dropout": 0.1}
    layer = make(UNITS, dtype=policy, **options)
    variables, outputs = POLICIES[policy]
    assert dtypes(layer(keras.Input((None, FEATURES)))) == {outputs}
    # Float inputs and states of another dtype are cast; tf_keras casts them only for our layers.
    initial = state() if make in OURS or not LEGACY else tf.cast(state(), outputs)
    assert dtypes(layer(sequences().astype(np.float64), initial_state=[initial])) == {outputs}
    assert dtypes(layer(sequences(), training=True)) == {outputs}
    assert dtypes(layer.trainable_weights) == {variables}


@every_policy
@kinds_of_ours
def test_numbers(make, policy):
    options = {"kernel_rank": 2, "recurrent_rank": 2, "return_sequences": True}
    actual = same_start(make(UNITS, dtype=policy, **options))(sequences())
    expected = same_start(make(UNITS, **options))(sequences())
    np.testing.assert_allclose(np.float32(actual), expected, rtol=0, atol=TOLERANCES[policy])


@every_kind
def test_stateful_and_masked(make):
    layer = make(UNITS, dtype="mixed_bfloat16", stateful=True, return_sequences=True)
    layer = keras.Sequential([keras.layers.Masking(dtype="float32"), layer])
    x = sequences()
    x[:, 3:] = 0
    first, second = (np.float32(layer(x)) for _ in range(2))
    np.testing.assert_array_equal(first[:, 3], first[:, 2])
    assert np.any(first != second)


def moves(layers, before):
    return [
        [w - b for w, b in zip(layer.trainable_weights, values, strict=True)]
        for layer, values in zip(layers, before, strict=True)
    ]


WAYS = {
    "eager": (KINDS, {"run_eagerly": True}),
    "graph": (KINDS, {"jit_compile": False}),
    "XLA": (OURS, {"jit_compile": True}),
}


# Each policy in one way; `make test-all` runs all.
QUICK = ("mixed_float16", "XLA"), ("mixed_bfloat16", "eager"), ("float64", "eager")


@pytest.mark.parametrize(
    ("policy", "way"),
    [
        pytest.param(
            *case,
            marks=[
                *([] if case in QUICK else [pytest.mark.test_all]),
                *([pytest.mark.one_keras] if case[1] == "XLA" else []),
            ],
        )
        for case in itertools.product(list(POLICIES)[1:], WAYS)
    ],
)
def test_training_step(policy, way):
    """One model with a layer of each kind, since XLA takes seconds to compile each model.

    The gradients of mixed_float16 are 1e-9 and less, and its smallest number is 6e-8.
    """
    small = 1e-7 if policy == "mixed_float16" else 1.0
    optimizer = keras.optimizers.SGD(1 / small)
    if policy == "mixed_float16":
        optimizer = (keras.mixed_precision if LEGACY else keras.optimizers).LossScaleOptimizer(
            optimizer
        )
    kinds, options = WAYS[way]
    layers = [same_start(make(UNITS, dtype=policy)) for make in kinds]
    inputs, to_float32 = (
        keras.Input((None, FEATURES)),
        keras.layers.Activation(None, dtype="float32"),
    )
    model = keras.Model(inputs, [to_float32(layer(inputs)) for layer in layers])
    model.compile(optimizer, ["mse"] * len(kinds), loss_weights=[small] * len(kinds), **options)
    before = [[np.array(w) for w in layer.trainable_weights] for layer in layers]
    target = np.array(state())
    model.train_on_batch(sequences(), [target] * len(kinds))

    for make, layer, actual in zip(kinds, layers, moves(layers, before), strict=True):
        reference = same_start(make(UNITS))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(reference(sequences()) - target))
        expected = tape.gradient(loss, reference.trainable_weights)
        for weight, a, e in zip(layer.trainable_weights, actual, expected, strict=True):
            assert tf.as_dtype(weight.dtype) == POLICIES[policy][0]
            assert np.max(np.abs(e)) > 1e-3
            np.testing.assert_allclose(
                a, -e, rtol=0, atol=TOLERANCES[policy], err_msg=make.__name__
            )

    if policy == "mixed_float16":  # The loss scale skips a step whose gradients are not finite.
        before = [[np.array(w) for w in layer.trainable_weights] for layer in layers]
        model.train_on_batch(np.full_like(sequences(), np.inf), [target] * len(kinds))
        assert all(np.all(move == 0) for layer in moves(layers, before) for move in layer)


@every_kind
def test_global_policy(make):
    dtype_policy = keras.mixed_precision.global_policy if LEGACY else keras.config.dtype_policy
    set_policy = (
        keras.mixed_precision.set_global_policy if LEGACY else keras.config.set_dtype_policy
    )
    before = dtype_policy()
    set_policy("mixed_bfloat16")
    try:
        layer = make(UNITS)
        assert layer(sequences()).dtype == tf.bfloat16
        assert dtypes(layer.trainable_weights) == {"float32"}
    finally:
        set_policy(before)
