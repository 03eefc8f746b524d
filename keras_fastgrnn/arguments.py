"""Checks of arguments that several modules take."""

import numbers


def whole_number(name, value):
    """Returns a whole number of any type as an int.

    Raises:
        ValueError: if it is a fraction, NaN, or no number.
    """
    if not isinstance(value, numbers.Real) or value % 1 != 0:
        raise ValueError(f"{name}={value!r}; expected a whole number: round it up or down.")
    return int(value)
