"""The folder of the data sets."""

import os
import pathlib

from absl import flags

from examples.common import command

DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of the data; load() of the data set names its files."
)


def folder(data_dir=None):
    """The path `data_dir`, else $KERAS_FASTGRNN_DATA, else ../shared/data."""
    return pathlib.Path(data_dir or os.environ.get("KERAS_FASTGRNN_DATA", "../shared/data"))


def load(read):
    """Returns `read(--data_dir)`; ends the command with one line if the data is missing."""
    with command.one_line():
        return read(DATA_DIR.value)
