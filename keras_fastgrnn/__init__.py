"""FastRNN and FastGRNN for Keras.

This module has the layers and cells. Others have

- `keras_fastgrnn.pruning`: training with most weights zero,
- `keras_fastgrnn.export`: conversion to int8 .tflite, and training for int8,
- `keras_fastgrnn.export.c_source`: the .tflite model as plain C,
- `keras_fastgrnn.micro`: the .tflite model on the desktop, as a microcontroller runs it,
- `keras_fastgrnn.litert`: the .tflite model in LiteRT,
- `keras_fastgrnn.interpreters`: the interpreter that this machine has,
- `keras_fastgrnn.edgeml`: models that EdgeML trained.
"""

import importlib.machinery
import importlib.metadata
import pathlib
import sys

from keras_fastgrnn import quiet  # noqa: F401  # first: the next imports TensorFlow
from keras_fastgrnn.activations import quant_sigmoid, quant_tanh
from keras_fastgrnn.fastgrnn import FastGRNN, FastGRNNCell
from keras_fastgrnn.fastrnn import FastRNN, FastRNNCell

__all__ = ["FastGRNN", "FastGRNNCell", "FastRNN", "FastRNNCell", "quant_sigmoid", "quant_tanh"]
__version__ = importlib.metadata.version("keras-fastgrnn")


class _Checkout:
    """Finds `keras_fastgrnn.export` and `.micro` in a checkout, where they lie beside this folder.

    At the root of a checkout Python imports this folder as the package, even if another copy is
    installed, and does not find the installed subpackages.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in (f"{__name__}.export", f"{__name__}.micro"):
            return importlib.machinery.PathFinder.find_spec(name, [str(_FOLDER.parent)])


_FOLDER = pathlib.Path(__file__).parent
# An installed package contains them; folders beside it belong to somebody else.
if not (_FOLDER / "export").exists() and (_FOLDER.parent / "pyproject.toml").exists():
    sys.meta_path.append(_Checkout)
