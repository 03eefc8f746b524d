"""Float cell + calibration set -> the states and the ranges of the cell."""

import dataclasses

import numpy as np

from keras_fastgrnn.export.cell.sequences import run_in_blocks

_FUNCTIONS = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),  # does not overflow
    "relu": lambda x: np.maximum(x, 0.0),
    "quant_tanh": lambda x: np.clip(x, -1.0, 1.0),
    "quant_sigmoid": lambda x: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Ranges:
    """The ranges of a cell on the calibration set.

    Attributes:
        kernel: float, the largest magnitude of `x kernel_a`; 0 at full rank.
        recurrent_kernel: that of `h recurrent_kernel_a`; 0 at full rank.
        candidate, gate, state: those of `c`, `z` and `h`.
        input_moment, state_moment: the means of `x x^T` and `h h^T`, floats
            `(features, features)` and `(units, units)`.
    """

    kernel: float
    recurrent_kernel: float
    candidate: float
    gate: float
    state: float
    input_moment: np.ndarray
    state_moment: np.ndarray


def calibrate(cell, x, *, return_sequences=True, dtype=np.float64):
    """Runs the float cell over the calibration set, each sequence from a state of 0, in blocks.

    Args:
        cell: `FloatCell`.
        x: floats `(n, timesteps, features)`, in the order in which the cell reads the steps.
        return_sequences: whether to keep `h` after each step, or only after the last.
        dtype: dtype of the kept states.

    Returns:
        `(Ranges, states)`. The states are floats `(n, timesteps, units)`, or `(n, 1, units)`.

    Raises:
        ValueError: if `x` is empty, not finite, or has another shape, or the state diverges.
    """
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[2] != cell.features or x.size == 0:
        raise ValueError(
            f"Representative sequences have shape {x.shape}; expected (n, timesteps, "
            f"{cell.features}) with n and timesteps at least 1."
        )
    seen = dict.fromkeys(("kernel", "recurrent_kernel", "candidate", "gate", "state"), 0.0)
    moments = dict.fromkeys(("input_moment", "state_moment"), 0.0)

    def note(name, value):  # abs() would copy, which costs most of the time
        seen[name] = max(seen[name], float(value.max()), -float(value.min()))

    def advance(x, h):
        x = x.astype(np.float64)
        if not np.isfinite(x).all():
            raise ValueError(
                "Representative sequences hold NaN or infinity: leave such samples out."
            )
        states = run(cell, x, h, note)
        note("state", states)
        if not np.isfinite(states).all() or seen["state"] > float(np.finfo(np.float32).max):
            raise ValueError(
                f"The state diverges within {timesteps} time steps of the representative "
                "sequences. Use bounded activations, or shorter sequences."
            )
        for name, vectors in (("input_moment", x), ("state_moment", states)):
            vectors = vectors.reshape(-1, vectors.shape[-1])
            moments[name] = moments[name] + vectors.T @ vectors
        return states.swapaxes(0, 1), states[-1]

    n, timesteps, _ = x.shape
    kept = run_in_blocks(
        advance, x, units=cell.units, dtype=dtype, return_sequences=return_sequences
    )
    moments = {name: moment / (n * timesteps) for name, moment in moments.items()}
    return Ranges(**seen, **moments), kept


def run(cell, x, h=None, note=lambda name, value: None):
    """Runs the float cell.

    Args:
        cell: `FloatCell`.
        x: floats `(n, timesteps, features)`.
        h: floats `(n, units)`, the state before the first step; zeros if `None`.
        note: function `(name, array)`, called on each value that has a range.

    Returns:
        float64 `(timesteps, n, units)`: `h` after each step.
    """
    activation = _FUNCTIONS[cell.activation]
    gated = cell.recurrent_activation is not None
    gate = _FUNCTIONS[cell.recurrent_activation] if gated else None
    z = cell.beta

    def project(name, matrices, value):
        for matrix in matrices[:-1]:
            value = value @ matrix
            note(name, value)
        return value @ matrices[-1]

    with np.errstate(over="ignore", invalid="ignore"):
        # Time first: each step is one block of memory. It holds the input's share of the
        # pre-activation, until the state takes its place.
        states = project("kernel", cell.kernel, np.asarray(x, np.float64).swapaxes(0, 1))
        h = np.zeros_like(states[0]) if h is None else h
        for t in range(len(states)):
            p = states[t] + project("recurrent_kernel", cell.recurrent_kernel, h)
            c = activation(p + cell.bias[-1])
            note("candidate", c)
            if gated:
                z = gate(p + cell.bias[0])
                note("gate", z)
            states[t] = h = (cell.zeta * (1.0 - z) + cell.nu) * c + z * h
    return states


def merged(ranges, steps):
    """Merges the `Ranges` of several runs, given the steps of each."""
    if len(ranges) == 1:
        return ranges[0]
    found = {
        field.name: max(getattr(one, field.name) for one in ranges)
        for field in dataclasses.fields(Ranges)
        if not field.name.endswith("_moment")
    }
    for name in ("input_moment", "state_moment"):
        found[name] = np.average([getattr(one, name) for one in ranges], axis=0, weights=steps)
    return Ranges(**found)
