"""Cells with random weights for the emulated boards."""

import numpy as np

from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import pack
from keras_fastgrnn.export.cell.calibrate import calibrate
from keras_fastgrnn.export.cell.encodings import BITMAP, BLOCKS, DENSE, PAIRS
from keras_fastgrnn.export.cell.float_cell import FloatCell
from keras_fastgrnn.export.cell.formats import choose_formats, round_to
from keras_fastgrnn.micro.affine import choose_affine
from tests.boards import Case

ENCODINGS = {"dense": DENSE, "bitmap": BITMAP, "pairs": PAIRS, "blocks": BLOCKS}


def optimize(target):
    """The usual flag of firmware for a chip: Arduino builds with -Os."""
    return "-Os" if target.counts == "cycles" else "-O2"


def random_case(units, features, *, rank=0, density=1.0, encoding="dense", dtype="int8", timesteps):
    """A FastGRNN with random weights in one encoding, and a random sequence for it.

    Both kernels have the rank; `dtype` is that of input and output.
    """
    rng = np.random.default_rng([units, features, rank, round(100 * density)])

    def matrices(inputs):
        for size in [(inputs, rank), (rank, units)] if rank else [(inputs, units)]:
            matrix = rng.normal(0, size[0] ** -0.5, size)
            side = 4 if encoding == "blocks" else 1
            shape = [-(-n // side) for n in size]
            removed = np.zeros(shape, bool)
            kept = max(1, round(density * removed.size))  # as pruning does
            removed.ravel()[rng.permutation(removed.size)[kept:]] = True
            matrix[np.kron(removed, np.ones((side, side), bool))[: size[0], : size[1]]] = 0
            yield matrix

    cell = FloatCell(
        kernel=tuple(matrices(features)),
        recurrent_kernel=tuple(matrices(units)),
        bias=rng.normal(0, 1, (2, units)),
        activation="tanh",
        recurrent_activation="sigmoid",
        zeta=0.7,
        nu=0.05,
        beta=0.0,
    )
    # A cell of its shape, whatever the steps: benchmarks subtract one step from three.
    x = rng.normal(0, 1, (1, max(timesteps, 3), features))
    input = choose_affine(x.min(), x.max(), dtype)
    ranges, states = calibrate(cell, x)
    output = choose_affine(states.min(), states.max(), dtype)
    cell = round_to(*choose_formats(cell, ranges, input=input, output=output))
    x = input.quantize(x[:, :timesteps])
    y, state = reference.run(cell, x)
    blocks = pack(cell, optimize=ENCODINGS[encoding])
    return Case(*blocks, x, np.zeros(units, np.int16), y, state[0])
