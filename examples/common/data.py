"""Where the data sets lie."""

import os
import pathlib

from absl import flags

from examples.common import command

DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of the data; load() of the data set says what lies there."
)


def folder(data_dir=None):
    """Path of the folder that is named, else of $KERAS_FASTGRNN_DATA, else ../shared/data."""
    return pathlib.Path(data_dir or os.environ.get("KERAS_FASTGRNN_DATA", "../shared/data"))


def load(read):
    """Returns `read(--data_dir)`; ends the command with one line if the data is not there."""
    with command.one_line():
        return read(DATA_DIR.value)
