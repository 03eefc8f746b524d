"""The constants of a model: its cells, its Dense layer and the tables of its quantizer."""

import re

import numpy as np

from keras_fastgrnn.export.c_source.arrays import constant
from keras_fastgrnn.export.c_source.layouts import fill, part
from keras_fastgrnn.export.cell.blocks import encodings, read_options, slots

_SIGMOID_TABLE = ", 132 of the sigmoid's table (DSP extension: 512)"


def constant_values(chain, quantizer):
    """The definitions of all constants, their bytes, and a remark on the kernel's table."""
    arrays, definitions = [], []
    parts = [_cell(f"cell_{i}", cell) for i, cell in enumerate(chain.cells)]
    parts += [_dense(chain.dense)] if chain.dense else []
    parts += [(_quantizer_tables(quantizer), "")] if quantizer else []
    for more, code in parts:
        arrays += more
        definitions += [array.definition for array in more] + ([code] if code else [])
    cells = [cell.integer_cell for cell in chain.cells]
    activations = {name for cell in cells for name in (cell.activation, cell.recurrent_activation)}
    return {
        "constants": sum(array.bytes for array in arrays),
        "table": _SIGMOID_TABLE if activations & {"tanh", "sigmoid"} else "",
        "definitions": "\n".join(definitions),
    }


def _cell(name, cell):
    """Returns the `Array`s of a cell, and its `fastgrnn_params` as C."""
    fields, arrays = read_options(cell.options), []
    encoded = encodings(fields)

    def array(part, dtype, values):
        """Adds an array and returns its name; an empty one is left out, as NULL."""
        if not len(values):
            return "NULL"
        arrays.append(constant(f"{name}_{part}", dtype, values))
        return arrays[-1].name

    matrices = []
    for slot, matrix in slots(cell.integer_cell).items():
        if matrix is None:
            matrices.append("{.rows = 0}")
            continue
        encoding, (rows, cols) = encoded[slot], matrix.values.shape
        index, values = encoding.arrays(matrix.values)
        matrices.append(
            f"{{.index = {array(f'{slot}_index', 'uint8', index)},\n"
            f"      .values = {array(slot, 'int8', values)},\n"
            f"      .rows = {rows}, .cols = {cols}, .shift = {matrix.shift}, "
            f".encoding = {encoding.code}}}"
        )
    bias = np.frombuffer(cell.integer_cell.bias.astype("<i2").tobytes(), np.uint8)
    members = {
        "kernel": "{" + ",\n     ".join(matrices[:2]) + "}",
        "recurrent_kernel": "{" + ",\n     ".join(matrices[2:]) + "}",
        "bias": array("bias", "uint8", bias),
    }
    # All other fields have the same name in fastgrnn_params.
    elsewhere = r"version|encodings|.*kernel.*_shift"
    members |= {field: v for field, v in fields.items() if not re.fullmatch(elsewhere, field)}
    body = "".join(f"    .{member} = {value},\n" for member, value in members.items())
    return arrays, f"static const fastgrnn_params {name} = {{\n{body}}};\n"


def _dense(dense):
    """Returns the `Array`s of a `Dense`, and the function that reads them."""
    multiplier, shift = ("int16", "uint8") if dense.is_int16 else ("int32", "int8")
    arrays = [
        constant("dense_weights", "int8", dense.weights),
        constant("dense_bias", "int32", dense.bias),
        constant("dense_multiplier", multiplier, dense.multiplier),
        constant("dense_shift", shift, dense.shift),
    ]
    units, features = dense.weights.shape
    values = {"units": units, "features": features, "zero_point": dense.zero_point}
    values |= {"low": dense.low, "high": dense.high}
    return arrays, fill(part("dense16.c" if dense.is_int16 else "dense.c"), values) + "\n"


def _quantizer_tables(quantizer):
    dtypes = {"multiplier": "int16", "offset": "int32", "shift": "uint8"}
    if quantizer.output == "int16":
        dtypes |= {"multiplier": "int32", "offset": "int64"}
    elif quantizer.dtype == "int32":
        dtypes |= {"low": "int32", "narrow": "uint8"}
    return [
        constant(f"quantize_{name}", dtype, getattr(quantizer, name))
        for name, dtype in dtypes.items()
    ]
