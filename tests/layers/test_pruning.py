"""Pruning against projections in NumPy, and in every way to train and resume a model."""

import functools
import itertools
import re
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_fastgrnn.compat import LEGACY, import_tfmot, keras
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.fastgrnn import FastGRNN, FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNN, FastRNNCell
from keras_fastgrnn.pruning import Pruning, sparsity, three_phases

tfmot = import_tfmot()
ConstantSparsity = tfmot.sparsity.keras.ConstantSparsity
PolynomialDecay = tfmot.sparsity.keras.PolynomialDecay

STEPS_PER_EPOCH = 5
X = np.random.default_rng(0).normal(size=(18, 3, 4)).astype(np.float32)  # the last batch has 2
Y = np.random.default_rng(1).normal(size=(18, 2)).astype(np.float32)
CHANGES = np.random.default_rng(2).integers(-5, 6, size=(40, 64)).astype(np.float32)

# Tests of a few steps run eagerly, which saves compiling.
GRAPH = {"run_eagerly": False, "jit_compile": False}
MODES = {
    "graph": GRAPH,
    "jit": {"run_eagerly": False, "jit_compile": True},
    "eager": {},
    "steps_per_execution": {**GRAPH, "steps_per_execution": 3},
    "steps_per_execution_jit": {
        "run_eagerly": False,
        "jit_compile": True,
        "steps_per_execution": 2,
    },
}


class Scripted(keras.optimizers.SGD):
    """Adds whole numbers that depend only on the step, so that NumPy can compute the weights.

    They make ties, and zeros on the support.
    """

    def update_step(self, gradient, variable, learning_rate=None):
        size = int(np.prod(variable.shape))
        change = tf.gather(tf.constant(CHANGES), self.iterations)[:size]
        variable.assign_add(tf.reshape(change, variable.shape))


keras_3_alone = pytest.mark.skipif(LEGACY, reason="no optimizer of tf_keras can do this")


class NotCounting(keras.optimizers.SGD):
    """Overrides everything: no iterations, no constraints."""

    def apply(self, grads, trainable_variables=None):
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            variable.assign_sub(0.1 * gradient)


class Recorder(keras.callbacks.Callback):
    """Keeps the matrices of the cell after each batch."""

    def on_train_begin(self, logs=None):
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(matrices(self.model))


def small_model(optimizer="sgd", layer=None, **kwargs):
    keras.utils.set_random_seed(3)
    layer = FastGRNN(6, name="rnn") if layer is None else layer
    model = keras.Sequential([keras.Input((3, 4)), layer, keras.layers.Dense(2)])
    model.compile(optimizer, "mse", **{"run_eagerly": True, **kwargs})
    return model


def built(model):
    """Builds the optimizer too: otherwise fit() of Keras 3 makes its variables and traces twice."""
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model, *callbacks, epochs=1, **kwargs):
    model.fit(
        X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks, **kwargs
    )


def matrices(model):
    return {
        name: tf.convert_to_tensor(weight).numpy()
        for name, weight in model.layers[0].cell.matrices().items()
    }


def zeros(model):
    """The fraction of zeros in each matrix, by its name."""
    return {path.split("/")[-1]: fraction for path, fraction in sparsity(model).items()}


def kept(n, fraction):
    return 0 if fraction == 1 else max(1, round(n * (1 - fraction)))


def blocks(matrix, block_size):
    """The blocks of a matrix, row by row: views, the last ones maybe narrower."""
    rows, cols = (range(0, n, size) for n, size in zip(matrix.shape, block_size, strict=True))
    return [matrix[i : i + block_size[0], j : j + block_size[1]] for i in rows for j in cols]


def project(matrix, fraction, block_size=(1, 1)):
    means = [np.abs(block).mean() for block in blocks(matrix, block_size)]
    order = np.argsort(np.negative(means), kind="stable")
    support = np.zeros(matrix.shape, bool)
    views = blocks(support, block_size)
    for i in order[: kept(len(order), fraction)]:
        views[i][:] = True
    return support


