"""A recurrence over time, and its gradient by hand.

TensorFlow's own gradient of a loop copies every intermediate value to a list and back. Here a step
keeps only the residuals that the cell's gradient needs: docs/speed.md has the time saved.
"""

from typing import NamedTuple

import tensorflow as tf


def scan(step, carry, sequences, *, timesteps, outputs, reverse=False, unroll=False):
    """A loop over time.

    Args:
        step: function of the carry and of the element of each sequence at one time step; returns
            the next carry and a list of outputs.
        carry: list of tensors.
        sequences: list of tensors `(timesteps, ...)`, arrays returned by `scan()`, or `None`.
        timesteps: number of steps.
        outputs: number of outputs of a step, each of the shape and dtype of the carry's first
            tensor.
        reverse: whether to go from the last time step to the first.
        unroll: whether to copy the steps into the graph. `timesteps` is then an integer.

    Returns:
        The carry after the last step, and a list with one array per output, for `stack()` or a
        scan in the other direction.
    """
    # XLA fails on the gradient of an array that the loop does not write.
    if unroll:  # TensorFlow Lite's converter accepts lists of tensors, but no arrays.
        sequences = [tf.unstack(s, timesteps) if tf.is_tensor(s) else s for s in sequences]
        arrays = [[None] * timesteps for _ in range(outputs)]
        for t in reversed(range(timesteps)) if reverse else range(timesteps):
            carry, values = step(carry, *(s if s is None else s[t] for s in sequences))
            for array, value in zip(arrays, values, strict=True):
                array[t] = value
        return carry, arrays

    sequences = [
        tf.TensorArray(s.dtype, timesteps).unstack(s) if tf.is_tensor(s) else s for s in sequences
    ]
    arrays = [
        tf.TensorArray(
            carry[0].dtype, timesteps, element_shape=carry[0].shape, clear_after_read=False
        )
        for _ in range(outputs)
    ]

    def body(i, carry, arrays):
        t = timesteps - 1 - i if reverse else i
        carry, values = step(carry, *(s if s is None else s.read(t) for s in sequences))
        return i + 1, carry, [a.write(t, v) for a, v in zip(arrays, values, strict=True)]

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < timesteps,
        body,
        (0, carry, arrays),
        maximum_iterations=timesteps,
    )
    return carry, arrays


def stack(array):
    """An array of `scan()` as a tensor `(timesteps, ...)`."""
    return tf.stack(array) if isinstance(array, list) else array.stack()


def recur(cell, inputs, state, *, mask, state_mask, return_sequences, unroll=False, by_hand=False):
    """Runs a cell over projected inputs, and returns its states.

    Args:
        cell: `RecurrentCell`, with activations that `activations.GRADIENTS` holds.
        inputs: tensor `(timesteps, batch, units)`, the inputs times the kernel.
        state: tensor `(batch, units)`, before the first step.
        mask: boolean tensor `(timesteps, batch, 1)`, or `None`. `False` keeps the state.
        state_mask: tensor `(batch, units)` of the recurrent dropout, or `None`.
        return_sequences: whether to return the state after every step, or after the last one.
        unroll: whether to unroll the loop.
        by_hand: whether to use the gradient of this module instead of TensorFlow's. A SavedModel
            cannot hold the former.

    Returns:
        Tensor `(timesteps, batch, units)`, or `(batch, units)`.
    """
    factors = cell.factors("recurrent_kernel")
    if len(factors) == 2 and 2 * cell.recurrent_rank >= cell.units:
        factors = [tf.matmul(*factors)]  # One product a step, with no more multiplications.
    loop = _Loop(
        cell=cell,
        mask=mask,
        state_mask=state_mask,
        return_sequences=return_sequences,
        keeps_residuals=by_hand,
        scan={"timesteps": inputs.shape[0] or tf.shape(inputs)[0], "unroll": unroll},
    )

    @tf.custom_gradient
    def states_and_gradient(inputs, state, factors, coefficients):
        states, residuals = _forward(loop, inputs, state, factors, coefficients)
        return states, lambda d: _backward(loop, d, residuals, state, factors, coefficients)

    coefficients = list(cell.coefficients())
    if by_hand:
        return states_and_gradient(inputs, state, factors, coefficients)
    states, _ = _forward(loop, inputs, state, factors, coefficients)
    return states


class _Loop(NamedTuple):
    """The arguments of `recur()` and `scan()` that both directions share."""

    cell: object
    mask: tf.Tensor | None
    state_mask: tf.Tensor | None
    return_sequences: bool
    keeps_residuals: bool
    scan: dict

    def project(self, state, factors):
        """The recurrent share of a pre-activation."""
        if self.state_mask is not None:
            state *= self.state_mask
        for factor in factors:
            state = tf.matmul(state, factor)
        return state


def _forward(loop, inputs, state, factors, coefficients):
    """Returns the states that `recur()` returns, and the residuals: a list of arrays, the state
    before each step and the cell's residuals."""
    cell = loop.cell

    def step(carry, inputs, mask):
        (before,) = carry
        preactivation = inputs + loop.project(before, factors)
        after, residuals = cell.update(preactivation, before, *coefficients)
        if mask is not None:
            after = tf.where(mask, after, before)
        outputs = [after] if loop.return_sequences else []
        if loop.keeps_residuals:
            outputs += [before, *residuals]
        return [after], outputs

    outputs = int(loop.return_sequences)
    if loop.keeps_residuals:
        outputs += 1 + cell.residuals
    (last,), arrays = scan(step, [state], [inputs, loop.mask], outputs=outputs, **loop.scan)
    states = stack(arrays.pop(0)) if loop.return_sequences else last
    return states, arrays


def _backward(loop, upstream, residuals, state, factors, coefficients):
    """Returns the gradients of the inputs, the state, the factors and the coefficients."""

    def step(carry, d_state, mask, before, *residuals):
        d_after, *sums = carry
        if loop.return_sequences:
            d_after += d_state
        d = d_after if mask is None else tf.where(mask, d_after, 0)
        d_preactivation, d_before, d_coefficients = loop.cell.update_gradient(
            d, before, *residuals, *coefficients
        )
        with tf.GradientTape() as tape:
            tape.watch((before, factors))
            recurrent = loop.project(before, factors)
        d_recurrent, d_factors = tape.gradient(recurrent, (before, factors), d_preactivation)
        d_before += d_recurrent
        if mask is not None:
            d_before = tf.where(mask, d_before, d_after)
        terms = [*d_factors, *d_coefficients]
        sums = [s + d for s, d in zip(sums, terms, strict=True)]
        return [d_before, *sums], [d_preactivation]

    zeros = tf.zeros_like(state)
    d_last, d_states = (zeros, upstream) if loop.return_sequences else (upstream, None)
    (d_state, *sums), (d_inputs,) = scan(
        step,
        [d_last, *(tf.zeros_like(f) for f in factors), *(zeros for _ in coefficients)],
        [d_states, loop.mask, *residuals],
        outputs=1,
        reverse=True,
        **loop.scan,
    )
    d_factors, sums = sums[: len(factors)], sums[len(factors) :]
    d_coefficients = [
        tf.reduce_sum(d, list(range(d.shape.rank - c.shape.rank)))
        for d, c in zip(sums, coefficients, strict=True)
    ]
    return stack(d_inputs), d_state, d_factors, d_coefficients
