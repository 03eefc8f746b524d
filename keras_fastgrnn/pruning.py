"""Sparse training: projects every matrix on its top-k support (paper, section 3.2.1)."""

import warnings

import numpy as np
import tensorflow as tf

from keras_fastgrnn.arguments import whole_number
from keras_fastgrnn.compat import import_tfmot, keras, make_train_function
from keras_fastgrnn.fastgrnn import FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNNCell
from keras_fastgrnn.support import project, support, two_sizes


def sparsity(model: keras.Model) -> dict[str, float]:
    """The fraction of zeros in each matrix of the FastRNN and FastGRNN cells of a model.

    Args:
        model: a built Keras model; the cells may be nested in it at any depth.

    Returns:
        Dict from path to a float in `[0, 1]`. A path is the names of the layers around the matrix
        and of the matrix, such as `"bidirectional/forward_rnn/fast_grnn_cell/kernel"`. A shared
        layer is listed once, at its first place.

    Raises:
        ValueError: if two matrices have the same path.
    """
    return {
        path: float(np.mean(tf.convert_to_tensor(matrix).numpy() == 0))
        for path, matrix in _matrices(model).items()
    }


def _matrices(model):
    """Dict from path to the Keras variable."""
    # Not Keras's own `variable.path`: in a nested functional model it lacks the model's name, so
    # that two branches made by one function have the same paths.
    matrices = {}
    seen = set()

    def visit(layer, prefix):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        if isinstance(layer, (FastRNNCell, FastGRNNCell)):
            for name, weight in layer.matrices().items():
                path = prefix + name
                if path in matrices:
                    raise ValueError(
                        f"Two matrices are called {path!r}: give the layers different names."
                    )
                matrices[path] = weight
        for child in layer._flatten_layers(include_self=False, recursive=False):
            visit(child, f"{prefix}{child.name}/")

    visit(model, "")
    return matrices


