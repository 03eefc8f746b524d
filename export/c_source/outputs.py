"""What a prediction in C is, and the names of its classes."""

import numpy as np

from keras_fastgrnn.export.c_source.layouts import part

# The largest output,
_BEST = {
    "returns": "the index of the largest, of the first if some are equal",
    "best_variables": "int best = 0, i;",
    "best": """\
  for (i = 1; i < @NAME@_OUTPUTS; ++i) {
    if (y[i] > y[best]) best = i;
  }
  return best;""",
}
# or whether the only output, of a sigmoid, is over 0.5.
_DETECTED = {
    "returns": "1 if it is over @NAME@_THRESHOLD, else 0",
    "best_variables": "int logit;",
    "best": "  logit = y[0];\n  return logit > @NAME@_THRESHOLD;",
}
_NUMBERED_CLASSES = {"class_macro": "", "names": "", "class": "best", "class_format": "%d"}
_NAMED_CLASSES = {
    "class_macro": "/* The names of what is predicted. */\n#define @NAME@_CLASSES {@literals@}",
    "names": "static const char* const names[] = @NAME@_CLASSES;",
    "class": "names[best]",
    "class_format": "%s",
}


def output_values(chain, classes):
    """What becomes of the outputs.

    Raises:
        ValueError: if `classes` are no names of what the model predicts.
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
    wanted, what = chain.outputs, "its outputs"
    if _is_detector(chain):
        wanted, what = 2, "0, or 1 over the threshold"
    if len(classes) != wanted:
        raise ValueError(
            f"classes={classes!r} has {len(classes)} names, and the model predicts one of "
            f"{wanted}: {what}."
        )
    return _NAMED_CLASSES | {"literals": ", ".join(map(_string_literal, classes))}


def _is_detector(chain):
    """Whether the only output says whether or not: of a sigmoid."""
    return chain.activation == "sigmoid" and chain.outputs == 1


def _string_literal(text):
    """A string of C, in UTF-8: whatever could end it, or be more than a character, in octal."""
    plain = {*range(32, 127)} - set(b'"\\?@')  # ?: of trigraphs; @: of our own places
    return '"' + "".join(chr(b) if b in plain else rf"\{b:03o}" for b in text.encode()) + '"'
