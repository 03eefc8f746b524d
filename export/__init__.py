"""Keras model -> int8 .tflite, with each FastRNN or FastGRNN layer as one operator."""

from keras_fastgrnn.export.converter import convert
from keras_fastgrnn.export.quantization_aware import quantization_aware

__all__ = ["convert", "quantization_aware"]
