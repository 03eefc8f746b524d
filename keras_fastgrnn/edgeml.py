"""Loads models that were trained with Microsoft's EdgeML from their folders of .npy files."""

import itertools
import os
import pathlib

import numpy as np

from keras_fastgrnn.compat import keras
from keras_fastgrnn.fastgrnn import FastGRNN
from keras_fastgrnn.fastrnn import FastRNN

# The files of EdgeML's FastTrainer for each cell: biases, in the order of our rows, and scalars.
_FILES = {FastGRNN: (("Bg", "Bh"), ("zeta", "nu")), FastRNN: (("B",), ("alpha", "beta"))}


def load(
    folder: str | os.PathLike, *, transposed: bool = False, **layer_arguments
) -> keras.Sequential:
    """Loads a FastRNN or FastGRNN that EdgeML saved, with its classifier.

    EdgeML's `FastTrainer`, for TensorFlow or PyTorch, saves W.npy (at low rank W1.npy and W2.npy),
    the same for U, and Bg.npy, Bh.npy, zeta.npy, nu.npy (FastGRNN) or B.npy, alpha.npy, beta.npy
    (FastRNN), FC.npy, FCbias.npy. The files determine the cell and its sizes, but not

    - the nonlinearities. Unless they were tanh and sigmoid, give `activation` (`-unl` in EdgeML's
      examples) and `recurrent_activation` (`-gnl`); command.txt in the folder may have them.
    - the normalisation. EdgeML's examples train on `(x - mean) / std`, with `x (n, timesteps *
      features)` and mean.npy and std.npy of the folder. The model expects the same.

    Args:
        folder: path of the folder.
        transposed: whether the matrices W and U are `(outputs, inputs)`, as in EdgeML's
            `FastGRNNCUDACell` and its C code. Its other cells have `(inputs, outputs)`. The shapes
            of square matrices do not show it. Default: `False`.
        **layer_arguments: other arguments of `FastGRNN` or `FastRNN`.

    Returns:
        `keras.Sequential` of the layer and, where there is an FC.npy, `keras.layers.Dense`, whose
        outputs are logits. It takes inputs `(batch, timesteps, features)`.

    Raises:
        OSError: if the folder or one of the files cannot be read.
        ValueError: if the folder holds a quantised model or another cell, or a file is damaged or
            has the wrong shape or dtype.

    Example:

    >>> model = keras_fastgrnn.edgeml.load("FastGRNNResults/2018-11-26T11-12-29")
    >>> y = model.predict(((x - mean) / std).reshape(-1, timesteps, features))
    """
    folder = pathlib.Path(folder)
    names = {path.stem for path in folder.iterdir() if path.suffix == ".npy"}
    if "paramScaleFactor" in names:
        raise ValueError(
            f"{folder} holds a model that EdgeML quantised. Load the float model "
            f"({folder.absolute().parent}), and let keras_fastgrnn.export.convert() quantise it."
        )
    layer_class = next(
        (c for c, files in _FILES.items() if names.issuperset(itertools.chain(*files))), None
    )
    if layer_class is None:
        raise ValueError(
            f"{folder} has the arrays {sorted(names)}; expected Bg, Bh, zeta and nu of a FastGRNN, "
            "or B, alpha and beta of a FastRNN. EdgeML saves none of these for other cells. For "
            "FastGRNNCUDACell, save bias_gate, bias_update, zeta and nu under these names yourself."
        )
    biases, scalars = _FILES[layer_class]
    sizes: dict = {1: 1}

    def read(name, *dimensions):
        return _read(folder / f"{name}.npy", dimensions, sizes)

    def read_factors(name, inputs):
        factors, rank = [f"{name}1", f"{name}2"], f"rank of {name}"
        if name not in names:
            dimensions = [(inputs, rank), (rank, "units")]
        elif names.isdisjoint(factors):
            factors, dimensions = [name], [(inputs, "units")]
        else:
            raise ValueError(
                f"{folder} has {name}.npy and also its factors, {' and '.join(factors)}: keep the "
                "files of one model."
            )
        return [
            _read(folder / f"{f}.npy", d, sizes, transposed)
            for f, d in zip(factors, dimensions, strict=True)
        ]

    bias = np.concatenate([read(name, 1, "units") for name in biases])
    matrices = read_factors("W", "features") + read_factors("U", "units")
    layer = layer_class(
        sizes["units"],
        kernel_rank=sizes.get("rank of W"),
        recurrent_rank=sizes.get("rank of U"),
        **layer_arguments,
    )
    model = keras.Sequential([keras.Input((None, sizes["features"])), layer])
    for weight, matrix in zip(layer.cell.matrices().values(), matrices, strict=True):
        weight.assign(matrix)
    layer.cell.bias.assign(np.reshape(bias, layer.cell.bias.shape))
    for name in scalars:
        getattr(layer.cell, name).assign(read(name, 1, 1)[0, 0])
    if "FC" in names:
        classifier = [read("FC", "units", "classes"), read("FCbias", "classes")]
        model.add(keras.layers.Dense(sizes["classes"]))
        model.layers[-1].set_weights(classifier)
    return model


def _read(path, dimensions, sizes, transposed=None):
    """Reads an array of floats. `sizes`, a dict by dimension name, checks or learns its shape."""
    with path.open("rb") as file:
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise ValueError(
                f"{path} is damaged, or not a file of numpy.save(): {error}"
            ) from error
    if array.dtype.kind != "f":
        raise ValueError(f"{path} has dtype {array.dtype}; expected floats: save it as float32.")
    if transposed:
        dimensions = dimensions[::-1]
    expected = [str(sizes.get(d, d)) for d in dimensions]
    if array.ndim != len(dimensions) or any(
        sizes.setdefault(d, n) != n for d, n in zip(dimensions, array.shape, strict=True)
    ):
        raise ValueError(
            f"{path} has shape {array.shape}; expected ({', '.join(expected)})"
            + ("." if transposed is None else f" with transposed={transposed}.")
        )
    return array.T if transposed else array
