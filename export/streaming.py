"""Checks of streaming: whether a model can run step by step, and after how many steps without a
reset its state saturates."""

import collections
import math

import numpy as np
import tensorflow as tf

from keras_fastgrnn.export.cell.calibrate import run
from keras_fastgrnn.export.keras_model import functional, run_model
from keras_fastgrnn.export.report.resolution import warn

# The timesteps of the check, if the model takes any number: more than any layer reaches back.
_TIMESTEPS = 1000
_SAMPLES = 4
# Factors on the samples' magnitude. Small, large, positive and negative values reveal layers that
# treat only one of these kinds differently.
_SCALES, _SIGNS = (0.1, 1.0, 10.0, 100.0), (lambda x: x, np.abs, lambda x: -np.abs(x))

# Relative to the sum of a layer's output magnitudes. float32 rounds by 1e-7 of a value, and an
# activation may amplify that in the few values near its bend; int8 has steps of 4e-3.
_TOLERANCE = 1e-4

_LEAST = 1000  # steps for which every state is followed
# A state that one pass over the samples enlarges by no more than this factor has stopped growing.
_GROWS = 1.01

_CHUNK = 1024  # samples whose layer outputs are in memory at a time


def as_steps(columns):
    """Cuts samples into the steps of streams.

    Args:
        columns: the result of `representative_arrays(streaming=True)`.

    Returns:
        `(inputs, lengths)`: an array `(steps, 1, ...)` of all steps for each input, and the number
        of steps of each sample.

    Raises:
        ValueError: if a sample has no time steps, or not equally many in each input.
    """
    lengths = []
    for batch in zip(*columns, strict=True):
        shapes = {x.shape[:2] if x.ndim > 2 else None for x in batch}
        if len(shapes) > 1 or None in shapes:
            raise ValueError(
                "Streaming needs inputs of shape (timesteps, features) with the same timesteps; "
                f"got {[x.shape[1:] for x in batch]}."
            )
        ((n, timesteps),) = shapes
        lengths += [timesteps] * n
    steps = [np.concatenate([x.reshape(-1, 1, *x.shape[2:]) for x in column]) for column in columns]
    return steps, np.array(lengths)


def first_steps(lengths):
    """Returns the index of each stream's first step among all steps."""
    return np.cumsum(lengths) - lengths


def in_streams(run, x, lengths):
    """Runs a cell over streams, all streams of one length at once.

    Args:
        run: function from `(n, timesteps, features)` to the states `(n, timesteps, units)`.
        x: array `(n, timesteps, features)`.
        lengths: integers, the steps of each stream; in `x` the streams follow one another. `None`:
            each of the n sequences is a stream.

    Returns:
        Array `(n, timesteps, units)`.
    """
    if lengths is None:
        return run(x)
    steps, lengths = x.reshape(-1, x.shape[2]), np.asarray(lengths)
    if np.all(lengths == lengths[0]):
        states = run(steps.reshape(len(lengths), -1, x.shape[2]))
        return states.reshape(*x.shape[:2], -1)
    starts, states = first_steps(lengths), None
    for length in np.unique(lengths):
        rows = starts[lengths == length, np.newaxis] + np.arange(length)
        part = run(steps[rows])
        if states is None:
            states = np.empty((len(steps), part.shape[2]), part.dtype)
        states[rows] = part
    return states.reshape(*x.shape[:2], -1)


# ---- Whether a model can run step by step ----


def check_streaming(model, steps, lengths):
    """Refuses a model whose outputs step by step differ from those of the whole sequence.

    All layers except the recurrent ones, which qualify by construction, run on sequences and on
    their single steps: on a few samples, and on random ones. The outputs of recurrent layers are
    random here too.

    Args:
        model: as in `run_model()`.
        steps, lengths: the result of `as_steps()`.

    Raises:
        ValueError: with the name of the first layer that mixes time steps.
    """
    timesteps = next(filter(None, (x.shape[1] for x in functional(model).inputs)), _TIMESTEPS)
    rng = np.random.default_rng(0)
    n = len(_SCALES) * len(_SIGNS)
    inputs = [
        np.concatenate([_some(x, lengths, timesteps), _random_like(x, n, timesteps, rng)])
        for x in steps
    ]
    n = len(inputs[0])
    states, outputs = [], []

    def whole(recurrent, x):
        if recurrent.go_backwards:
            raise ValueError(
                f"Layer '{recurrent.name}' reads its sequence backwards (go_backwards or "
                "Bidirectional), which a stream cannot. Convert the model without streaming, or "
                "let the layer read forwards."
            )
        states.append(_random(n, timesteps, (recurrent.cell.units,), rng))
        return tf.constant(recurrent.write(states[-1]))

    def step(recurrent, _):
        return tf.constant(recurrent.write(states.pop(0).reshape(-1, 1, recurrent.cell.units)))

    def compare(name, got):
        for y, expected in zip(tf.nest.flatten(got), outputs.pop(0), strict=True):
            if _differ(np.asarray(y), np.asarray(expected), n, timesteps):
                raise ValueError(
                    f"Layer '{name}' mixes time steps: its result would differ if they came one at "
                    "a time. Convert the model without streaming, or leave the layer out."
                )

    run_model(
        model,
        list(map(tf.constant, inputs)),
        whole,
        lambda _, y: outputs.append(tf.nest.flatten(y)),
    )
    run_model(model, [tf.constant(x.reshape(-1, 1, *x.shape[2:])) for x in inputs], step, compare)


def _some(steps, lengths, timesteps):
    """Returns a few of the samples, each repeated up to the timesteps."""
    starts = first_steps(lengths)
    chosen = np.unique(np.linspace(0, len(lengths) - 1, _SAMPLES).astype(int))
    rows = starts[chosen, np.newaxis] + np.arange(timesteps) % lengths[chosen, np.newaxis]
    return steps[rows, 0]


