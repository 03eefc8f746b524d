"""Runs a converted model on its calibration set, and compares it with the Keras model."""

import dataclasses
import itertools
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_fastgrnn.export.progress import progress
from keras_fastgrnn.export.streaming import first_steps
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.affine import Affine

# Relative to an output's standard deviation: rounding is then a sixteenth of its variance. In the
# tasks of resolution.ENOUGH_STEPS this error cost 0.01 to 0.02 of accuracy, an error of 0.12 none.
_LARGE_ERROR = 0.25
# The most samples that every conversion is run on, and their multiplications: a second or two.
_FEW_SAMPLES, _FEW_MULTIPLICATIONS = 200, 5e8
_CHUNK = 50  # samples between two looks at the progress


class Compared(NamedTuple):
    """The integer model and the Keras model on the calibration set, at one tensor.

    Attributes:
        name: string, the name of the recurrent operator, or `output i`.
        affine: `Affine` of the integer model's values.
        expected: float array, the values of the Keras model.
        error: float64 array, the integer model's values minus `expected`.
        by_sample: array `(n,)`, the largest magnitude of the error in each sample.
        rms, largest: floats, of the error.
        float_rms: float, of `expected`.
    """

    name: str
    affine: Affine
    expected: np.ndarray
    error: np.ndarray
    by_sample: np.ndarray
    rms: float
    largest: float
    float_rms: float


def compare(name, affine, expected, values):
    """Returns the `Compared` of a tensor: `expected` by the Keras model, `values` in the file."""
    error = values.astype(np.float64) - expected
    by_sample = np.abs(error).reshape(len(error), -1).max(axis=1)
    rms, float_rms = (np.sqrt(np.mean(np.square(v, dtype=np.float64))) for v in (error, expected))
    return Compared(name, affine, expected, error, by_sample, rms, by_sample.max(), float_rms)


def compare_outputs(conversion, integer_outputs=None):
    """Runs the file in TensorFlow Lite Micro, or in TensorFlow Lite if that is not installed.

    Args:
        conversion: `Conversion`.
        integer_outputs: the outputs of `integer_run()`, if they are known.

    Returns:
        `(list of Compared, where)`: one for each output, and the name of the interpreter.
    """
    # An output of integers has no scale.
    affines = [affine or Affine(1.0, 0) for affine in conversion.rest.outputs]
    try:
        values, where = _tflm_run(conversion), "TensorFlow Lite Micro"
    except (ImportError, OSError, RuntimeError) as error:
        integer_outputs = integer_outputs or integer_run(conversion)[1]
        values = [affine.dequantize(y) for affine, y in zip(affines, integer_outputs, strict=True)]
        reason = str(error).splitlines()[0]
        where = f"TensorFlow Lite (TensorFlow Lite Micro cannot run: {reason})"
    return [
        compare(f"output {i}", affine, expected, y)
        for i, (affine, expected, y) in enumerate(
            zip(affines, conversion.outputs, values, strict=True)
        )
    ], where


def _tflm_run(conversion):
    """Returns the real outputs of the file: a list of float32 arrays."""
    interpreter, n = Interpreter(conversion.model), len(conversion.inputs[0])
    columns = [[] for _ in conversion.outputs]
    starts = set() if conversion.lengths is None else {*first_steps(conversion.lengths).tolist()}
    edges = sorted({*range(0, n, _CHUNK), *starts, n})
    for start, stop in progress([*itertools.pairwise(edges)], "Measuring"):
        if start in starts:
            interpreter.reset()
        x = [values[start:stop] for values in conversion.inputs]
        y = interpreter.predict(x if len(x) > 1 else x[0])
        for column, values in zip(columns, y if len(columns) > 1 else [y], strict=True):
            column.append(values)
    return list(map(np.concatenate, columns))


