"""Real weights -> int8, with the least error of their sums rather than of each weight."""

import numpy as np

# Added to each input's mean square, relative to their mean: inputs that are correlated on the
# calibration set may be independent elsewhere.
_DAMPING = 1e-3


def round_matrix(matrix, moment, scales):
    """Chooses the scale of a matrix, and its integers.

    The weights of an output are rounded one after another, and the later weights compensate each
    error as well as the inputs allow: Optimal Brain Compression (Frantar and Alistarh, NeurIPS
    2022) in the order and with the Cholesky factor of GPTQ (Frantar et al., ICLR 2023). A weight
    of 0 stays 0.

    Args:
        matrix: floats `(inputs, outputs)`.
        moment: floats `(inputs, inputs)`, the mean of `v v^T` over the inputs `v`.
        scales: sequence of floats. The scale with the least error of the sums is chosen.

    Returns:
        `(int8 (outputs, inputs), scale)`.
    """
    scales = np.asarray(scales, np.float64)[:, None, None]
    integers = np.zeros((len(scales), *matrix.T.shape))
    error = np.zeros(len(scales))
    nonzero = matrix.T != 0
    for support, rows in _equal_rows(nonzero):
        order = support[np.argsort(-moment.diagonal()[support], kind="stable")]
        known = moment[np.ix_(order, order)]
        inverse = np.linalg.inv(known + _damping(known) * np.eye(len(order)))
        factor = np.linalg.cholesky((inverse + inverse.T) / 2).T
        w = matrix.T[np.ix_(rows, order)] / scales
        for j in range(len(order)):
            q = np.clip(np.round(w[:, :, j]), -127, 127)
            e = (w[:, :, j] - q) / factor[j, j]
            w[:, :, j:] -= e[:, :, None] * factor[j, j:]
            w[:, :, j] = q
            error += np.square(e * scales[:, :, 0]).sum(axis=1)
        integers[np.ix_(range(len(scales)), rows, order)] = w
    best = int(np.argmin(error))
    return integers[best].astype(np.int8), float(scales[best, 0, 0])


def second_factor(matrices, first, moment):
    """Makes up for the rounding of the first of two factors in the second, by least squares.

    A weight of 0 stays 0.

    Args:
        matrices: floats `(inputs, rank)` and `(rank, outputs)`.
        first: the first of them, rounded.
        moment: as in `round_matrix()`, of the first's inputs.

    Returns:
        `(second, moment)`: floats `(rank, outputs)`, and the moment of its inputs.
    """
    known = first.T @ moment @ first
    wanted = first.T @ moment @ matrices[0] @ matrices[1]
    damping = _damping(known)
    second = np.zeros_like(matrices[1])
    for support, rows in _equal_rows(matrices[1].T != 0):
        block = np.ix_(support, rows)
        second[block] = np.linalg.solve(
            known[np.ix_(support, support)] + damping * np.eye(len(support)),
            wanted[block] + damping * matrices[1][block],
        )
    return second, known


def _damping(moment):
    return _DAMPING * moment.diagonal().mean() or 1.0  # or all inputs are 0


def _equal_rows(nonzero):
    """Yields `(columns, rows)`: the rows that are true in exactly these columns."""
    patterns, group = np.unique(nonzero, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        if pattern.any():
            yield np.flatnonzero(pattern), np.flatnonzero(group.ravel() == i)
