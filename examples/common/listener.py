"""A model that listens for a keyword, frame by frame as on a chip."""

import math

import numpy as np

from examples.common.front_end import BANDS, FRAME, SCALE, ZERO_POINT, FrontEnd
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.interpreters import interpreter


class Listener:
    """A model that gives the logit of the keyword at each frame of the front end.

    Args:
        tflite: bytes, a streaming model that `keyword_training.to_int8()` made.

    Raises:
        ValueError: if the file has another kind of model.
    """

    def __init__(self, tflite):
        self._interpreter = interpreter(tflite)
        inputs, outputs = self._interpreter.inputs, self._interpreter.outputs
        found = [(tensor.dtype, math.prod(tensor.shape)) for tensor in (*inputs, *outputs)]
        if len(inputs) != 1 or found != [(np.int8, BANDS), (np.int8, 1)]:
            raise ValueError(
                f"The model reads {_describe(inputs)} and gives {_describe(outputs)}. It has to "
                f"read int8 (1, 1, {BANDS}), the features of a frame, and to give one int8, the "
                "keyword's logit."
            )
        (x,), (y,) = inputs, outputs
        if not np.allclose((x.scale, x.zero_point), (SCALE, ZERO_POINT)):
            raise ValueError(
                f"The model is for other features: its input has scale {x.scale:g} and zero point "
                f"{x.zero_point}; the front end's have {SCALE:g} and {ZERO_POINT:g}. The "
                "representative_dataset has to contain both ends of int8."
            )
        try:
            chain = read_chain(tflite)
            if chain.activation:
                raise ValueError(f"it ends in {chain.activation}.")
        except ValueError as error:
            raise ValueError(
                "The model has to consist of recurrent layers and a Dense layer without an "
                f"activation, which gives the logit: {error}"
            ) from error
        if not all(cell.stateful for cell in chain.cells):
            raise ValueError("The model keeps no state: convert it with streaming=True.")
        self._scale, self._zero_point = float(y.scale), y.zero_point

    def quantize(self, threshold):
        """The least int8 logit, an integer, whose probability reaches the threshold.

        Raises:
            ValueError: if no int8 reaches it, or every int8 does.
        """
        if not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold} is not a probability between 0 and 1.")
        logit = math.log(threshold / (1 - threshold))
        threshold_q = math.ceil(logit / self._scale + self._zero_point)
        if not -128 < threshold_q <= 127:
            least, most = self.probability(-128), self.probability(127)
            raise ValueError(
                f"threshold={threshold} is {'never' if threshold_q > 127 else 'always'} reached: "
                f"the model's int8 goes from {least:.4g} to {most:.4g}."
            )
        return threshold_q

    def probability(self, logit):
        """The probability of an int8 logit, or of a mean of several."""
        logit = (logit - self._zero_point) * self._scale
        return 0.5 + 0.5 * math.tanh(logit / 2)

    def listen(self, chunks):
        """Listens to a new stream.

        Args:
            chunks: iterable of int16 `(320,)`; a shorter one at the end is ignored.

        Yields:
            The int8 logit of each frame, an integer, or `None` while the front end fills up.
        """
        self._interpreter.reset()
        hear = FrontEnd()
        for samples in chunks:
            if len(samples) == FRAME:
                features = hear(samples)
                yield self._say(features) if len(features) else None

    def _say(self, features):
        return self._interpreter.invoke(features[np.newaxis]).item()


def _describe(tensors):
    return ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors)
