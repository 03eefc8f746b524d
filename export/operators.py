"""The recurrent layers of a model: run in float, and quantised to FASTGRNN operators."""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_fastgrnn.export.aware.quantized_layers import QuantizedDense
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.export.cell.blocks import pack
from keras_fastgrnn.export.cell.calibrate import Ranges, calibrate, merged
from keras_fastgrnn.export.cell.float_cell import FloatCell, read_float_cell
from keras_fastgrnn.export.cell.formats import Formats, choose_formats, round_to
from keras_fastgrnn.export.cell.reference import IntegerCell
from keras_fastgrnn.export.cell.sequences import run_in_blocks
from keras_fastgrnn.export.keras_model import Recurrent, run_model
from keras_fastgrnn.export.streaming import in_streams


class StateRange(NamedTuple):
    """The values of an int16 state: `low`, `high`, and the `saturated` fraction of them."""

    low: int
    high: int
    saturated: float


@dataclasses.dataclass(frozen=True, eq=False)
class FloatLayer:
    """A recurrent layer on the calibration set.

    Attributes:
        recurrent: `Recurrent`, its place in the Keras model.
        cell: `FloatCell`.
        lengths: integers, the time steps of each stream in x; each stream starts with a state of 0.
            `None`: each sequence is a stream.
        x, y: float arrays, the sequences that the layer read and wrote.
        ranges: `Ranges`; `None` for a layer that was trained with its formats.
        formats: the `Formats` of the training; `None` for a float layer.
        states: `StateRange` of the integer cell on x; `None` for a float layer.
    """

    recurrent: Recurrent
    cell: FloatCell
    lengths: np.ndarray | None
    x: np.ndarray
    y: np.ndarray
    ranges: Ranges | None
    formats: Formats | None
    states: StateRange | None


@dataclasses.dataclass(frozen=True, eq=False)
class Operator(FloatLayer):
    """A FASTGRNN operator, and the layer that it replaces.

    Attributes:
        formats: `Formats`.
        states: `StateRange` of the integer cell on x.
        integer_cell: `IntegerCell`.
        options, weights: its two blocks of bytes (docs/format.md).
        Others: as in `FloatLayer`.
    """

    integer_cell: IntegerCell
    options: bytes
    weights: bytes

    def run_integers(self, x):
        """`run_integers()` of this operator."""
        return run_integers(self.recurrent, self.formats, self.integer_cell, x, self.lengths)


@dataclasses.dataclass(frozen=True, eq=False)
class FloatRun:
    """The Keras model on the calibration set.

    Attributes:
        layers: list of `FloatLayer`, in the order in which they run.
        outputs: list of arrays, the outputs of the model.
        dense_formats: list of the `Affine` of each Dense layer that was trained in int8, in call
            order.
    """

    layers: list
    outputs: list
    dense_formats: list


def run_float(model, calibration):
    """Runs a Keras model on its calibration set.

    Args:
        model: as in `run_model()`.
        calibration: `CalibrationSet`.

    Returns:
        `FloatRun`.

    Raises:
        ValueError: if the model cannot be exported, or a layer's state diverges.
    """
    layers, dense_formats = [], []

    def recurrent(recurrent, x):
        layer = _float_layer(recurrent, np.asarray(x), calibration.lengths)
        y = tf.convert_to_tensor(layer.y)
        # A view of the tensor's memory: a copy may be a gigabyte.
        layers.append(dataclasses.replace(layer, y=np.asarray(y)))
        return y

    def call(layer, args, kwargs):
        if isinstance(layer, QuantizedDense):
            dense_formats.append(layer.output_format)
        return calibration.call(layer, args, kwargs)

    inputs = list(map(tf.convert_to_tensor, calibration.inputs))
    outputs = [np.asarray(y) for y in run_model(model, inputs, recurrent, call=call)]
    return FloatRun(layers, outputs, dense_formats)


