"""The sigmoid's table as C:

    .venv/bin/python tests/export/sigmoid_headers.py table > micro/src/sigmoid_table.h
    .venv/bin/python tests/export/sigmoid_headers.py lines > micro/src/sigmoid_lines.h

test_sigmoid_table.py compares the headers with this module.
"""

import sys

import numpy as np

from keras_fastgrnn.export.cell.sigmoid_table import INTERVALS, sigmoid_table


def sigmoid_lines():
    """Returns the intervals from -8 to 8 as lines, for cores that multiply two pairs at once.

    With intervals of 512, `sigmoid(x) = 16384 + ((rise * x + 256 * value - (x < 0)) >> 9)`.

    Returns:
        `(rise, value)`: integers `(128,)`. The value is that of the line at x = 0, less 0.5,
        doubled and plus 1, so that half a unit is rounded away from sigmoid(0).
    """
    table = sigmoid_table()[:65]
    ends = np.concatenate([32768 - table[:0:-1], table])
    rise = np.diff(ends)
    return rise, 2 * (ends[:-1] - rise * np.arange(-INTERVALS, INTERVALS) - 16384) + 1


def c_table():
    return _header(
        "table",
        "/* sigmoid(k / 8) in Q0.15, 1.0 = 32768; the last two are pinned to 1.0. */",
        "FASTGRNN_FLASH uint16_t",
        [str(v) for v in sigmoid_table()],
        11,
    )


def c_lines():
    rise, value = (line.tolist() for line in sigmoid_lines())
    return _header(
        "lines",
        "/* For x in Q3.12 from 512 k to 512 k + 511, k = -64..63: in the lower half the line's "
        "rise in 512,\n * in the upper half its value at x = 0, less 0.5, in Q0.15, doubled and "
        "plus 1. */",
        "uint32_t",
        [f"0x{(v & 0xFFFF) << 16 | r:08x}" for r, v in zip(rise, value, strict=True)],
        8,
    )


def _header(name, comment, type, values, columns):
    rows = [", ".join(values[i : i + columns]) for i in range(0, len(values), columns)]
    body = ",\n".join(f"    {row}" for row in rows)
    guard = f"FASTGRNN_SIGMOID_{name.upper()}_H_"
    return f"""\
/* Written by tests/export/sigmoid_headers.py {name}. Do not edit. */
#ifndef {guard}
#define {guard}

#include "fastgrnn.h"

{comment}
static const {type} fastgrnn_sigmoid_{name}[{len(values)}] = {{
{body}}};

#endif /* {guard} */
"""


if __name__ == "__main__":
    print({"table": c_table, "lines": c_lines}[sys.argv[1]](), end="")
