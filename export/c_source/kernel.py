"""The C kernel in one header, all of it local to the file that includes it."""

import pathlib
import re

import keras_fastgrnn.micro

_FOLDER = pathlib.Path(keras_fastgrnn.micro.__file__).parent
_HEADER = """\
/* The kernel of keras-fastgrnn (Apache-2.0): its files, each where it is included. */
#ifndef FASTGRNN_KERNEL_H_
#define FASTGRNN_KERNEL_H_

#define FASTGRNN_API static inline

{code}
#endif /* FASTGRNN_KERNEL_H_ */
"""


def kernel():
    """The text of fastgrnn_kernel.h."""
    seen = set()

    def include(name):
        if name in seen:
            return ""
        seen.add(name)
        folder = _FOLDER / ("src" if (_FOLDER / "src" / name).exists() else "include")
        text = (folder / name).read_text("utf-8")
        return re.sub(r'^#include "(.+)"\n', lambda match: include(match[1]), text, flags=re.M)

    return _HEADER.format(code=include("fastgrnn.c"))
