"""A converted model as plain C99."""

from keras_fastgrnn.export.c_source.source import c_source

__all__ = ["c_source"]
