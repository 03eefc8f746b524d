"""The one table behind sigmoid and tanh. tests/export/sigmoid_headers.py writes it as C."""

import numpy as np

# 64 intervals on [0, 8]: the interpolation is then within 1.4e-4 of the sigmoid, and within 3.4e-4
# in the last interval, whose end is pinned. Half a step of a full-scale int8 weight moves a gate by
# up to 1e-3.
INTERVALS = 64
LIMIT = 8.0


def sigmoid_table():
    """Returns the sigmoid at 0, 1/8, ..., 65/8, as Q0.15 integers where 1.0 is 32768: `(66,)`.

    A line between two points of the sigmoid lies on one side of the curve, and a recurrence adds
    up an error that keeps its sign. Each entry is therefore `s(x) - step**2 / 12 * s''(x)`, whose
    lines have the least mean squared error (to the second order of the step), of mean 0.

    Entry 64 is 1.0 instead of sigmoid(8), 32757: a gate that cannot reach 1 leaks 3e-4 of the
    state a step, 4 % over a window of 128. Entry 65 repeats it, so that interpolation needs no
    special case at the end.
    """
    step = LIMIT / INTERVALS
    s = 1 / (1 + np.exp(-step * np.arange(INTERVALS)))
    second_derivative = s * (1 - s) * (1 - 2 * s)
    table = np.round(32768 * (s - step**2 / 12 * second_derivative)).astype(np.int32)
    return np.append(table, [32768, 32768])