def replay(matrix, updates, steps, block_size=(1, 1)):
    """A matrix after each step of Scripted, with the updates `{step: sparsity}`."""
    support = np.ones(matrix.shape, bool)
    history = []
    for step in range(steps + 1):
        if step > 0:
            matrix = matrix + CHANGES[step - 1, : matrix.size].reshape(matrix.shape)
        if step in updates:
            support = project(matrix, updates[step], block_size)
        matrix = np.where(support, matrix, 0)
        history.append(matrix)
    return history


def set_whole_numbers(model):
    generator = np.random.default_rng(4)
    for weight in model.layers[0].weights:
        if "kernel" in weight.name:
            weight.assign(generator.integers(-3, 4, size=weight.shape))


QUICK = ("graph", (1, 1)), ("eager", (4, 4)), ("steps_per_execution_jit", (4, 4))


@pytest.mark.one_keras
@pytest.mark.parametrize(
    ("mode", "block_size"),
    [
        pytest.param(*case, marks=[] if case in QUICK else pytest.mark.test_all)
        for case in itertools.product(MODES, [(1, 1), (4, 4)])
    ],
    ids=str,
)
def test_every_step_is_the_projection_of_the_paper(mode, block_size):
    model = built(small_model(Scripted(1.0), keras.layers.RNN(FastGRNNCell(6)), **MODES[mode]))
    set_whole_numbers(model)
    start = matrices(model)
    recorder = Recorder()
    pruning = Pruning(
        {
            "kernel": ConstantSparsity(0.75, begin_step=4, end_step=11, frequency=3),
            "recurrent_kernel": PolynomialDecay(0.0, 0.5, 0, 10, power=1, frequency=5),
        },
        block_size,
    )
    fit(model, recorder, pruning, epochs=3)
    updates = {
        "kernel": {4: 0.75, 7: 0.75, 10: 0.75, 11: 0.75},
        "recurrent_kernel": {0: 0.0, 5: 0.25, 10: 0.5},
    }
    expected = {name: replay(start[name], of, 15, block_size) for name, of in updates.items()}
    # Callbacks run once every steps_per_execution steps, and at the end of an epoch.
    per_execution = MODES[mode].get("steps_per_execution", 1)
    seen = [
        min(first + per_execution, STEPS_PER_EPOCH) + epoch * STEPS_PER_EPOCH
        for epoch in range(3)
        for first in range(0, STEPS_PER_EPOCH, per_execution)
    ]
    for name, history in expected.items():
        actual = [step[name] for step in recorder.steps]
        np.testing.assert_array_equal(actual, [history[step] for step in seen], err_msg=name)


@pytest.mark.one_keras
@pytest.mark.parametrize("end_step", [8, 9, 10])
def test_polynomial_decay_is_exact_at_its_end(end_step):
    model = small_model()
    recorder = Recorder()
    schedule = PolynomialDecay(0.0, 0.75, begin_step=2, end_step=end_step, frequency=4)
    fit(model, recorder, Pruning({"kernel": schedule, "recurrent_kernel": schedule}), epochs=2)
    for step in recorder.steps[end_step - 1 :]:
        assert [np.mean(matrix == 0) for matrix in step.values()] == [0.75, 0.75]


def test_a_run_cut_short_keeps_its_last_update_and_warns():
    model = small_model()
    schedule = PolynomialDecay(0.0, 0.75, begin_step=0, end_step=8, power=1, frequency=4)
    pruning = Pruning({"kernel": schedule})
    with pytest.warns(UserWarning, match=r"5 steps.*rnn/.*/kernel'\] at 0.375.* 0.75 at step 8"):
        fit(model, pruning)
    assert zeros(model) == {"kernel": 0.375, "recurrent_kernel": 0.0}
    fit(model, pruning)
    assert zeros(model) == {"kernel": 0.75, "recurrent_kernel": 0.0}
    with warnings.catch_warnings():  # no warning if the target was reached before
        warnings.simplefilter("error", UserWarning)
        fit(model, Pruning({"kernel": ConstantSparsity(0.5, 0, end_step=20)}))


