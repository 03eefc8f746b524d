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
    factors = cell.recurrent_factors()
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
        return self.cell.project(_rows(state), factors)

    def project_gradient(self, d, state, factors):
        """The gradients of the state and of the factors, from that of the recurrent share."""
        with tf.GradientTape() as tape:
            tape.watch((state, factors))
            recurrent = self.project(state, factors)
        return tape.gradient(recurrent, (state, factors), _rows(d))

    def slopes(self, mask, before, residuals, coefficients):
        """The cell's slopes, where a masked step only passes the state on."""
        slope, leak, *slopes = self.cell.slopes(before, *residuals, *coefficients)
        if mask is None:
            return [slope, leak, *slopes]
        slope, *slopes = (tf.where(mask, s, 0) for s in (slope, *slopes))
        return [slope, tf.where(mask, leak, 1), *slopes]


def _rows(v):
    """The rows of one time step, or of all."""
    return v if v.shape.rank == 2 else tf.reshape(v, (-1, v.shape[-1]))


def _forward(loop, inputs, state, factors, coefficients):
    """Returns the states that `recur()` returns, and a list of arrays for the gradient: the state
    before each step, and its pre-activation or the cell's residuals."""
    cell, at_once = loop.cell, loop.cell.gradient_at_once

    def step(carry, inputs, mask):
        (before,) = carry
        preactivation = inputs + loop.project(before, factors)
        after, residuals = cell.update(preactivation, before, *coefficients)
        if mask is not None:
            after = tf.where(mask, after, before)
        outputs = [after] if loop.return_sequences else []
        if loop.keeps_residuals:
            outputs += [before, *([preactivation] if at_once else residuals)]
        return [after], outputs

    outputs = int(loop.return_sequences)
    if loop.keeps_residuals:
        outputs += 1 + (1 if at_once else cell.residuals)
    (last,), arrays = scan(step, [state], [inputs, loop.mask], outputs=outputs, **loop.scan)
    states = stack(arrays.pop(0)) if loop.return_sequences else last
    return states, arrays


def _backward(loop, upstream, kept, state, factors, coefficients):
    """Returns the gradients of the inputs, the state, the factors and the coefficients."""
    at_once = loop.cell.gradient_at_once
    zeros = tf.zeros_like(state)
    sums = [*(tf.zeros_like(f) for f in factors), *(zeros for _ in coefficients)]
    if at_once:
        before, preactivation = map(stack, kept)
        _, residuals = loop.cell.update(preactivation, before, *coefficients)
        slope, leak, *slopes = loop.slopes(loop.mask, before, residuals, coefficients)
        kept, sums = [kept[0], slope, leak], []

    def step(carry, d_state, mask, before, *kept):
        d, *sums = carry
        if loop.return_sequences:
            d += d_state
        slope, leak, *slopes = kept if at_once else loop.slopes(mask, before, kept, coefficients)
        d_preactivation = slope * d
        d_recurrent, d_factors = loop.project_gradient(d_preactivation, before, factors)
        d_before = leak * d + d_recurrent
        if at_once:
            return [d_before], [d]
        terms = [*d_factors, *(d * s for s in slopes)]
        return [d_before, *(s + t for s, t in zip(sums, terms, strict=True))], [d_preactivation]

    d_last, d_states = (zeros, upstream) if loop.return_sequences else (upstream, None)
    (d_state, *sums), (d,) = scan(
        step, [d_last, *sums], [d_states, loop.mask, *kept], outputs=1, reverse=True, **loop.scan
    )
    d_inputs = d = stack(d)
    if at_once:
        d_inputs = slope * d
        _, d_factors = loop.project_gradient(d_inputs, before, factors)
        sums = [*d_factors, *(d * s for s in slopes)]
    d_factors, sums = sums[: len(factors)], sums[len(factors) :]
    d_coefficients = [
        tf.reduce_sum(d, list(range(d.shape.rank - c.shape.rank)))
        for d, c in zip(sums, coefficients, strict=True)
    ]
    return d_inputs, d_state, d_factors, d_coefficients
