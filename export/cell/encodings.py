"""How an int8 matrix is stored: an encoding packs it, unpacks it and gives its arrays in C."""

import math

import numpy as np

DAMAGED = "The file is damaged: export the model again."


class Encoding:
    """A way to store an int8 matrix.

    Attributes:
        code: its number in the options block.
        max_cols: the most columns of a matrix.
    """

    max_cols = math.inf

    def arrays(self, values):
        """int8 `(rows, cols)` -> `(index, values)`, a uint8 and an int8 array: what a kernel reads.
        The weights block and the C have these."""
        raise NotImplementedError

    def pack(self, values):
        """int8 `(rows, cols)` -> its bytes in the weights block."""
        return b"".join(array.tobytes() for array in self.arrays(values))

    def unpack(self, take, rows, cols):
        """Reads what `pack()` wrote: int8 `(rows, cols)`. `take(size, dtype)` reads an array."""
        raise NotImplementedError


class Dense(Encoding):
    """All weights, row by row."""

    code = 0

    def arrays(self, values):
        return np.empty(0, np.uint8), values.ravel()

    def unpack(self, take, rows, cols):
        return take(rows * cols, np.int8).reshape(rows, cols)


class Bitmap(Encoding):
    """A bit for each weight, row by row, the lowest first; and the nonzero weights."""

    code = 1

    def arrays(self, values):
        return np.packbits(values != 0, bitorder="little"), values[values != 0]

    def unpack(self, take, rows, cols):
        size = rows * cols
        bits = np.unpackbits(take(-(-size // 8), np.uint8), bitorder="little").astype(bool)
        if bits[size:].any():
            raise ValueError(f"A bitmap has bits set past its {size} weights. {DAMAGED}")
        values = np.zeros(size, np.int8)
        values[bits[:size]] = take(int(bits.sum()), np.int8)
        return values.reshape(rows, cols)


class Pairs(Encoding):
    """The count of nonzero weights of each row; and the column, a uint8, and the weight of each."""

    code = 2
    max_cols = 255

    def arrays(self, values):
        nonzero = values != 0
        pairs = np.stack([nonzero.nonzero()[1].astype(np.uint8).view(np.int8), values[nonzero]], 1)
        return nonzero.sum(axis=1).astype(np.uint8), pairs.ravel()

    def unpack(self, take, rows, cols):
        values = np.zeros((rows, cols), np.int8)
        for row, count in enumerate(take(rows, np.uint8).tolist()):
            columns, weights = take(2 * count, np.int8).reshape(count, 2).T
            columns = columns.view(np.uint8)
            if (columns >= cols).any() or (np.diff(columns.astype(int)) <= 0).any():
                raise ValueError(f"The columns of row {row} do not ascend below {cols}. {DAMAGED}")
            values[row, columns] = weights
        return values


DENSE, BITMAP, PAIRS = ENCODINGS = (Dense(), Bitmap(), Pairs())
