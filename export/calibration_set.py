"""The calibration set of a conversion: the samples, and how the model reads them."""

import dataclasses

import numpy as np

from keras_fastgrnn.export.front import fronts
from keras_fastgrnn.export.keras_model import call_layer, functional
from keras_fastgrnn.export.samples import representative_arrays
from keras_fastgrnn.export.streaming import as_steps, check_streaming


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Representative samples of a model.

    Attributes:
        samples: list of arrays `(n, ...)`, one for each input of the model.
        inputs: list of the same arrays after each `Front`, where the file rounds them.
        fronts: list of the `Front` of each input, which the file computes before it rounds; `None`
            for an input that has none.
        folded: set of the layers that the fronts replace.
        lengths: integers, the time steps of each stream of a streaming model; else `None`.
    """

    samples: list
    inputs: list
    fronts: list
    folded: set
    lengths: np.ndarray | None

    def call(self, layer, args, kwargs):
        """Calls a layer of the model on tensors behind the fronts."""
        return args[0] if layer in self.folded else call_layer(layer, args, kwargs)


def calibration_set(model, dataset, *, streaming, reset, input_type):
    """Reads the calibration set.

    Args:
        model: `keras.Sequential` or functional `keras.Model`.
        dataset, streaming, reset, input_type: as in `convert()`.

    Returns:
        `CalibrationSet`.

    Raises:
        ValueError: if the dataset does not fit the model, or streaming does not.
    """
    columns = representative_arrays(functional(model).inputs, dataset, streaming=streaming)
    if streaming:
        samples, lengths = as_steps(columns)
        check_streaming(model, samples, lengths)
        if reset == "never":
            lengths = lengths.sum(keepdims=True)
    else:
        samples, lengths = [np.concatenate(column) for column in columns], None
    # With another type, a float input is rounded before it enters the file.
    found, folded = fronts(model, samples, of_floats=input_type == "float32")
    inputs = [x if front is None else front(x) for front, x in zip(found, samples, strict=True)]
    return CalibrationSet(samples, inputs, found, folded, lengths)