class Pruning(keras.callbacks.Callback):
    """Holds each matrix at the sparsity of its schedule, from `fit()` on.

    After every training step each matrix is projected: on its largest magnitudes at an update of
    the schedule, on the support of the last update otherwise. This is the iterative hard
    thresholding of [FastGRNN](https://arxiv.org/abs/1901.02358), section 3.2.1: an entry off the
    support is exactly zero between two updates, and returns if, at an update, its one free
    optimizer step made it, or its block, large enough. The projection is part of the training step,
    so a checkpoint is sparse with any order of callbacks, `steps_per_execution`, `jit_compile`,
    `run_eagerly` and optimizer.

    A schedule is any callable `schedule(step) -> (should_prune, sparsity)`, such as tfmot's
    `ConstantSparsity` and `PolynomialDecay`:

    - `step` is an int64 scalar tensor: the number of training steps (batches) so far, 0 before the
      first. As in tfmot, the schedule runs inside the training graph and computes with TensorFlow.
    - `sparsity` is the fraction *removed*, 0 to 1, as in tfmot. (The paper's and EdgeML's s_w and
      s_u are the fraction kept.) `round(n * (1 - sparsity))` of n blocks stay, at least one unless
      `sparsity` is 1. By default each entry is a block. Among equal blocks the lower indices stay.
    - a schedule with an `end_step` also gets an update at that step. tfmot's schedules are then
      exact at their end, even if `end_step - begin_step` is not a multiple of their `frequency`.
    - only `should_prune` changes the support: after the last update it is frozen.

    A run that stops before `end_step` keeps the sparsity of its last update; a warning says so.

    Resuming: only the zeros of the weights and the optimizer's step count are saved. When `fit()`
    starts, the support is read back from the weights, with the sparsity of the schedule's last
    update at that count. A model whose count is past the schedule is thus pruned at once; compile
    it anew to start at 0. If the optimizer does not count its steps, this object does, from `fit()`
    to `fit()` but not across a checkpoint.

    Frozen layers (`trainable=False`) are not pruned. Averaged weights (`use_ema`) are projected
    when training ends, but not while `SwapEMAWeights` has them in the model.
    `EarlyStopping` with `restore_best_weights` may bring back weights from before the pruning:
    start it later, with `start_from_epoch`. After an interrupted `fit()`, compile the model anew
    before training it without pruning.

    Args:
        schedules: dict from the name of matrices to their schedule: `"kernel"` or
            `"recurrent_kernel"`, which include their low-rank factors (each pruned by itself), or
            one factor, as `"kernel_a"`. `"encoder/kernel"` names only matrices in layers and
            models called `encoder`. The most specific name wins; matrices without a name stay
            dense.
        block_size: two whole numbers, the inputs and the outputs of a block, as tfmot's
            `block_size`. The entries of a block stay or go together, by the mean of their
            magnitudes. `(4, 4)` is four consecutive inputs of four consecutive units: the exporter
            has an encoding for these blocks (docs/format.md). Every matrix and every factor is
            `(inputs, outputs)`, so that one size suits all. Where the size does not divide that of
            a matrix, the last blocks are narrower.

    Raises:
        ValueError: if a schedule is not callable, or `block_size` is not two whole numbers from 1
            on. In `fit()`: if a name fits no matrix of the model, a schedule gives a sparsity
            outside of 0 to 1, the same `fit()` has a second `Pruning`, or the model has a
            distribution strategy other than `MirroredStrategy`.

    Example:

    ```python
    pruning = keras_fastgrnn.pruning.Pruning({
        "kernel": tfmot.sparsity.keras.ConstantSparsity(0.8, begin_step=1000, end_step=2000),
        "recurrent_kernel": tfmot.sparsity.keras.PolynomialDecay(0.0, 0.5, 1000, 2000),
    })
    model.fit(x, y, callbacks=[pruning])
    ```
    """

    def __init__(self, schedules, block_size=(1, 1)):
        super().__init__()
        for name, schedule in schedules.items():
            if not callable(schedule):
                raise ValueError(
                    f"schedules[{name!r}] is {schedule!r}; expected a schedule, called as "
                    "schedule(step) -> (should_prune, sparsity)."
                )
        self.schedules = dict(schedules)
        self.block_size = two_sizes(block_size)
        self._step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._optimizer = None
        self._uncounted = 0

    def on_train_begin(self, logs=None):
        strategy = self.model.distribute_strategy
        replicas = strategy.num_replicas_in_sync
        if replicas > 1 and not isinstance(strategy, tf.distribute.MirroredStrategy):
            raise ValueError(
                f"Pruning on several replicas needs a MirroredStrategy; this model has {replicas} "
                f"replicas in a {type(strategy).__name__}."
            )
        self._pruned = None
        make_train_function(self.model, self._prune_after(self.model.train_step))
        self._train_function = self.model.train_function

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: BackupAndRestore loads weights when training begins.
        if self._pruned is None and self.model.built:
            self._start()
        if self.model.train_function is not self._train_function:
            raise ValueError(
                "Another callback has replaced the model's train_function. If it is a second "
                "Pruning, give all schedules to one."
            )

    def on_train_end(self, logs=None):
        if self._pruned is not None:
            # Weights may have changed outside of a step: averaged (`use_ema`) or restored.
            self._settle()
            self._uncounted = int(self._step) - self._counted()
            self._warn_if_short()
        self.model.train_function = None

    def _prune_after(self, train_step):
        @tf.autograph.experimental.do_not_convert
        def pruned_train_step(data):
            if self._pruned is None:
                # This code is being traced; init_scope runs it now, outside the graph.
                with tf.init_scope():
                    self._build(data)
                    self._start()
            logs = train_step(data)
            # Once for all replicas, on the variables that they share.
            tf.distribute.get_replica_context().merge_call(self._prune)
            return logs

        return pruned_train_step

    def _prune(self, strategy):
        """Prunes, as part of a training step."""
        self._step.assign_add(1)
        for schedule, matrices in self._pruned:
            self._follow(schedule, matrices)

    def _build(self, data):
        if self.model.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"Model '{self.model.name}' is not built. To prune it on several replicas, give it "
                "an Input, or call it once on data."
            )
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.model(
            tf.nest.map_structure(lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype), x)
        )

    def _start(self):
        """Pairs the matrices with their schedules, and resumes from the weights' support."""
        trainable = {id(weight) for weight in self.model.trainable_weights}
        matrices = {p: m for p, m in _matrices(self.model).items() if id(m) in trainable}
        names = {path: self._name(path) for path in matrices}
        unused = sorted(self.schedules.keys() - names.values())
        if unused:
            raise ValueError(
                f"schedules has the names {unused}, which fit no trainable matrix; the model has "
                f"{sorted(matrices)}. Name a matrix, as 'kernel', or a layer too, as "
                "'encoder/kernel'."
            )
        pruned = {}
        for path, matrix in matrices.items():
            if names[path] is not None:
                schedule = self.schedules[names[path]]
                mask = tf.Variable(tf.ones(matrix.shape, tf.bool), trainable=False)
                pruned.setdefault(id(schedule), (schedule, []))[1].append((path, matrix, mask))
        self._pruned = list(pruned.values())

        if self.model.optimizer is not self._optimizer:
            self._optimizer = self.model.optimizer
            self._uncounted = 0
        self._step.assign(self._counted() + self._uncounted)
        self._settle()

    def _name(self, path):
        """The most specific key of `schedules` that fits the matrix; `None` if none does."""
        *layers, factor = path.split("/")
        names = (factor, factor.removesuffix("_a").removesuffix("_b"))
        keys = [f"{layer}/{name}" for name in names for layer in reversed(layers)]
        return next((key for key in (*keys, *names) if key in self.schedules), None)

    def _counted(self):
        """The training steps by the optimizer's count: updates times accumulation."""
        if self._optimizer is None:  # a train_step with its own optimizers
            return 0
        optimizer = getattr(self._optimizer, "inner_optimizer", self._optimizer)  # LossScale
        iterations = int(tf.convert_to_tensor(optimizer.iterations))
        return iterations * (getattr(optimizer, "gradient_accumulation_steps", None) or 1)

    def _settle(self):
        """Gives the matrices their support after `_step` steps of their schedules."""
        for schedule, matrices in self._pruned:
            fraction = self._reached(schedule)
            for _, matrix, mask in matrices:
                mask.assign(support(matrix, fraction, self.block_size))
                project(matrix, mask)

    def _reached(self, schedule):
        """The sparsity of the last update so far; 0 before the first."""
        step = _last_update(schedule, int(self._step))
        return 0.0 if step < 0 else _sparsity_at(schedule, step)

    def _follow(self, schedule, matrices):
        due, fraction = _evaluate(schedule, self._step.read_value())

        def update():
            for _, matrix, mask in matrices:
                mask.assign(support(matrix, fraction, self.block_size))

        tf.cond(due, update, lambda: None)  # so that only an update pays for the sort
        for _, matrix, mask in matrices:
            project(matrix, mask)

    def _warn_if_short(self):
        for schedule, matrices in self._pruned:
            end_step = getattr(schedule, "end_step", -1)
            if end_step <= self._step:
                continue
            reached, target = self._reached(schedule), _sparsity_at(schedule, end_step)
            if reached != target:
                warnings.warn(
                    f"Training ended after {int(self._step)} steps with the sparsity of "
                    f"{[path for path, _, _ in matrices]} at {reached:.4g}. Its schedule reaches "
                    f"{target:.4g} at step {end_step}: train longer, or give an earlier end_step.",
                    stacklevel=2,
                )


