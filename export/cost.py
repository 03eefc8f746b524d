"""Keras model -> its bytes and its time on a chip, before it is trained."""

import collections
import dataclasses
import functools
import json
import math
import pathlib
import warnings

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_fastgrnn.compat import keras
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.export.c_source.memory import memory_values
from keras_fastgrnn.export.cell.blocks import encodings, read_options, slots
from keras_fastgrnn.export.cell.encodings import BLOCKS, DENSE, PAIRS
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.export.keras_model import functional
from keras_fastgrnn.export.report.findings import STRUCTURE, parts
from keras_fastgrnn.export.tflite import flatbuffer
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.recurrent import RecurrentCell
from keras_fastgrnn.support import project, support, two_sizes

# Written by `make bench-estimate`: the cost of each of step_terms() on each chip.
COSTS = pathlib.Path(__file__).with_name("step_costs.json")
_SAMPLES, _TIMESTEPS = 8, 16  # for a calibration; the steps where the model leaves them open


@dataclasses.dataclass(frozen=True)
class ChipCost:
    """The recurrent layers of a model on a chip.

    Attributes:
        chip: string.
        counts: `"instructions"`, or `"cycles"` on an ATmega328P.
        step: float, the counts of one time step of every recurrent layer.
        inference: float, of all their time steps.
        error: float, the largest relative error of such a step among cells that were measured and
            not fitted to.
    """

    chip: str
    counts: str
    step: float
    inference: float
    error: float

    def milliseconds(self, megahertz):
        """The time of an inference at a clock, at one cycle an instruction: the least it takes."""
        return self.inference / (1000 * megahertz)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a model will cost.

    Attributes:
        tflite_bytes: integer, the .tflite file.
        constant_bytes: integer, of that the weights, biases and options, which the C has as well.
        arena_bytes: integer, the arena in TensorFlow Lite Micro on this machine, whose pointers are
            of 64 bits; `None` where tflite_micro is not installed.
        ram_bytes: integer, the state of the C that `c_source()` writes; `None` for a model that it
            refuses.
        macs: integer, the multiplications of an inference in the recurrent layers, zeros included.
        other_macs: integer, those of all other layers, which `chips` leaves out.
        chips: dict from the name of a chip to `ChipCost`.
    """

    tflite_bytes: int
    constant_bytes: int
    arena_bytes: int | None
    ram_bytes: int | None
    macs: int
    other_macs: int
    chips: dict


def estimate(
    model: keras.Model,
    *,
    chip: str | None = None,
    sparsity: float = 0.0,
    block_size: tuple[int, int] = (1, 1),
    streaming: bool = False,
    activations: str = "int8",
    optimize: str = "size",
) -> Estimate:
    """Estimates the bytes and the time of a model on microcontrollers, before it is trained.

    The model is converted with random samples, so that its bytes are exact, whatever the weights,
    but for pruned matrices of few weights. The time of a step is a linear function of the sizes of
    its matrices, which was fitted to cells on emulators (`make bench-estimate`).

    Args:
        model: as for `convert()`. It is not changed.
        chip: string, one of the chips of docs/microcontrollers.md; `None` for all of them.
        sparsity: float, the fraction of the weights of each recurrent matrix that pruning will
            have removed, and
        block_size: two whole numbers, the inputs and outputs of the blocks that it removes: as for
            `keras_fastgrnn.pruning`.
        streaming, activations, optimize: as for `convert()`.

    Returns:
        `Estimate`.

    Raises:
        ValueError: if the model can not be converted, or an argument is not one of those above.

    Example:

    >>> found = keras_fastgrnn.export.estimate(model, sparsity=0.5)
    >>> found.constant_bytes, found.chips["Cortex-M4"].milliseconds(megahertz=48)
    """
    costs = json.loads(COSTS.read_text())
    if chip is not None and chip not in costs:
        raise ValueError(f"chip={chip!r} is not measured: use one of {', '.join(costs)}.")
    if not 0 <= sparsity < 1:
        raise ValueError(
            f"sparsity={sparsity} is not in [0, 1): give the fraction of the weights that pruning "
            "removes."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the random samples' ranges
        result = conversion(
            _pruned(functional(model), sparsity, two_sizes(block_size)),
            representative_dataset=[_samples(x) for x in model.inputs],
            streaming=streaming,
            activations=activations,
            optimize=optimize,
        )
    file = schema.ModelT.InitFromPackedBuf(result.model, 0)
    sizes = parts(file, result)
    timesteps = [1 if streaming else operator.x.shape[1] for operator in result.operators]
    terms = [step_terms(operator.options, operator.integer_cell) for operator in result.operators]
    cells = list(zip(timesteps, terms, strict=True))
    return Estimate(
        tflite_bytes=len(result.model),
        constant_bytes=len(result.model) - sizes[STRUCTURE],
        arena_bytes=_arena_bytes(result.model),
        ram_bytes=_ram_bytes(result.model),
        macs=sum(
            timesteps * matrix.values.size
            for (timesteps, _), operator in zip(cells, result.operators, strict=True)
            for matrix in slots(operator.integer_cell).values()
            if matrix is not None
        ),
        other_macs=_other_macs(file),
        chips={
            name: _chip_cost(name, known, cells)
            for name, known in costs.items()
            if chip in (None, name)
        },
    )


def step_terms(options, cell):
    """Counts what the kernel does in a step.

    Args:
        options: bytes of the options block.
        cell: `IntegerCell`.

    Returns:
        dict from a name to a count; the same names for each cell.
    """
    terms = collections.Counter(dict.fromkeys(_TERMS, 0))
    terms.update({"steps": 1, "units": cell.units, "units by 8": _ceil(cell.units, 8)})
    terms["features"] = cell.features
    found = encodings(read_options(options))
    for slot, matrix in slots(cell).items():
        if matrix is not None:
            terms.update({"matrices": 1, "first factors": slot.endswith("_a")})
            terms.update(_matrix_terms(found[slot], matrix.values))
            # An AVR shifts the sum of a row by a byte, then by a bit at a time.
            terms["shifts of rows"] += len(matrix.values) * sum(divmod(matrix.shift, 8))
    return dict(terms)


_DENSE = [
    f"dense {rows}{columns}"
    for rows in ("rows by 4", "other rows")
    for columns in ("", ": columns by 4", ": other columns", ": columns by 8")
]
_BITMAP = [
    f"bitmap {part}"
    for part in ("rows", "words", "last words", "last bytes", "bits", "whole bytes", "bits to last")
]
_GROUPED = [
    f"bitmap of groups: {part}" for part in ("rows", "words", "last words", "nonzero", "to last")
]
_BLOCKS = [
    f"blocks {part}"
    for part in (
        *("matrices", "rows", "fours of rows", "bytes of bits", "all", "nonzero", "nonzero: rows"),
        *("narrow", "narrow nonzero", "narrow nonzero: columns"),
    )
]
_TERMS = [
    *("steps", "units", "units by 8", "features", "matrices", "first factors"),
    *("shifts of rows", "dense columns by 4", "dense other columns", "sparse columns"),
    *(*_DENSE, "dense narrow", "dense narrow rows", "dense narrow weights"),
    *("dense narrow last row", "dense narrow last 2 or 3 rows"),
    *("dense last row", "dense last row: columns"),
    *("dense last 2 or 3 rows", "dense last 2 or 3 rows: columns"),
    *(*_BITMAP, "bitmap nonzero", *_GROUPED, *_BLOCKS, "pairs rows", "pairs nonzero"),
]


def _matrix_terms(encoding, values):
    """What a matrix adds to the terms of a step."""
    rows, cols = values.shape
    if encoding is DENSE:
        numbers = [
            n * each
            for n in (rows // 4, rows % 4)  # kernels read an input once for four rows
            for each in (1, cols // 4, cols % 4, _ceil(cols, 8))
        ]
        narrow = int(cols < 4)  # the DSP extension has no fours of rows then
        one, more = int(rows % 4 == 1), int(rows % 4 > 1)  # a Cortex-M0 computes the latter as four
        return dict(zip(_DENSE, numbers, strict=True)) | {
            "dense columns by 4": cols // 4,
            "dense other columns": cols % 4,
            "dense narrow": narrow,
            "dense narrow rows": narrow * rows,
            "dense narrow weights": narrow * values.size,
            "dense narrow last row": narrow * one,
            "dense narrow last 2 or 3 rows": narrow * more,
            "dense last row": one,
            "dense last row: columns": one * cols,
            "dense last 2 or 3 rows": more,
            "dense last 2 or 3 rows: columns": more * cols,
        }
    if encoding is BLOCKS:
        columns = {"dense columns by 4": cols // 4, "dense other columns": cols % 4}
        return columns | dict(zip(_BLOCKS, _block_numbers(values), strict=True))
    terms, nonzero = {"sparse columns": cols}, np.count_nonzero(values)
    if encoding is PAIRS:
        return terms | {"pairs rows": rows, "pairs nonzero": nonzero}
    # A row begins within a byte, and is read in words of 32 bits from there.
    begins = np.arange(rows) * cols % 8
    words, last = np.divmod(begins + cols, 32)
    whole = (cols - np.minimum(-begins % 8, cols)) // 8  # an AVR has code for eight bits at once
    to_last = sum(map(_bits_to_last, values != 0, begins))
    words, last_words = int(words.sum()), np.count_nonzero(last)
    numbers = rows, words, last_words, int(_ceil(last, 8).sum()), values.size
    numbers = *numbers, int(whole.sum()), int(to_last)
    terms |= dict(zip(_BITMAP, numbers, strict=True)) | {"bitmap nonzero": nonzero}
    if cols % 4 == 0:  # the DSP extension has code for four bits at once
        groups = np.any(values.reshape(rows, -1, 4), axis=2)
        to_last = sum(map(_groups_to_last, groups, begins // 4))
        numbers = rows, words, last_words, nonzero, int(to_last)
        terms |= dict(zip(_GROUPED, numbers, strict=True))
    return terms


def _bits_to_last(row, begin, word=32):
    """The bits of a row up to the last set one of each word, where kernels stop."""
    words = np.pad(row, (begin, -(begin + row.size) % word)).reshape(-1, word)
    last = np.where(words.any(axis=1), word - words[:, ::-1].argmax(axis=1), 0)
    return last.sum() - (begin if words[0].any() else 0)


_groups_to_last = functools.partial(_bits_to_last, word=8)


def _block_numbers(values):
    """The numbers of `_BLOCKS`."""
    rows, cols = values.shape
    nonzero = BLOCKS.nonzero(values)
    fours, blocks = nonzero.shape
    rows_of_last = rows - 4 * (fours - 1)
    products = 4 * np.count_nonzero(nonzero[:-1]) + rows_of_last * np.count_nonzero(nonzero[-1])
    narrow = fours * (cols % 4 != 0)
    narrow_nonzero = np.count_nonzero(nonzero[:, -1]) * (cols % 4 != 0)
    return (
        *(1, rows, fours, fours * _ceil(blocks, 8), nonzero.size, np.count_nonzero(nonzero)),
        *(products, narrow, narrow_nonzero, narrow_nonzero * (cols % 4)),
    )


def _ceil(n, size):
    return -(-n // size)


def _chip_cost(name, known, cells):
    steps = [sum(known["costs"][term] * n for term, n in terms.items()) for _, terms in cells]
    return ChipCost(
        chip=name,
        counts=known["counts"],
        step=sum(steps),
        inference=sum(step * timesteps for step, (timesteps, _) in zip(steps, cells, strict=True)),
        error=known["error"],
    )


def _pruned(model, sparsity, block_size):
    """A copy of a model, with the smallest blocks of each recurrent matrix at 0."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, RecurrentCell):
            for kind in ("kernel", "recurrent_kernel"):
                for variable in layer.matrices(kind).values():
                    project(variable, support(variable, sparsity, block_size))
    return copy


