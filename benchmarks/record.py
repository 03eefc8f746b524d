"""The files of results: benchmarks write them, and benchmarks/pages reads them."""

import importlib.metadata
import json
import os
import pathlib
import platform

from absl import flags

from benchmarks.targets import TARGETS, reached

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results"
_RESULTS_DIR = flags.DEFINE_string("results_dir", str(FOLDER), "Folder of the files of results.")


def folder():
    """Path of --results_dir."""
    return pathlib.Path(_RESULTS_DIR.value)


def read(path):
    """The dict of a JSON file, empty if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path, values):
    """Writes a JSON file, whole or not at all."""
    write_text(path, json.dumps(values, indent=2, default=float) + "\n")


def write_text(path, text):
    """Writes a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def figures(name, values):
    """Writes figures into a file of results, beside those of other commands; prints those that
    have a target."""
    path = folder() / name
    write(path, read(path) | values)
    for figure, target in TARGETS.get(name, {}).items():
        if figure in values:
            verdict = "reached" if reached(values[figure], *target) else "missed"
            print(f"{figure:30}{values[figure]:>14,.5g}  {' '.join(map(str, target))}: {verdict}")
    print(f"Written: {path}")


def versions():
    """The versions that figures depend on: dict from name to version."""
    packages = ("tensorflow", "keras", "tensorflow-model-optimization", "tflite_micro", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return found | {"python": platform.python_version()}
