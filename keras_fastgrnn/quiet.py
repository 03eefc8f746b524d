"""Keeps the messages of TensorFlow's C++ off the stderr of this package's commands.

These messages start with the import of TensorFlow, and no log level silences them all. Python's own
stderr still reaches the terminal, with warnings and errors. `--verbose` changes nothing.
"""

import os
import sys

_COMMANDS = {"keras_fastgrnn.export", "keras_fastgrnn.export.c_source"}


def _runs_quiet_command():
    # While `python -m` imports the packages above a module, sys.argv[0] is "-m".
    if sys.argv[:1] != ["-m"] or "--verbose" in sys.argv:
        return False
    names = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
    return bool(_COMMANDS.intersection(names[:1]))


if _runs_quiet_command():
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    _nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(_nowhere, 2)
    os.close(_nowhere)
