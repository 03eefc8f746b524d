"""Runs over sequences in blocks, which bound the memory and keep a step in the cache."""

import numpy as np

from keras_fastgrnn.export.progress import progress

# A step's float64 values and their temporaries fit the 1 MB of L2 cache of server CPUs.
_STEP_VALUES = 1 << 16
_BLOCK_VALUES = 1 << 20  # 8 MB in float64


def blocks(n, timesteps, width):
    """Cuts n sequences of `timesteps` vectors of `width` values.

    Yields:
        `(samples, steps)`, slices: all steps of some samples in order, then all steps of the next
        samples. Small runs are one block.
    """
    size = min(n, max(1, _STEP_VALUES // width))
    length = max(1, _BLOCK_VALUES // (size * width))
    for i in range(0, n, size):
        for t in range(0, timesteps, length):
            yield slice(i, min(i + size, n)), slice(t, min(t + length, timesteps))


def run_in_blocks(run, x, *, units, dtype, return_sequences):
    """Runs a cell over sequences, and keeps only the requested values.

    Args:
        run: function of a block `(n, timesteps, features)` and of the state before it, `None` at
            the start of a sequence. Returns `(values (n, timesteps, units), state)`.
        x: array `(n, timesteps, features)`.
        units: integer.
        dtype: dtype of the kept values.
        return_sequences: boolean. Whether to keep the values of each step, or only of the last.

    Returns:
        Array `(n, timesteps, units)`, or `(n, 1, units)`.
    """
    n, timesteps, features = x.shape
    kept = np.empty((n, timesteps if return_sequences else 1, units), dtype)
    state = None
    cut = [*blocks(n, timesteps, max(features, units))]
    for samples, steps in progress(cut, "The samples"):
        values, state = run(x[samples, steps], state if steps.start else None)
        if return_sequences:
            kept[samples, steps] = values
        elif steps.stop == timesteps:
            kept[samples, 0] = values[:, -1]
    return kept