def _samples(x):
    """Random values for an input of a model."""
    shape = _SAMPLES, *(size or _TIMESTEPS for size in x.shape[1:])
    rng = np.random.default_rng(0)
    dtype = np.dtype(x.dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)  # of any vocabulary


def _arena_bytes(tflite):
    try:
        return Interpreter(tflite).arena_bytes
    except (ImportError, OSError, RuntimeError):
        return None


def _ram_bytes(tflite):
    try:
        return memory_values(read_chain(tflite))["ram"]
    except ValueError:
        return None


def _other_macs(file):
    """The multiplications of the operators with weights, but for FASTGRNN."""
    graph = file.subgraphs[0]
    size = functools.partial(_size, graph)
    macs = 0
    for operator in graph.operators:
        name = flatbuffer.operator_name(file, operator)
        if name in ("FULLY_CONNECTED", "CONV_2D"):
            outputs = graph.tensors[operator.inputs[1]].shape[0]
            macs += size(operator.outputs[0]) * size(operator.inputs[1]) // outputs
        elif name == "DEPTHWISE_CONV_2D":
            channels = graph.tensors[operator.inputs[1]].shape[-1]
            macs += size(operator.outputs[0]) * size(operator.inputs[1]) // channels
    return macs


def _size(graph, index):
    return math.prod(int(n) for n in graph.tensors[index].shape)
