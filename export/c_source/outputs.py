"""A prediction in C, and the names of its classes."""

import numpy as np

from keras_fastgrnn.export.c_source.layouts import part

# The prediction of a classifier: its largest output.
_BEST = {
    "returns": "the index of the largest output, of the first among equals",
    "best_variables": "int best = 0, i;",
    "best": """\
  for (i = 1; i < @NAME@_OUTPUTS; ++i) {
    if (y[i] > y[best]) best = i;
  }
  return best;""",
}
# The prediction of a detector: whether its only output, a sigmoid, is above 0.5.
_DETECTED = {
    "returns": "1 if the output is above @NAME@_THRESHOLD, else 0",
    "best_variables": "int logit;",
    "best": "  logit = y[0];\n  return logit > @NAME@_THRESHOLD;",
}
_NUMBERED_CLASSES = {"class_macro": "", "names": "", "class": "best", "class_format": "%d"}
_NAMED_CLASSES = {
    "class_macro": "/* The names of the classes. */\n#define @NAME@_CLASSES {@literals@}",
    "names": "static const char* const names[] = @NAME@_CLASSES;",
    "class": "names[best]",
    "class_format": "%s",
}


def output_values(chain, classes):
    """The outputs in the C, and the prediction.

    Raises:
        ValueError: if `classes` are not names, or not as many as the model predicts.
    """
    return {
        "output": chain.output.dtype,
        "output_scale": np.float32(chain.output.scale),
        "output_zero_point": chain.output.zero_point,
        "left_out": f" The model's {chain.activation} is left out." if chain.activation else "",
        "threshold": part("threshold.h") if chain.activation == "sigmoid" else "",
        **(_DETECTED if _is_detector(chain) else _BEST),
        **_class_values(chain, classes),
    }


def _class_values(chain, classes):
    if classes is None:
        return _NUMBERED_CLASSES
    is_list = np.iterable(classes) and not isinstance(classes, str)
    if not is_list or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes={classes!r} is not supported: give a list of strings.")
    expected, each = chain.outputs, "each output"
    if _is_detector(chain):
        expected, each = 2, "0, and one for 1, above the threshold"
    if len(classes) != expected:
        raise ValueError(
            f"classes={classes!r} has length {len(classes)}; expected {expected}: one for {each}."
        )
    return _NAMED_CLASSES | {"literals": ", ".join(map(_string_literal, classes))}


def _is_detector(chain):
    """Whether the model has a single output, a sigmoid."""
    return chain.activation == "sigmoid" and chain.outputs == 1


def _string_literal(text):
    """A string of C, in UTF-8: bytes that could end it or begin an escape are in octal."""
    plain = {*range(32, 127)} - set(b'"\\?@')  # ?: of trigraphs; @: of fill()
    return '"' + "".join(chr(b) if b in plain else rf"\{b:03o}" for b in text.encode()) + '"'
