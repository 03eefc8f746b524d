"""Arrays in C."""

import textwrap
from typing import NamedTuple

import numpy as np


class Array(NamedTuple):
    """An array of integers of a NumPy dtype; `values` are those of a constant."""

    name: str
    dtype: str
    size: int
    values: np.ndarray | None = None

    @property
    def bytes(self):
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def declaration(self):
        return f"{self.dtype}_t {self.name}[{self.size}]"

    @property
    def definition(self):
        body = rows(map(str, self.values.tolist()))
        return f"static const FASTGRNN_FLASH {self.declaration} = {{\n{body}}};\n"


def constant(name, dtype, values):
    values = np.ravel(values).astype(dtype)
    return Array(name, dtype, values.size, values)


def rows(values):
    """The values of an initializer, wrapped into lines."""
    return textwrap.indent(textwrap.fill(", ".join(values), 96), "    ")
