"""Flags of the examples that train."""

import pathlib

from absl import flags

_SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial weights and the order of the batches.")
_EPOCHS = flags.DEFINE_integer(
    "epochs", None, "Training epochs of each model; by default as many as suit it.", lower_bound=3
)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "build", "Folder for the files that are written.")


def output_folder():
    """Path of --output_dir, which is made if it is not there."""
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def changes():
    """Arguments of a training: "seed", and "epochs" where they are named."""
    return {"seed": _SEED.value} | ({"epochs": _EPOCHS.value} if _EPOCHS.value else {})
