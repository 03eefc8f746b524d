"""The one table behind sigmoid and tanh. tests/export/sigmoid_headers.py writes it as C."""

import numpy as np

# 64 intervals on [0, 8]: a linear interpolation is then within 2.1e-4 of the sigmoid, and within
# 3.4e-4 in the last interval, whose end is pinned. Half a step of a full-scale int8 weight moves a
# gate by up to 1e-3.
INTERVALS = 64
LIMIT = 8.0


def sigmoid_table():
    """Returns sigmoid(k / 8), k = 0..65, as Q0.15 integers where 1.0 is 32768; shape `(66,)`.

    Entry 64 is 1.0 instead of sigmoid(8), 32757: a gate that cannot reach 1 leaks 3e-4 of the
    state a step, 4 % over a window of 128. Entry 65 repeats it, so that interpolation needs no
    special case at the end.
    """
    x = np.arange(INTERVALS) * (LIMIT / INTERVALS)
    table = np.round(32768 / (1 + np.exp(-x))).astype(np.int32)
    return np.append(table, [32768, 32768])
