"""Representative samples in any form -> the arrays of each input of the model.

docs/quantize.md lists the forms. Each form is tried: samples that fit one are read, samples that
fit two are refused.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# The limits of an iterator, which may be endless: far more than a conversion can use.
_MOST_BATCHES, _MOST_BYTES = 100_000, 1 << 30

_BY_INPUT, _PAIR = "an array for each input", "samples with labels"


class Input(NamedTuple):
    """The required shape and dtype of a sample; an axis of `None` may have any size."""

    name: str
    shape: tuple
    dtype: np.dtype


class _OtherForm(ValueError):
    """The samples are not in the form that was tried."""


class _Ambiguous(ValueError):
    """The samples fit two forms."""


def representative_arrays(inputs, dataset, *, streaming=False):
    """Reads representative samples.

    Args:
        inputs: list of the model's symbolic inputs.
        dataset: in one of the forms of docs/quantize.md.
        streaming: boolean. Whether each sample may have its own number of time steps.

    Returns:
        For each input a list of arrays `(n, ...)`, one for each batch.

    Raises:
        ValueError: if the samples fit no form or two, do not have the names, shapes or kinds of
            the inputs, or are not finite.
    """
    inputs = [_input(x, streaming) for x in inputs]
    try:
        batches = _batches(inputs, dataset)
    except (_Ambiguous, _OtherForm) as error:
        raise ValueError(str(error)) from None
    if not batches:
        raise ValueError("The representative dataset is empty: give at least one batch.")
    columns = list(zip(*batches, strict=True))
    for spec, column in zip(inputs, columns, strict=True):
        shapes = {array.shape[1:] for array in column}
        if len({shape[streaming:] for shape in shapes}) > 1:
            raise ValueError(
                f"The representative samples for input '{spec.name}' have different shapes: "
                f"{sorted(shapes)}. The exported model has one: pad or cut them."
            )
    return [
        [_checked(spec, array) for array in column]
        for spec, column in zip(inputs, columns, strict=True)
    ]


def _input(x, streaming):
    shape = tuple(x.shape[1:])
    if streaming and len(shape) > 1:
        shape = (None, *shape[1:])
    return Input(x.name, shape, np.dtype(tf.as_dtype(x.dtype).as_numpy_dtype))


# ---- The forms ----


def _batches(inputs, dataset):
    """Returns a list of batches. A batch is a list with an array `(n, ...)` for each input."""
    if callable(dataset):
        dataset = dataset()
    if _is_array(dataset) or isinstance(dataset, Mapping):
        return _read(inputs, dataset, _BATCH)
    if not isinstance(dataset, Iterable):
        raise ValueError(
            f"representative_dataset={dataset!r} is not supported: give an array of samples, a "
            f"dict of arrays by the names of the inputs ({_names(inputs)}), or batches of these."
        )
    if _is_sequence(dataset):
        return _read(inputs, dataset, {"batches": _read_each} | _BATCH)
    return _read_each(inputs, _finite(dataset))


def _read_each(inputs, batches):
    return [read for batch in batches for read in _read(inputs, batch, _BATCH)]


def _read(inputs, samples, forms):
    """Reads the samples in the one form that they fit.

    `forms`: a dict from a form to its function `(inputs, samples) -> list of batches`.
    """
    found, errors = {}, []
    for form, read in forms.items():
        try:
            found[form] = read(inputs, samples)
        except _Ambiguous:
            raise
        except ValueError as error:
            errors.append(error)
    if not found:
        if isinstance(samples, tuple):
            errors.reverse()  # a tuple is most likely a pair
        raise next((e for e in errors if not isinstance(e, _OtherForm)), errors[0])
    if isinstance(samples, list) and len(found) > 1:
        found.pop(_PAIR, None)  # fit() takes a pair as a tuple; lists are rare
    if len(inputs) == 1 and "batches" in found:
        found.pop(_BY_INPUT, None)  # in a list of windows, each one is a batch too
    if len(found) > 1:
        raise _Ambiguous(
            f"The representative dataset can be read as {' or as '.join(found)}. Give the samples "
            "alone, without labels: a dict of arrays by the names of the inputs, which are "
            f"{_names(inputs)}, or a list of such dicts."
        )
    (batches,) = found.values()
    return batches


def _by_input(inputs, samples):
    if isinstance(samples, Mapping):
        samples = _by_name(inputs, samples)
    elif len(inputs) == 1 and not (_is_sequence(samples) and len(samples) == 1):
        samples = [samples]
    elif not _is_sequence(samples) or len(samples) != len(inputs):
        raise _OtherForm(
            f"A batch of the representative dataset holds "
            f"{len(samples) if _is_sequence(samples) else 1} arrays; the model has {len(inputs)} "
            f"inputs, {_names(inputs)}. Give a dict of arrays by these names, or a list in this "
            "order. In a pair (samples, labels) the labels are ignored."
        )
    arrays = [_array(spec, x) for spec, x in zip(inputs, samples, strict=True)]
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(
            f"A batch of the representative dataset holds {[len(array) for array in arrays]} "
            f"samples for the inputs {_names(inputs)}: give as many for each."
        )
    return arrays


def _by_name(inputs, samples):
    names = [spec.name for spec in inputs]
    if set(samples) != set(names):
        raise ValueError(
            f"The inputs of the model are {_names(inputs)}; the representative dataset has arrays "
            f"for {', '.join(map(repr, samples)) or 'none'}. Give one for each input, by its name."
        )
    return [samples[name] for name in names]


def _without_labels(inputs, samples):
    """Returns the x of `(x, y)` or `(x, y, sample_weight)`."""
    if not _is_sequence(samples) or len(samples) not in (2, 3):
        raise _OtherForm("The representative dataset is not a pair of samples and labels.")
    x, *labels = samples
    arrays = _by_input(inputs, x)
    n = len(arrays[0])
    for label in labels if n > 1 or isinstance(samples, list) else ():
        leaves = [leaf for leaf in tf.nest.flatten(label) if np.ndim(leaf)]
        one_each = _is_sequence(label) and len(label) == n
        if not one_each and any(len(leaf) != n for leaf in leaves):
            raise ValueError(
                f"The representative dataset is not a pair of {n} samples and as many labels: the "
                f"labels have the shapes {[np.shape(leaf) for leaf in leaves]}. Leave them out."
            )
    return arrays


# The forms of a batch.
_BATCH = {
    _BY_INPUT: lambda *samples: [_by_input(*samples)],
    _PAIR: lambda *samples: [_without_labels(*samples)],
}


def _array(spec, samples):
    """Makes an array `(n, ...)` of an array, a window, or a list of windows of one shape."""
    is_list = _is_sequence(samples)
    if is_list and any(map(_is_array, tf.nest.flatten(samples))):
        windows = [_array(spec, window) for window in samples]
        if any(len(window) != 1 for window in windows) or len({w.shape for w in windows}) > 1:
            raise _OtherForm(
                f"The representative samples for input '{spec.name}' are a list of arrays of the "
                f"shapes {[np.shape(x) for x in samples[:3]]}; expected {_shape(spec)} for each."
            )
        return np.concatenate(windows)
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The representative samples for input '{spec.name}' do not make an array: {error}"
        ) from error
    if array.ndim == len(spec.shape):
        array = array[np.newaxis]
    if array.ndim != len(spec.shape) + 1 or any(
        want not in (None, got) for want, got in zip(spec.shape, array.shape[1:], strict=True)
    ):
        raise ValueError(
            f"A representative sample for input '{spec.name}' has shape {np.shape(samples)}; "
            f"expected {_shape(spec, 'n')}, or {_shape(spec)} for one sample."
        )
    return array


def _finite(batches):
    """Yields the batches of an iterable, and refuses an endless one."""
    endless = isinstance(batches, tf.data.Dataset) and (
        batches.cardinality() == tf.data.INFINITE_CARDINALITY
    )
    size = 0
    for i, batch in enumerate(() if endless else batches):
        size += sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(batch))
        if endless := i >= _MOST_BATCHES or size > _MOST_BYTES:
            break
        yield batch
    if endless:
        raise ValueError(
            "The representative dataset does not end, or has more than "
            f"{_MOST_BATCHES:,} batches or {_MOST_BYTES >> 20:,} MiB. Give some hundred samples of "
            "it: dataset.take(10), or itertools.islice(generator, 10)."
        )


def _is_array(x):
    return hasattr(x, "shape")


def _is_sequence(x):
    return isinstance(x, (list, tuple))


def _names(inputs):
    return ", ".join(repr(spec.name) for spec in inputs)


def _shape(spec, *n):
    return f"({', '.join(map(str, (*n, *('any' if s is None else s for s in spec.shape))))})"


# ---- The values ----


def _checked(spec, array):
    """Returns the array in the dtype of the input."""
    if array.dtype.kind not in "iuf" and array.dtype != tf.bfloat16.as_numpy_dtype:
        raise ValueError(
            f"The representative samples for input '{spec.name}' have dtype {array.dtype}: give "
            f"{spec.dtype}, or other real numbers."
        )
    if array.size == 0:
        raise ValueError(
            f"The representative samples for input '{spec.name}' are empty, with shape "
            f"{array.shape}: give at least one."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        values = array.astype(spec.dtype)
    if not np.isfinite(values).all():
        raise ValueError(
            f"The representative samples for input '{spec.name}' hold NaN or infinity: leave such "
            "samples out."
        )
    if spec.dtype.kind in "iu" and not np.array_equal(values, array):
        raise ValueError(
            f"Input '{spec.name}' takes {spec.dtype}; a representative sample holds "
            f"{array[values != array][0]}: give values that {spec.dtype} can hold."
        )
    return values
