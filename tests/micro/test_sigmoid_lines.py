"""The table of the faster versions gives the sigmoid of the NumPy integer model."""

import re

import kernel
import numpy as np

from keras_fastgrnn.export import reference


def test_every_input():
    text = (kernel.SOURCES / "src" / "sigmoid_lines.h").read_text()
    lines = np.array([int(word, 16) for word in re.findall("0x[0-9a-f]{8}", text)])
    assert len(lines) == 128
    rise = lines & 0xFFFF
    value = (lines >> 16).astype(np.uint16).astype(np.int16).astype(np.int64)
    x = np.arange(-32768, 32768)
    k = 64 + (x >> 9)
    y = 16384 + ((rise[k] * x + 256 * value[k] - (x < 0)) >> 9)
    np.testing.assert_array_equal(y, reference.sigmoid(x))
