"""A progress bar for slow loops."""

import contextlib
import sys
import time

from keras_fastgrnn.compat import keras

_PATIENCE = 5.0  # seconds without a bar


def progress(items, what):
    """Yields the items of a sequence. After five seconds a terminal shows a progress bar."""
    start, bar = time.monotonic(), None
    for done, item in enumerate(items, 1):
        yield item
        if bar is None and sys.stderr.isatty() and time.monotonic() - start > _PATIENCE:
            bar = keras.utils.Progbar(len(items), unit_name=what)
        if bar is not None:
            with contextlib.redirect_stdout(sys.stderr):
                bar.update(done)
