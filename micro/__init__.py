"""Exported models on the desktop, run by TFLite Micro with this package's C kernel inside it."""

from keras_fastgrnn.micro.interpreter import Interpreter

__all__ = ["Interpreter"]
