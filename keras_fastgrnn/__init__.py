"""FastRNN and FastGRNN for Keras."""

import importlib.metadata

from keras_fastgrnn.activations import quant_sigmoid, quant_tanh
from keras_fastgrnn.fastgrnn import FastGRNN, FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNN, FastRNNCell

__all__ = ["FastGRNN", "FastGRNNCell", "FastRNN", "FastRNNCell", "quant_sigmoid", "quant_tanh"]
__version__ = importlib.metadata.version("keras-fastgrnn")
