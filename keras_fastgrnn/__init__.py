"""FastRNN and FastGRNN for Keras.

Beside the layers and cells of this module there are

- `keras_fastgrnn.pruning`: training with most weights zero,
- `keras_fastgrnn.export`: the trained model as int8 .tflite, and training for int8,
- `keras_fastgrnn.export.c_source`: the .tflite model as plain C,
- `keras_fastgrnn.micro`: the .tflite model on the desktop, as a microcontroller runs it,
- `keras_fastgrnn.edgeml`: models that EdgeML trained.
"""

import importlib.metadata

from keras_fastgrnn import quiet  # noqa: F401  # first: the next imports TensorFlow
from keras_fastgrnn.activations import quant_sigmoid, quant_tanh
from keras_fastgrnn.fastgrnn import FastGRNN, FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNN, FastRNNCell

__all__ = ["FastGRNN", "FastGRNNCell", "FastRNN", "FastRNNCell", "quant_sigmoid", "quant_tanh"]
__version__ = importlib.metadata.version("keras-fastgrnn")