def _random_like(steps, n, timesteps, rng):
    """Returns random samples with the magnitude of each feature."""
    shape = steps.shape[2:]
    if steps.dtype.kind != "f":
        return rng.integers(steps.min(), steps.max() + 1, (n, timesteps, *shape)).astype(
            steps.dtype
        )
    magnitude = np.sqrt(np.mean(np.square(steps, dtype=np.float64), axis=(0, 1)))
    magnitude = np.where(magnitude > 0, magnitude, magnitude.max() or 1.0)
    return (magnitude * _random(n, timesteps, shape, rng)).astype(steps.dtype)


def _random(n, timesteps, shape, rng):
    """Returns float32 `(n, timesteps, *shape)`, with each scale and sign in turn."""
    x = rng.normal(size=(n, timesteps, *shape))
    for i in range(n):
        x[i] = _SCALES[i % len(_SCALES)] * _SIGNS[i % len(_SIGNS)](x[i])
    return x.astype(np.float32)


def _differ(got, expected, n, timesteps):
    """Whether a layer's outputs for steps differ from those for sequences: at each step of an
    output sequence, else at the last step."""
    if len(got) != n * timesteps or len(expected) != n:
        return False  # a constant: the layer that reads it is compared
    got = got.reshape(n, timesteps, *got.shape[1:])
    if got.shape[2:3] == (1,) and expected.shape[1:2] == (timesteps,):
        got = got[:, :, 0]
    else:
        got = got[:, -1]
    if got.shape != expected.shape:
        return True
    got, expected = (y.reshape(n, -1).astype(np.float64) for y in (got, expected))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where((got == expected) | np.isnan(got) & np.isnan(expected), 0, got - expected)
        size = np.where(np.isfinite(expected), np.abs(expected), 0)
        return not np.all(np.abs(error).sum(axis=1) <= _TOLERANCE * size.sum(axis=1))


# ---- How long the state lasts ----


def find_saturation(model, inputs, operators):
    """Runs over all samples without a reset, and warns of states that saturate.

    A short calibration set is read repeatedly, up to four times the length of the longest stream: a
    format covers at most 2.5 times the largest state of the calibration (docs/numerics.md).

    Args:
        model, inputs: as in `run_model()`; the inputs hold all samples.
        operators: list of `Operator`.

    Returns:
        List with the steps until the state of each operator saturates, `None` where it does not.
    """
    stateful = [operator for operator in operators if operator.recurrent.stateful]
    limits = dict.fromkeys(operators)
    if not stateful:
        return list(limits.values())
    lengths = stateful[0].lengths
    passes = math.ceil(max(4 * max(lengths), _LEAST) / sum(lengths))
    pending = {o for o in stateful if _bound(o.cell, passes * sum(lengths)) > _limit(o)}
    states, steps, peaks = {}, collections.Counter(), collections.Counter()

    def run_on(operator, x):
        """`(n, timesteps, features)` -> the states `(n, timesteps, units)`."""
        if not operator.recurrent.stateful:
            return run(operator.cell, x).swapaxes(0, 1)
        h = run(operator.cell, x.reshape(1, -1, x.shape[2]), states.get(operator))[:, 0]
        peaks[operator] = max(peaks[operator], np.abs(h).max())
        beyond = ~(np.abs(h).max(axis=1) <= _limit(operator))  # true for NaN too
        if operator in pending and beyond.any():
            pending.remove(operator)
            limits[operator] = steps[operator] + int(beyond.argmax()) + 1
        states[operator] = h[-1:]
        steps[operator] += len(h)
        return h.reshape(*x.shape[:2], -1)

    def walk_on(samples):
        following = iter(operators)

        def recurrent(recurrent, x):
            y = run_on(next(following), recurrent.read(np.asarray(x)))
            return tf.constant(recurrent.write(y).astype(np.float32))

        run_model(model, list(map(tf.constant, samples)), recurrent)

    before = None
    for _ in range(passes):
        peaks.clear()
        for start in range(0, len(inputs[0]), _CHUNK):
            if pending:
                walk_on([x[start : start + _CHUNK] for x in inputs])
        if before is not None and all(peaks[o] <= _GROWS * before[o] for o in pending):
            break  # no state grows any more
        before = dict(peaks)
    for operator, limit in limits.items():
        if limit is not None:
            _warn(operator, limit)
    return list(limits.values())


def _limit(operator):
    return 32767 * operator.formats.state_scale


def _bound(cell, steps):
    """Returns an upper bound of the state's magnitude after so many steps from 0."""
    if "relu" in (cell.activation, cell.recurrent_activation):
        return math.inf
    if cell.recurrent_activation is None:
        return cell.nu / (1 - cell.beta) if cell.beta < 1 else math.inf
    if cell.recurrent_activation in ("tanh", "quant_tanh"):
        return math.inf  # a negative gate
    return cell.zeta + steps * cell.nu


def _warn(operator, steps):
    longest = f"{max(operator.lengths):,} steps"
    cause = (
        f"Each sample is a stream of up to {longest} from a state of 0 (reset='sample')."
        if len(operator.lengths) > 1
        else f"The samples are one stream of {longest}, at whose end the state still grows."
    )
    remedies = ["Reset the model before then", "give as long a stream with reset='never'"]
    if operator.cell.recurrent_activation is not None:
        remedies.append("train with nu_initializer=-100.0, which bounds the state")
    warn(
        f"Layer '{operator.recurrent.name}': its int16 state saturates {steps:,} steps after a "
        f"reset. {cause} {', or '.join(remedies)} (docs/long_sequences.md)."
    )