def _float_layer(recurrent, x, lengths):
    cell = read_float_cell(recurrent.cell, recurrent.name)
    if lengths is not None:  # streaming makes every layer stateful
        recurrent = dataclasses.replace(recurrent, stateful=True)
    elif recurrent.stateful:
        lengths = [x.shape[0] * x.shape[1]]
    formats, ranges, states = getattr(recurrent.cell, "formats", None), None, None
    if formats is None:
        y, ranges = _run_float_cell(recurrent, cell, x, lengths)
    else:
        y, states = run_integers(recurrent, formats, round_to(formats, cell), x, lengths)
        y = formats.output.dequantize(y).astype(np.float32)
    return FloatLayer(recurrent, cell, lengths, x, y, ranges, formats, states)


def _run_float_cell(recurrent, cell, x, lengths):
    """Returns the layer's output and the cell's `Ranges`."""
    found, steps = [], []

    def run(x):
        ranges, states = calibrate(
            cell, x, return_sequences=_keeps_sequences(recurrent, lengths), dtype=np.float32
        )
        found.append(ranges)
        steps.append(x.shape[0] * x.shape[1])
        return states

    try:
        states = in_streams(run, recurrent.read(x), lengths)
    except ValueError as error:
        raise ValueError(f"Layer '{recurrent.name}': {error}") from error
    return recurrent.write(states), merged(found, steps)


def quantize_layer(layer, *, input, output, optimize):
    """Chooses the formats and integers of a recurrent layer, or takes those of its training.

    Args:
        layer: `FloatLayer`.
        input, output: the `Affine` of the tensors that the operator reads and writes.
        optimize: as in `convert()`.

    Returns:
        `Operator`.

    Raises:
        ValueError: if the layer's ranges fit no format, with its name.
    """
    recurrent, formats, cell = layer.recurrent, layer.formats, layer.cell
    try:
        if formats is None:
            formats, cell = choose_formats(cell, layer.ranges, input=input, output=output)
        integer_cell = round_to(formats, cell)
        options, weights = pack(
            integer_cell,
            return_sequences=recurrent.return_sequences,
            go_backwards=recurrent.go_backwards,
            reverse_output=recurrent.reverse_output,
            stateful=recurrent.stateful,
            optimize=optimize,
        )
    except ValueError as error:
        raise ValueError(f"Layer '{recurrent.name}': {error}") from error
    states = layer.states
    if states is None:
        _, states = run_integers(recurrent, formats, integer_cell, layer.x, layer.lengths)
    fields = vars(layer) | {"formats": formats, "states": states}
    return Operator(**fields, integer_cell=integer_cell, options=options, weights=weights)


def run_integers(recurrent, formats, cell, x, lengths):
    """Runs the integer cell of a layer.

    Args:
        recurrent: `Recurrent`.
        formats, cell: `Formats` and `IntegerCell`.
        x: `(n, timesteps, features)`: int8, or real values, which are rounded to int8.
        lengths: as in `FloatLayer`.

    Returns:
        `(y, StateRange)`: int8, in the layer's shape.
    """
    lows, highs, saturated = [], [], []

    def advance(x, state):
        x = x if x.dtype == formats.input.dtype else formats.input.quantize(x)
        h = reference.states(cell, x, state)
        lows.append(int(h.min()))
        highs.append(int(h.max()))
        saturated.append(np.count_nonzero((h == 32767) | (h <= -32767)))
        return reference.output(cell, h), h[:, -1]

    def run(x):
        return run_in_blocks(
            advance,
            x,
            units=cell.units,
            dtype=formats.output.dtype,
            return_sequences=_keeps_sequences(recurrent, lengths),
        )

    y = recurrent.write(in_streams(run, recurrent.read(x), lengths))
    values = x.shape[0] * x.shape[1] * cell.units
    return y, StateRange(min(lows), max(highs), sum(saturated) / values)


def _keeps_sequences(recurrent, lengths):
    """Whether a run keeps every step. Streams do: they are cut into samples afterwards."""
    return recurrent.return_sequences or lengths is not None
