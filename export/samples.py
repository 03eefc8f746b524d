"""What `convert()` takes as representative samples -> one array for each input of the model."""

import numpy as np
import tensorflow as tf


def representative_arrays(inputs, dataset):
    """One array for each of the model's inputs, of all samples."""
    if callable(dataset):
        dataset = dataset()
    batches = [dataset] if hasattr(dataset, "shape") else list(dataset)
    wanted = [(x.name, tuple(x.shape), tf.as_dtype(x.dtype).as_numpy_dtype) for x in inputs]
    columns = [[] for _ in wanted]
    for batch in batches:
        arrays = [np.asarray(a) for a in tf.nest.flatten(batch)]
        if len(arrays) != len(wanted):
            raise ValueError(
                f"A batch of the representative dataset holds {len(arrays)} arrays; the model has "
                f"{len(wanted)} inputs. Leave out labels."
            )
        for column, array in zip(columns, arrays, strict=True):
            column.append(array)
    if not batches:
        raise ValueError("The representative dataset is empty: give at least one batch.")
    return [_check_array(*spec, column) for spec, column in zip(wanted, columns, strict=True)]


def _check_array(name, shape, dtype, column):
    for array in column:
        if array.ndim != len(shape) or any(
            want not in (None, got) for want, got in zip(shape[1:], array.shape[1:], strict=True)
        ):
            raise ValueError(
                f"A representative sample for input '{name}' has shape {array.shape}; expected "
                f"(n, {', '.join('any' if s is None else str(s) for s in shape[1:])})."
            )
    shapes = {array.shape[1:] for array in column}
    if len(shapes) > 1:
        raise ValueError(
            f"The representative samples for input '{name}' have different shapes: "
            f"{sorted(shapes)}. The exported model has one: pad or cut them."
        )
    array = np.concatenate(column).astype(dtype)
    if array.size == 0:
        raise ValueError(f"The representative samples for input '{name}' are empty.")
    if not np.isfinite(array).all():
        raise ValueError(
            f"The representative samples for input '{name}' hold NaN or infinity: leave such "
            "samples out."
        )
    return array
