"""Keras model -> int8 .tflite, with each FastRNN or FastGRNN layer as one operator."""

from keras_fastgrnn.export.aware.quantization_aware import quantization_aware
from keras_fastgrnn.export.c_source import c_source
from keras_fastgrnn.export.converter import convert
from keras_fastgrnn.export.cost import estimate

__all__ = ["c_source", "convert", "estimate", "quantization_aware"]