def three_phases(
    sparsity: float,
    recurrent_sparsity: float,
    steps: int,
    begin_step: int | None = None,
    end_step: int | None = None,
    frequency: int = 15,
    block_size: tuple[int, int] = (1, 1),
) -> Pruning:
    """Pruning as in the FastGRNN paper: dense, then sparsifying, then on a frozen support.

    ```python
    steps = epochs * math.ceil(len(x) / batch_size)
    model.fit(x, y, batch_size, epochs, callbacks=[three_phases(0.8, 0.5, steps)])
    ```

    I: the low-rank factors (or the full matrices) are trained dense. II: from `begin_step` to
    `end_step` the support is chosen anew every `frequency` steps, and at `end_step`. III: the
    support is frozen, and the weights on it are trained to the end. By default, as in EdgeML's
    trainer, each phase is a third of the run and the support changes every 15 steps. The sparsity
    is exact for any `steps`, down to 1.

    Args:
        sparsity: fraction *removed* of `kernel`, or of each of its factors: 0 to 1, 1 not
            included. (The paper's s_w is the fraction kept, `1 - sparsity`.)
        recurrent_sparsity: the same for `recurrent_kernel` (the paper's 1 - s_u).
        steps: training steps of the whole run: batches an epoch times epochs.
        begin_step: first step of phase II; `steps // 3` by default.
        end_step: last step of phase II; `2 * steps // 3` by default.
        frequency: steps between two updates of the support in phase II.
        block_size: as in `Pruning`.

    Returns:
        `Pruning` with one `tfmot.sparsity.keras.ConstantSparsity` for each of the two.

    Raises:
        ValueError: if a sparsity is out of its range, a step or `frequency` is not whole, not
            `0 <= begin_step <= end_step <= steps`, `frequency` or `steps` is below 1, or
            `block_size` is not two whole numbers from 1 on.
    """
    steps, frequency = whole_number("steps", steps), whole_number("frequency", frequency)
    begin_step = whole_number("begin_step", steps // 3 if begin_step is None else begin_step)
    end_step = whole_number("end_step", 2 * steps // 3 if end_step is None else end_step)
    for name, value in (("sparsity", sparsity), ("recurrent_sparsity", recurrent_sparsity)):
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name}={value}; expected the fraction removed, 0 <= {name} < 1.")
    if not 0 <= begin_step <= end_step <= steps or steps < 1 or frequency < 1:
        raise ValueError(
            f"begin_step={begin_step}, end_step={end_step}, steps={steps}, frequency={frequency}; "
            "expected 0 <= begin_step <= end_step <= steps, steps >= 1 and frequency >= 1."
        )
    constant_sparsity = import_tfmot().sparsity.keras.ConstantSparsity
    return Pruning(
        {
            "kernel": constant_sparsity(sparsity, begin_step, end_step, frequency),
            "recurrent_kernel": constant_sparsity(
                recurrent_sparsity, begin_step, end_step, frequency
            ),
        },
        block_size,
    )


def _evaluate(schedule, step):
    """Whether an update is due at `step`, and its sparsity."""
    due, fraction = schedule(step)
    due = tf.logical_or(due, tf.equal(step, getattr(schedule, "end_step", -1)))
    return due, tf.cast(fraction, tf.float32)


def _sparsity_at(schedule, step):
    fraction = float(_evaluate(schedule, tf.constant(step, tf.int64))[1])
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(
            f"The schedule {schedule!r} gives the sparsity {fraction} at step {step}; expected the "
            "fraction removed, 0 to 1."
        )
    return fraction


def _last_update(schedule, step):
    """The last step up to `step` at which an update was due; -1 if there was none."""
    end_step = getattr(schedule, "end_step", -1)
    if 0 <= end_step <= step:
        return end_step

    @tf.function(input_signature=[tf.TensorSpec((), tf.int64)])
    def search(step):
        return tf.while_loop(
            lambda s: tf.logical_and(s >= 0, tf.logical_not(_evaluate(schedule, s)[0])),
            lambda s: s - 1,
            [step],
        )[0]

    # A direct call would make TensorFlow warn of repeated tracing.
    return int(search.get_concrete_function()(tf.constant(step, tf.int64)))