@pytest.mark.one_keras
@pytest.mark.parametrize(
    "steps, begin, end, block_size",
    [
        pytest.param(
            *run, size, marks=[] if size == (1, 1) or run[0] == 8 else pytest.mark.test_all
        )
        for run in [(1, 0, 0), (2, 0, 1), (3, 1, 2), (8, 2, 5)]
        for size in [(1, 1), (4, 4), (3, 2)]
    ],
)
def test_three_phases_at_any_run_length(steps, begin, end, block_size):
    model = small_model(Scripted(1.0), FastGRNN(6, kernel_rank=2))
    set_whole_numbers(model)
    start = matrices(model)
    recorder = Recorder()
    model.fit(
        np.resize(X, (steps, 3, 4)),
        np.resize(Y, (steps, 2)),
        batch_size=1,
        shuffle=False,
        verbose=0,
        callbacks=[three_phases(0.75, 0.5, steps, frequency=2, block_size=block_size), recorder],
    )
    for name, fraction in {"kernel_a": 0.75, "kernel_b": 0.75, "recurrent_kernel": 0.5}.items():
        updates = dict.fromkeys([*range(begin, end, 2), end], fraction)
        history = replay(start[name], updates, steps, block_size)
        trained = [step[name] for step in recorder.steps]
        np.testing.assert_array_equal(trained, history[1:], err_msg=name)


def test_three_phases_end_at_their_sparsity():
    model = small_model("adam", FastGRNN(6, kernel_rank=2))
    fit(model, three_phases(0.75, 0.5, STEPS_PER_EPOCH))
    assert zeros(model) == {"kernel_a": 0.75, "kernel_b": 0.75, "recurrent_kernel": 0.5}


@pytest.mark.one_keras
@pytest.mark.parametrize("fraction, stay", [(0.0, 24), (0.55, 11), (0.98, 1), (1.0, 0)])
def test_number_of_weights_kept(fraction, stay):
    model = small_model()
    fit(model, Pruning({"kernel": lambda step: (step == 2, fraction)}))
    assert np.count_nonzero(matrices(model)["kernel"]) == stay


def weights_of(features, units, draw):
    """The matrices of a FastGRNN with `kernel_rank=3`, each from `draw(shape)`."""
    shapes = {"kernel_a": (features, 3), "kernel_b": (3, units), "recurrent_kernel": (units, units)}
    return {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}


def pruned(weights, fraction, block_size):
    """These matrices as `fit()` begins, past the schedule."""
    features, units = len(weights["kernel_a"]), len(weights["recurrent_kernel"])
    model = keras.Sequential([keras.Input((1, features)), FastGRNN(units, kernel_rank=3)])
    model.compile("sgd", "mse", run_eagerly=True)
    for name, weight in model.layers[0].cell.matrices().items():
        weight.assign(weights[name])
    schedules = dict.fromkeys(("kernel", "recurrent_kernel"), lambda step: (True, fraction))
    pruning = Pruning(schedules, block_size)
    pruning.set_model(model)
    pruning.on_train_begin()
    pruning.on_epoch_begin(0)
    return matrices(model)


SIZES = st.integers(1, 9)


