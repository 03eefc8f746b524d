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


class Blocks(Encoding):
    """Blocks of four rows and four columns, those at the edges padded with zeros: for every four
    rows a bit a block, the lowest first, in whole bytes; and the nonzero blocks, each row by row.
    """

    code = 3

    def arrays(self, values):
        nonzero = self.nonzero(values)
        index = np.packbits(nonzero, axis=1, bitorder="little")
        return index.ravel(), _blocks(values)[nonzero].ravel()

    def nonzero(self, values):
        """int8 `(rows, cols)` -> bool `(fours of rows, fours of columns)`."""
        return _blocks(values).any(axis=(2, 3))

    def unpack(self, take, rows, cols):
        shape = -(-rows // 4), -(-cols // 4)
        row_bytes = -(-shape[1] // 8)
        index = take(shape[0] * row_bytes, np.uint8).reshape(shape[0], row_bytes)
        bits = np.unpackbits(index, axis=1, bitorder="little").astype(bool)
        if bits[:, shape[1] :].any():
            raise ValueError(f"Blocks have bits set past their {shape[1]} in four rows. {DAMAGED}")
        nonzero = bits[:, : shape[1]]
        blocks = np.zeros((*shape, 4, 4), np.int8)
        blocks[nonzero] = take(16 * int(nonzero.sum()), np.int8).reshape(-1, 4, 4)
        return blocks.swapaxes(1, 2).reshape(4 * shape[0], 4 * shape[1])[:rows, :cols]


def _blocks(values):
    """int8 `(rows, cols)` -> `(fours of rows, fours of columns, 4, 4)`."""
    padded = np.pad(values, [(0, -size % 4) for size in values.shape])
    rows, cols = padded.shape
    return padded.reshape(rows // 4, 4, cols // 4, 4).swapaxes(1, 2)


DENSE, BITMAP, PAIRS, BLOCKS = ENCODINGS = (Dense(), Bitmap(), Pairs(), Blocks())
