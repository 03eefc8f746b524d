"""The inputs of a step in C: integers of the model, or of a sensor."""

import warnings

import numpy as np

from keras_fastgrnn.export.c_source.arrays import rows
from keras_fastgrnn.export.c_source.layouts import part
from keras_fastgrnn.export.c_source.sensor import SENSORS, choose_quantizer, sensor_affine

_MODEL = {
    "input_arrays": "@input@_t x[@NAME@_FEATURES];",
    "q": "x",
    "quantize": "",
    "quantize_call": "",
    "quantize_declaration": "",
    "usage": "@name@_step(&state, x);",
    "quantized": "",
    "read": "quantised inputs",
    "sensor_comment": """ A real value r is r / @NAME@_INPUT_SCALE + @NAME@_INPUT_ZERO_POINT,
// rounded and saturated to @input_low@..@input_high@. Given the sensor's unit, c_source() writes a
// function that does so in integers.""",
}
# An analogue input has 10 bits.
_ANALOG_READ = {
    "int8": "(int8_t)((analogRead(A0) >> 2) - 128)",
    "int16": "(int16_t)((analogRead(A0) - 512) * 64)",
}
_SENSOR = {
    "input_arrays": "@sensor@_t x[@NAME@_FEATURES]; @input@_t q[@NAME@_FEATURES];",
    "q": "q",
    "quantize_call": "@name@_quantize(x, q);",
    "usage": "@name@_quantize(x, q), @name@_step(&state, q);",
    "quantized": ", through @name@_quantize()",
    "read": "the sensor's integers",
    "analog_read": "analogRead(A0)",
    "sensor_comment": " @name@_quantize() normalises its integers.",
}
_NARROWED = {"int16": "x[i]", "int32": "narrow(x[i], quantize_low[i], quantize_narrow[i])"}


def make_quantizer(chain, unit, mean, std, sensor):
    """The `Quantizer` of the sensor, from the arguments of `c_source()`; `None` if the C reads the
    model's integers."""
    given = {"unit": unit, "mean": mean, "std": std, "sensor": sensor}
    given = {name: value for name, value in given.items() if value is not None}
    if chain.sensor:
        if given:
            raise ValueError(
                f"{_assignments(given)} is not supported: the model itself reads the sensor's "
                f"{chain.sensor}. Leave it out."
            )
        if chain.quantizer is not None:
            return chain.quantizer
        unit, sensor = 1.0, chain.sensor
    elif unit is None:
        if given:
            raise ValueError(
                f"{_assignments(given)} needs a unit: give the real value of 1 in the sensor's "
                "integers."
            )
        return None
    sensor = sensor or SENSORS[0]
    if sensor not in SENSORS:
        raise ValueError(f"sensor={sensor!r} is not supported: use {' or '.join(SENSORS)}.")
    factor, offset = sensor_affine(chain.features, unit, mean, std)
    factor, offset = factor * chain.factor, offset * chain.factor + chain.offset
    quantizer = choose_quantizer(sensor, factor, offset, chain.input)
    _warn_if_useless(quantizer, np.abs(factor) / np.ptp(chain.input.limits))
    return quantizer


def _warn_if_useless(quantizer, parts):
    """Warns of a unit or a mean that is surely a mistake, such as the inverse of the unit.

    `parts`: 1 in the sensor's integers, as a fraction of the model's range."""
    limits, output = np.iinfo(quantizer.dtype), quantizer.output
    low, high = quantizer.quantize([[limits.min] * len(parts), [limits.max] * len(parts)])
    for features, problem in (
        (low == high, f"every {quantizer.dtype} of the sensor becomes the same {output}"),
        (
            (low != high) & (parts >= 1),
            f"1 in the sensor's integers exceeds the whole range of {output}",
        ),
    ):
        if features.any():
            warnings.warn(
                f"Features {np.flatnonzero(features).tolist()}: {problem}. Give unit, mean and std "
                "in the unit of the training data.",
                stacklevel=4,  # the caller of c_source()
            )


def _assignments(given):
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


def input_values(chain, quantizer):
    """The type of a step's input, and the functions that quantise to it."""
    dtype = chain.input.dtype
    limits, sensor = np.iinfo(dtype), quantizer.dtype if quantizer else dtype
    return {
        "sensor": sensor,
        "SENSOR": sensor.upper(),
        "input": dtype,
        "input_low": limits.min,
        "input_high": limits.max,
        "float_limit": 2 * limits.max,
        "input_scale": np.float32(chain.input.scale),
        "input_zero_point": chain.input.zero_point,
        **_float_values(chain),
        **(_sensor_values(quantizer) if quantizer else _model_values(dtype)),
    }


def _model_values(dtype):
    return _MODEL | {"analog_read": _ANALOG_READ[dtype]}


def _sensor_values(quantizer):
    dtype = quantizer.dtype
    functions = ["narrow.c", "quantize.c"] if dtype == "int32" else ["quantize.c"]
    if quantizer.output == "int16":
        functions = ["quantize16.c"]
    return _SENSOR | {
        "narrowed": _NARROWED[dtype],
        "quantize": "".join(f"\n{part(function)}\n" for function in functions).removesuffix("\n"),
        "quantize_declaration": part("quantize.h") + "\n",
    }


def _float_values(chain):
    """The quantisation of a real value, with the normalisation that the model begins with."""
    if (chain.factor == 1).all() and (chain.offset == 0).all():
        return {"normalized": "", "float_constants": "", "float_value": "x[i]"}
    arrays = {"factor": np.float32(chain.factor), "offset": np.float32(chain.offset)}
    return {
        "normalized": " (for an input, after the model's normalisation)",
        "float_constants": "\n".join(
            f"  static const float {name}[] = {{\n{rows(f'{v!s}f' for v in array)}}};"
            for name, array in arrays.items()
        ),
        "float_value": "(x[i] * factor[i] + offset[i])",
    }
