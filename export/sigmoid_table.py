"""The one table behind sigmoid and tanh, for Python and C.

`python -m keras_fastgrnn.export.sigmoid_table > micro/src/sigmoid_table.h` writes the C header;
a test holds the two together.
"""

import numpy as np

# 64 intervals on [0, 8]: a linear interpolation is then within 2.1e-4 of the sigmoid, and within
# 3.4e-4 in the last interval, whose end is pinned. Half a step of a full-scale int8 weight moves a
# gate by up to 1e-3.
INTERVALS = 64
LIMIT = 8.0


def sigmoid_table():
    """Returns sigmoid(k / 8), k = 0..65, as Q0.15 integers where 1.0 is 32768; shape `(66,)`.

    Entry 64 is pinned to 1.0, where sigmoid(8) would be 32757: a gate that can not reach 1 leaks
    3e-4 of the state a step, 4 % over a window of 128. Entry 65 repeats it, so that interpolation
    needs no special case at the end.
    """
    x = np.arange(INTERVALS) * (LIMIT / INTERVALS)
    table = np.round(32768 / (1 + np.exp(-x))).astype(np.int32)
    return np.append(table, [32768, 32768])


def c_header():
    rows = sigmoid_table().reshape(-1, 11)
    body = ",\n".join("    " + ", ".join(str(v) for v in row) for row in rows)
    return f"""\
/* Written by: python -m keras_fastgrnn.export.sigmoid_table. Do not edit. */
#ifndef FASTGRNN_SIGMOID_TABLE_H_
#define FASTGRNN_SIGMOID_TABLE_H_

#include "fastgrnn.h"

/* sigmoid(k / 8) in Q0.15, 1.0 = 32768; the last two are pinned to 1.0. */
static const FASTGRNN_FLASH uint16_t fastgrnn_sigmoid_table[{rows.size}] = {{
{body}}};

#endif /* FASTGRNN_SIGMOID_TABLE_H_ */
"""


if __name__ == "__main__":
    print(c_header(), end="")