@pytest.mark.one_keras
@settings(max_examples=25)
@given(SIZES, SIZES, st.tuples(SIZES, SIZES), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size(features, units, block_size, eighths, seed):
    """Whole numbers, which make ties; and eighths, of which NumPy and float32 keep as many."""
    generator = np.random.default_rng(seed)
    weights = weights_of(features, units, lambda shape: generator.integers(-3, 4, shape))
    for name, matrix in pruned(weights, eighths / 8, block_size).items():
        support = project(weights[name], eighths / 8, block_size)
        np.testing.assert_array_equal(matrix, np.where(support, weights[name], 0), err_msg=name)


@pytest.mark.parametrize("block_size", [(4, 1), (1, 4), (2, 3), (6, 4)], ids=str)
def test_blocks_are_those_of_tfmot(block_size):
    """Where the size divides that of the matrix: elsewhere tfmot measures one block and removes
    another."""
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl

    generator = np.random.default_rng(5)
    weights = weights_of(3, 12, lambda shape: generator.normal(size=shape))
    matrix = tf.Variable(weights["recurrent_kernel"])
    theirs = pruning_impl.Pruning(
        lambda: 0, [(matrix, None, None)], ConstantSparsity(0.6, 0), block_size, "AVG"
    )
    _, mask = theirs._maybe_update_block_mask(matrix)
    ours = pruned(weights, 0.6, block_size)["recurrent_kernel"]
    np.testing.assert_array_equal(ours != 0, mask.numpy() == 1)


def test_blocks_lie_along_the_inputs_of_every_integer_matrix():
    layer = FastGRNN(12, kernel_rank=6, recurrent_rank=8)
    model = keras.Sequential([keras.Input((3, 4)), layer])
    model.compile("adam", "mse", run_eagerly=True)
    y = np.zeros((len(X), 12), np.float32)
    model.fit(X, y, verbose=0, callbacks=[three_phases(0.5, 0.5, steps=1, block_size=(4, 1))])
    (operator,) = conversion(model, representative_dataset=X).operators
    cell = operator.integer_cell
    for matrix in (*cell.kernel, *cell.recurrent_kernel):  # (rows, cols): outputs and inputs
        in_blocks = blocks(matrix.values, (1, 4))
        assert sum(block.any() for block in in_blocks) == kept(len(in_blocks), 0.5)


@pytest.mark.parametrize(
    "block_size", [4, None, (4,), (4, 1, 1), (0, 1), (4, -1), (1.5, 1), "41x"], ids=repr
)
def test_wrong_block_sizes_are_refused(block_size):
    message = rf"block_size={re.escape(repr(block_size))}; expected two whole numbers from 1 on"
    with pytest.raises(ValueError, match=message):
        three_phases(0.5, 0.5, steps=30, block_size=block_size)


@pytest.mark.parametrize(
    "optimizer, first",
    [
        (functools.partial(keras.optimizers.Adam, 0.1), True),
        pytest.param(
            functools.partial(keras.optimizers.SGD, 0.1, momentum=0.99, nesterov=True),
            False,
            marks=pytest.mark.one_keras,
        ),
    ],
    ids=["adam, checkpoint first", "momentum, pruning first"],
)
def test_every_checkpoint_is_sparse(tmp_path, optimizer, first):
    model = built(small_model(optimizer(), **GRAPH))
    checkpoint = keras.callbacks.ModelCheckpoint(
        f"{tmp_path}/{{epoch}}-{{batch}}.keras", save_freq=1
    )
    schedule = ConstantSparsity(0.75, begin_step=0, end_step=6, frequency=3)
    pruning = Pruning({"kernel": schedule, "recurrent_kernel": schedule})
    fit(model, *([checkpoint, pruning] if first else [pruning, checkpoint]), epochs=2)
    saved = [
        keras.saving.load_model(str(path))
        for path in sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    ]
    assert len(saved) == 2 * STEPS_PER_EPOCH
    for step, model in enumerate(saved, start=1):
        assert zeros(model) == {"kernel": 0.75, "recurrent_kernel": 0.75}, step


def resumable(block_size=(1, 1)):
    return Pruning(
        {
            "kernel": ConstantSparsity(0.75, begin_step=3, end_step=13, frequency=4),
            "recurrent_kernel": PolynomialDecay(0.25, 0.75, 4, 9, frequency=4),
        },
        block_size,
    )


@functools.cache
def never_stopped(block_size=(1, 1)):
    model = built(small_model(keras.optimizers.Adam(0.05), **GRAPH))
    fit(model, resumable(block_size), epochs=4)
    return model.get_weights()


def assert_same_weights(weights, expected):
    for actual, desired in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(actual, desired)


@pytest.mark.parametrize(
    "block_size", [pytest.param((1, 1), marks=pytest.mark.test_all), (4, 4)], ids=str
)
def test_a_loaded_model_resumes_as_if_never_stopped(tmp_path, block_size):
    model = built(small_model(keras.optimizers.Adam(0.05), **GRAPH))
    checkpoint = keras.callbacks.ModelCheckpoint(f"{tmp_path}/{{epoch}}.keras")
    fit(model, resumable(block_size), checkpoint, epochs=3)
    for epoch in (1, 3):
        model = keras.saving.load_model(f"{tmp_path}/{epoch}.keras")
        fit(model, resumable(block_size), epochs=4, initial_epoch=epoch)
        assert_same_weights(model.get_weights(), never_stopped(block_size))


class Crash(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.one_keras
@pytest.mark.parametrize(
    "first",
    [True, pytest.param(False, marks=pytest.mark.test_all)],
    ids=["backup first", "pruning first"],
)
def test_backup_and_restore_resumes_as_if_never_stopped(tmp_path, first):
    def train(*more):
        model = small_model(keras.optimizers.Adam(0.05), **GRAPH)
        callbacks = [keras.callbacks.BackupAndRestore(str(tmp_path)), resumable()]
        fit(model, *(callbacks if first else callbacks[::-1]), *more, epochs=4)
        return model.get_weights()

    with pytest.raises(KeyboardInterrupt):
        train(Crash())
    assert_same_weights(train(), never_stopped())


def test_interrupted_fit_does_not_affect_the_next_pruning():
    model = small_model(keras.optimizers.Adam(0.05))
    everything = Pruning(
        {"kernel": ConstantSparsity(0.99, 0), "recurrent_kernel": lambda s: (True, 1.0)}
    )
    start = model.get_weights()

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, everything, Stop())
    assert zeros(model)["recurrent_kernel"] == 1.0
    model.set_weights(start)
    model.compile(keras.optimizers.Adam(0.05), "mse", **GRAPH)
    fit(model, resumable(), epochs=4)
    assert_same_weights(model.get_weights(), never_stopped())
    assert "train_step" not in vars(model)  # it is the method again


def test_fit_without_pruning_frees_the_weights():
    model = small_model(**GRAPH)
    weights = len(model.weights)
    saved = len(model.variables)
    fit(model, Pruning({"kernel": ConstantSparsity(0.75, 0)}))
    assert (len(model.weights), len(model.variables)) == (weights, saved)
    assert zeros(model)["kernel"] == 0.75
    fit(model)
    assert zeros(model)["kernel"] == 0.0


def test_train_step_and_optimizer_of_the_user():
    model = small_model("sgd" if LEGACY else None, **GRAPH)

    def train_step(data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        variables = model.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.1 * gradient)
        return {"loss": loss}

    model.train_step = train_step
    before = model.get_weights()
    fit(model, Pruning({"kernel": ConstantSparsity(0.75, begin_step=3)}))
    assert model.train_step is train_step
    assert zeros(model) == {"kernel": 0.75, "recurrent_kernel": 0.0}
    assert all((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))


def test_unbuilt_model_is_pruned_from_step_0():
    model = keras.Sequential([FastGRNN(6, name="rnn"), keras.layers.Dense(2)])
    model.compile("adam", "mse", **GRAPH)
    recorder = Recorder()
    fit(model, recorder, Pruning({"kernel": lambda step: (step == 0, 0.75)}))
    assert [np.mean(step["kernel"] == 0) for step in recorder.steps] == [0.75] * STEPS_PER_EPOCH


@keras_3_alone
@pytest.mark.filterwarnings("ignore:Training ended after 5 steps")
def test_optimizer_that_counts_updates_not_steps():
    """Under gradient accumulation and a loss scale the schedule still counts batches."""
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=5)
    model = small_model(keras.optimizers.LossScaleOptimizer(optimizer))
    updates = []
    schedule = ConstantSparsity(0.75, begin_step=7, end_step=12)
    for epoch in range(3):
        fit(model, Pruning({"kernel": schedule}), epochs=epoch + 1, initial_epoch=epoch)
        updates.append(zeros(model)["kernel"])
    assert updates == [0.0, 0.75, 0.75]


