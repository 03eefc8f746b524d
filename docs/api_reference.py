"""Writes the API reference as HTML, from the docstrings: `make docs`.

What pdoc warns of is an error here, and so is a public name without a docstring.
"""

import importlib
import pathlib
import sys
import warnings

import pdoc
from absl import app, flags

from keras_fastgrnn.compat import keras

_TEMPLATES = pathlib.Path(__file__).parent / "pdoc"

MODULES = [
    "keras_fastgrnn",
    "keras_fastgrnn.pruning",
    "keras_fastgrnn.export",
    "keras_fastgrnn.micro",
    "keras_fastgrnn.litert",
    "keras_fastgrnn.interpreters",
    "keras_fastgrnn.edgeml",
]


def undocumented(module):
    """Names of the public classes and functions of a module, and of their methods, that have no
    docstring. Only the class itself counts for a Keras layer: Keras calls its methods."""
    members = list(pdoc.doc.Module(module).members.values())
    for member in members:
        if member.name.startswith("_") or member.kind not in ("class", "function"):
            continue
        if not member.docstring:
            yield member.fullname
        if member.kind == "class" and not issubclass(member.obj, keras.layers.Layer):
            members += member.own_members


def write(folder):
    """Writes the pages. Ends the process if a public name has no docstring."""
    modules = [importlib.import_module(name) for name in MODULES]
    names = [name for module in modules for name in undocumented(module)]
    if names:
        sys.exit(f"These have no docstring: {', '.join(names)}.")
    pdoc.docstrings.GOOGLE_LIST_SECTIONS.append("Call arguments")  # Keras's own
    pdoc.render.configure(docformat="google", show_source=False, template_directory=_TEMPLATES)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pdoc")
        pdoc.pdoc(*MODULES, output_directory=folder)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    folder = pathlib.Path(flags.FLAGS.output_dir)
    write(folder)
    print(folder / "index.html")


if __name__ == "__main__":
    # Here, since the tests import this module beside others with a flag of that name.
    flags.DEFINE_string("output_dir", "build/docs", "Where the pages are written.")
    app.run(main)
