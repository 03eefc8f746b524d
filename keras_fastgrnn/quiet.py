"""Keeps what TensorFlow's C++ writes to stderr out of this package's commands.

It starts with the import of TensorFlow and knows no level that silences it all. Python's own stderr
goes on to the terminal, so warnings and errors are seen. `--verbose` leaves both as they are.
"""

import os
import sys

_COMMANDS = {"keras_fastgrnn.export", "keras_fastgrnn.export.c_source"}


def _runs_quiet_command():
    # While `python -m` imports the packages above a module, the name of the program is "-m".
    if sys.argv[:1] != ["-m"] or "--verbose" in sys.argv:
        return False
    names = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
    return bool(_COMMANDS.intersection(names[:1]))


if _runs_quiet_command():
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    _nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(_nowhere, 2)
    os.close(_nowhere)
