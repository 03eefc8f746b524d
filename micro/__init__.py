"""Runs exported models on the desktop, in TFLite Micro with this package's C kernel."""

from keras_fastgrnn.micro.interpreter import Interpreter

__all__ = ["Interpreter"]