@keras_3_alone
def test_optimizer_that_does_not_count():
    model = small_model(NotCounting())
    pruning = Pruning({"kernel": ConstantSparsity(0.75, begin_step=7, end_step=8)})
    with pytest.warns(UserWarning, match="5 steps"):
        fit(model, pruning)
    assert zeros(model)["kernel"] == 0.0
    fit(model, pruning)
    assert zeros(model)["kernel"] == 0.75
    assert int(model.optimizer.iterations) == 0
    model.compile(NotCounting(), "mse", run_eagerly=True)
    with pytest.warns(UserWarning, match="5 steps"):  # its count starts anew
        fit(model, pruning)


def test_averaged_weights_are_sparse():
    model = small_model(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    fit(model, Pruning({"kernel": ConstantSparsity(0.75, begin_step=3, end_step=3)}))
    assert zeros(model)["kernel"] == 0.75


def test_model_past_its_schedule_is_pruned_at_once():
    model = small_model()
    fit(model)
    recorder = Recorder()
    fit(model, recorder, Pruning({"kernel": PolynomialDecay(0.0, 0.75, 0, 3)}))
    assert [np.mean(step["kernel"] == 0) for step in recorder.steps] == [0.75] * 5


def test_each_matrix_of_each_cell_has_its_own_sparsity():
    keras.backend.clear_session()  # else the StackedRNNCells below is numbered after other tests'
    shared = FastGRNN(4, name="shared")

    def branch(name):
        x = keras.Input((3, 4))
        y = keras.layers.RNN(FastGRNNCell(8, name="cell"), return_sequences=True, name="rnn")(x)
        return keras.Model(x, shared(y), name=name)

    x = keras.Input((3, 4))
    left, right = branch("left")(x), branch("right")(x)
    both = keras.layers.Bidirectional(FastRNN(8, kernel_rank=2, recurrent_rank=2, name="both"))(x)
    stack = keras.layers.RNN(
        [FastRNNCell(8, name="low"), FastRNNCell(8, name="high")], name="stack"
    )
    y = keras.layers.Dense(2)(keras.layers.concatenate([left, right, both, stack(x)]))
    model = keras.Model(x, y)
    model.compile("sgd", "mse", run_eagerly=True)

    def at(fraction):
        return ConstantSparsity(fraction, 0)

    pruning = Pruning(
        {
            "kernel": at(0.25),
            "left/kernel": at(0.5),
            "high/kernel": at(0.75),
            "stack/kernel": at(0.125),
            "recurrent_kernel": at(0.375),
            "right/recurrent_kernel": at(0.625),
            "recurrent_kernel_a": at(0.875),
            "backward_both/recurrent_kernel": at(0.0625),
            "backward_both/recurrent_kernel_b": at(0.9375),
        }
    )
    model.fit(X, Y, verbose=0, callbacks=[pruning])  # one step
    cells = {
        "left/rnn/cell": (0.5, 0.375),
        "right/rnn/cell": (0.25, 0.625),
        "left/shared/": (0.5, 0.375),
        "stack/stacked_rnn_cells/low": (0.125, 0.375),
        "stack/stacked_rnn_cells/high": (0.75, 0.375),
        "forward_both/": (0.25, 0.25, 0.875, 0.375),
        "backward_both/": (0.25, 0.25, 0.0625, 0.9375),
    }
    measured = sparsity(model)
    assert len(measured) == sum(map(len, cells.values()))
    for cell, expected in cells.items():
        actual = tuple(value for path, value in measured.items() if cell in path)
        assert actual == expected, cell


def test_frozen_layers_are_left_alone():
    frozen, free = FastGRNN(6, name="frozen", return_sequences=True), FastGRNN(6, name="free")
    model = keras.Sequential([keras.Input((3, 4)), frozen, free, keras.layers.Dense(2)])
    frozen.trainable = False
    model.compile("adam", "mse", run_eagerly=True)
    fit(model, Pruning({"kernel": ConstantSparsity(0.75, 0)}))
    measured = {path.split("/")[0]: f for path, f in sparsity(model).items() if "/kernel" in path}
    assert measured == {"frozen": 0.0, "free": 0.75}


@pytest.mark.parametrize(
    "schedules, message",
    [
        ({"kernel": 0.5}, r"schedules\['kernel'\] is 0.5; expected a schedule"),
        ({"encoder/kernel": ConstantSparsity(0.5, 0)}, r"names \['encoder/kernel'\], .*\['rnn/"),
        ({"kernel": PolynomialDecay(0.0, 0.5, 3, 3)}, "sparsity nan at step 3"),
        ({"kernel": lambda step: (True, 1.5)}, "sparsity 1.5 at step 0"),
    ],
)
def test_wrong_schedules_are_refused(schedules, message):
    with pytest.raises(ValueError, match=message):
        fit(small_model(), Pruning(schedules))


def test_two_callbacks_are_refused():
    pruning = [Pruning({name: ConstantSparsity(0.5, 0)}) for name in ("kernel", "recurrent_kernel")]
    with pytest.raises(ValueError, match="second Pruning"):
        fit(small_model(), *pruning)


@pytest.mark.one_keras
def test_two_replicas_prune_as_one():
    """In a child process: logical devices can be made only before one is used."""
    code = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.compat import keras
from keras_fastgrnn.pruning import Pruning

X = np.random.default_rng(0).normal(size=(40, 5, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)

class Recorder(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        history.append([copies(w) for w in self.model.layers[0].weights if "kernel" in w.name])

def copies(weight):
    weight = getattr(weight, "_value", weight)  # of Keras 3
    return [copy.numpy() for copy in getattr(weight, "values", [weight])]

def train(strategy, layers):
    global history
    history = []
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = keras.Sequential(layers())
        model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    pruning = Pruning({
        "kernel": lambda step: (step % 3 == 2, 0.75),
        "recurrent_kernel": lambda step: (step % 4 == 0, tf.where(step < 16, 0.25, 0.5)),
    }, block_size=(1, 3))
    callbacks = [pruning, Recorder()]
    model.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
    return history

def built():
    return [keras.Input((5, 4)), FastGRNN(6, recurrent_rank=3), keras.layers.Dense(2)]

alone = train(tf.distribute.get_strategy(), built)
mirrored = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), built)
assert len(alone) == len(mirrored) == 20
for step, (one, two) in enumerate(zip(alone, mirrored, strict=True)):
    for (expected,), (first, second) in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first == 0, expected == 0)
        # float32 sums over the batch in another order, in 20 steps of Adam.
        np.testing.assert_allclose(first, expected, rtol=0, atol=1e-5)
