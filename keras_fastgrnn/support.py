"""The support of a matrix: the entries that pruning keeps."""

import tensorflow as tf

from keras_fastgrnn.arguments import whole_number


def two_sizes(block_size):
    """`block_size` as a tuple of two integers.

    Raises:
        ValueError: if it is not two whole numbers from 1 on.
    """
    try:
        inputs, outputs = (whole_number("block_size", size) for size in block_size)
    except (TypeError, ValueError):
        inputs = outputs = 0
    if inputs < 1 or outputs < 1:
        raise ValueError(
            f"block_size={block_size!r}; expected two whole numbers from 1 on, the inputs and the "
            "outputs of a block, such as (4, 4)."
        )
    return inputs, outputs


def support(matrix, fraction, block_size):
    """Bool mask of the entries that stay when `fraction` of the blocks of `matrix` is removed."""
    magnitude = tf.abs(matrix)
    rows, cols = magnitude.shape
    height, width = min(block_size[0], rows), min(block_size[1], cols)

    def sums(values):  # of each block; the last ones may be narrower
        values = tf.pad(values, [(0, -rows % height), (0, -cols % width)])
        return tf.reduce_sum(tf.reshape(values, [-(-rows // height), height, -1, width]), [1, 3])

    means = sums(magnitude) / sums(tf.ones_like(magnitude))
    n = means.shape.num_elements()
    kept = tf.maximum(tf.round(n * (1.0 - fraction)), tf.cast(fraction < 1.0, tf.float32))
    # Ranks, not a threshold: with ties a threshold keeps more.
    rank = tf.math.invert_permutation(tf.math.top_k(tf.reshape(means, [-1]), n).indices)
    stay = tf.reshape(rank < tf.cast(kept, tf.int32), means.shape)
    return tf.repeat(tf.repeat(stay, height, 0), width, 1)[:rows, :cols]


def project(matrix, mask):
    """Sets the entries of a variable off its support to zero."""
    # Not a product: 0 * inf is NaN.
    matrix.assign(tf.where(mask, matrix, tf.zeros_like(matrix)))
