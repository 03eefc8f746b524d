"""A converted model as plain C99."""

from keras_fastgrnn.export.c_source.chain import Unsupported
from keras_fastgrnn.export.c_source.interpreter import Interpreter
from keras_fastgrnn.export.c_source.source import c_source

__all__ = ["Interpreter", "Unsupported", "c_source"]