assert [np.mean(matrix[0] == 0) for matrix in mirrored[-1]] == [0.75, 0.5, 0.5]
"""
    child = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert child.returncode == 0, child.stderr


def test_other_strategies_are_refused():
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    pruning = Pruning({"kernel": ConstantSparsity(0.5, 0)})
    pruning.set_model(types.SimpleNamespace(distribute_strategy=strategy))
    with pytest.raises(ValueError, match="needs a MirroredStrategy; this model has 2 replicas in"):
        pruning.on_train_begin()


def test_same_path_twice_is_refused():
    cells = [FastGRNNCell(4, name="cell"), FastGRNNCell(4, name="cell")]
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.RNN(cells, name="stack")])
    with pytest.raises(ValueError, match="called 'stack/stacked_rnn_cells.*/cell/kernel'"):
        sparsity(model)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sparsity": 1.0}, "sparsity=1.0; expected"),
        ({"recurrent_sparsity": -0.1}, "recurrent_sparsity=-0.1; expected"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 9.375}, "steps=9.375; expected a whole number"),
        ({"begin_step": 7.5}, "begin_step=7.5; expected a whole number"),
        ({"end_step": np.float32(20.5)}, "end_step=.*20.5.*; expected a whole number"),
        ({"frequency": "15"}, "frequency='15'; expected a whole number"),
        ({"begin_step": 21}, "begin_step=21"),
        ({"end_step": 31}, "end_step=31"),
        ({"frequency": 0}, "frequency=0"),
    ],
)
def test_wrong_phases_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        three_phases(**{"sparsity": 0.5, "recurrent_sparsity": 0.5, "steps": 30, **change})


def test_phases_take_whole_numbers_of_any_type():
    steps = [three_phases(0.5, 0.5, steps) for steps in (30, 30.0, np.int64(30), np.float32(30))]
    schedules = [pruning.schedules["kernel"] for pruning in steps]
    assert {(type(s.begin_step), s.begin_step, s.end_step) for s in schedules} == {(int, 10, 20)}