def integer_run(conversion):
    """Runs the integers of a conversion on its calibration set.

    NumPy runs the recurrent operators, TensorFlow Lite the rest. Each pass over the loop-free model
    yields the input of one more recurrent operator.

    Returns:
        `(cells, outputs)`: `(StateRange, y)` for each recurrent operator, and the integers of
        each output of the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "LiteRT will replace this interpreter"
        interpreter = tf.lite.Interpreter(model_content=conversion.rest.tflite)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    n_outputs = len(conversion.outputs)
    known = [
        x if affine is None else affine.quantize(x)
        for x, affine in zip(conversion.rounded_inputs, conversion.rest.inputs, strict=True)
    ]
    n, states = len(known[0]), []

    def run(sample):
        for i, detail in enumerate(inputs):
            value = (
                known[i][sample]
                if i < len(known)
                else np.zeros(detail["shape"][1:], detail["dtype"])
            )
            interpreter.set_tensor(detail["index"], value[None])
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"])[0] for detail in outputs]

    def run_all():
        return [run(sample) for sample in progress(range(n), "The integer model")]

    for i, operator in enumerate(conversion.operators):
        x = np.stack([y[n_outputs + i] for y in run_all()])
        y, seen = operator.run_integers(x)
        states.append(seen)
        known.append(y)
    results = zip(*(y[:n_outputs] for y in run_all()), strict=True)
    cells = zip(states, known[len(conversion.inputs) :], strict=True)
    return list(cells), list(map(np.stack, results))


def few_samples(conversion):
    """Returns the conversion with a few of its samples, to run it cheaply: the start of a stream,
    or samples spread over the calibration set, which may be sorted by class."""
    n = len(conversion.outputs[0])
    affordable = int(_FEW_MULTIPLICATIONS / (1 + _multiplications(conversion)))
    few = max(1, min(n, _FEW_SAMPLES, affordable))
    stateful = any(operator.recurrent.stateful for operator in conversion.operators)
    kept = np.arange(few) if stateful else np.linspace(0, n - 1, few).astype(int)
    return dataclasses.replace(
        conversion,
        inputs=[x[kept] for x in conversion.inputs],
        rounded_inputs=[x[kept] for x in conversion.rounded_inputs],
        outputs=[y[kept] for y in conversion.outputs],
        lengths=_first(few, conversion.lengths),
        operators=[
            dataclasses.replace(o, lengths=_first(few * o.x.shape[1], o.lengths))
            for o in conversion.operators
        ],
    )


def _first(steps, lengths):
    """Returns the lengths of the streams within the first `steps`; the last may be cut short."""
    if lengths is None:
        return None
    starts = first_steps(lengths)
    starts = starts[starts < steps]
    return np.diff(starts, append=steps)


def _multiplications(conversion):
    """Returns the approximate number in an invocation: each byte of weights, as often as it is
    used."""
    model = conversion.rest.model
    (graph,), total = model.subgraphs, 0
    for operator in graph.operators:
        shape = graph.tensors[operator.outputs[0]].shape
        for weights in (graph.tensors[i] for i in operator.inputs[1:2]):
            data = model.buffers[weights.buffer].data
            total += 0 if data is None else np.prod(shape[:-1]) * len(data)
    for operator in conversion.operators:
        cell = operator.cell
        total += operator.x.shape[1] * cell.units * (cell.units + cell.features)
    return float(total)


def large_errors(conversion, compared):
    """Yields a message for each output whose error is large against its standard deviation.

    Args:
        conversion: `Conversion`. All of its samples count for the standard deviation.
        compared: list of `Compared`, one for each output.
    """
    for name, at, expected in zip(conversion.names[1], compared, conversion.outputs, strict=True):
        deviation = _deviation(expected)
        if at.rms > _LARGE_ERROR * deviation > 0:
            yield (
                f"Output '{name}': the {at.affine.dtype} model is off by {at.rms:.3g} (rms, on the "
                "representative samples), and the standard deviation of the float model's values "
                f"is {deviation:.3g}. python -m keras_fastgrnn.export prints the error at each "
                "layer, and docs/quantize.md says what helps."
            )


def _deviation(values):
    """Returns the standard deviation of all channels, each about its own mean."""
    channels = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).T
    # One channel after another: all of them in float64 may be gigabytes.
    return float(np.sqrt(np.mean([np.var(channel, dtype=np.float64) for channel in channels])))
