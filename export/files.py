"""Reads the files of the command. Errors name the flag and the file."""

import contextlib
import os
import pathlib
import sys
import tempfile
import warnings
import zipfile

import numpy as np

import keras_fastgrnn  # noqa: F401  # registers the layers for keras.models.load_model
from keras_fastgrnn.compat import keras


def writable(flag, value):
    """Returns the path of a file to write, which must be in a folder that exists."""
    path = pathlib.Path(value)
    if path.is_dir():
        raise ValueError(f"--{flag}={value} is a folder: name a file in it.")
    if not path.parent.is_dir():
        raise ValueError(f"--{flag}={value} is in a folder that does not exist: create the folder.")
    return path


def read_samples(path):
    """Returns the array of an .npy file, or the dict of arrays of an .npz file."""
    how = (
        "np.save('samples.npy', samples) writes an .npy file, np.savez('samples.npz', name=...) an "
        ".npz file with the samples of each input under its name."
    )
    if not pathlib.Path(path).is_file():
        raise ValueError(f"--samples={path} is not a file: name an .npy or .npz file. {how}")
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"--samples={path} is not an .npy or .npz file of numbers, or is damaged. {how}"
        ) from error


def read_model(path, output=None):
    """Returns the Keras model of a .keras file, which must not be the output file."""
    path, how = pathlib.Path(path), "model.save('model.keras') writes one."
    if not path.is_file():
        raise ValueError(f"--model={path} is not a file: name a .keras file. {how}")
    if output is not None and path.resolve() == output.resolve():
        raise ValueError(f"--output={output} is also the file of --model: name another.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"--model={path} is not a .keras file, or is damaged. {how}")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # of many types
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"--model={path} cannot be loaded: {reason} Convert a model with layers of your own in "
            "Python: keras_fastgrnn.export.convert(model, ...)."
        ) from error


def by_input(paths, files, names):
    """Returns a dict of arrays by the names of the model's inputs, for `convert()` to check.

    Args:
        paths, files: lists of file names, and of the results of `read_samples()` for them.
        names: list of strings, the names of the model's inputs.
    """
    if len(files) == 1 and isinstance(files[0], dict):
        return files[0]
    if any(isinstance(file, dict) for file in files) or len(files) != len(names):
        raise ValueError(
            f"--samples={', '.join(paths)}: the model has inputs {', '.join(map(repr, names))}. "
            "Give an .npy file for each, in this order, or one .npz file with an array under each "
            "name."
        )
    return dict(zip(names, files, strict=True))


def write_file(path, data):
    """Writes a file whole or not at all, with the permissions of any new file."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = pathlib.Path(folder, path.name)
        part.write_bytes(data)
        os.replace(part, path)


@contextlib.contextmanager
def shown_warnings():
    """A context in which a warning is one line on stderr, without its place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(
            f"Warning: {message}", file=sys.stderr
        )
        yield
