"""Keras model -> int8 .tflite, with each FastRNN or FastGRNN layer as one operator."""

from keras_fastgrnn.export.converter import convert

__all__ = ["convert"]
