"""Converted model -> plain C99, for chips that TFLite Micro does not fit on.

python -m keras_fastgrnn.export.c_source --model=model.tflite --output=folder [--name=model]
    [--layout=c|cmake|arduino|esp-idf|zephyr]
"""

import os
import pathlib
import re
import struct
import sys
import tempfile
import textwrap
from typing import NamedTuple

import numpy as np
from absl import app, flags

import keras_fastgrnn.micro
from keras_fastgrnn.export.c_templates import DENSE, HEADER, LAYOUTS, SOURCE
from keras_fastgrnn.export.chain import read_chain
from keras_fastgrnn.export.options import BITMAP, FIELDS, PAIRS

__all__ = ["c_source"]

_TABLE = ", 132 of the sigmoid's table (DSP extension: 512)"
_KERNEL = pathlib.Path(keras_fastgrnn.micro.__file__).parent


def c_source(tflite, *, name="model", layout="c"):
    """Writes a converted model as C99 without malloc, float or a library.

    The C gives the bytes that TFLite Micro gives. A model is FastRNN and FastGRNN layers one after
    another, then at most one Dense layer, then at most a softmax. The softmax is left out: the
    largest output is the same without it.

    Args:
        tflite: bytes that `convert()` returned.
        name: of the model in the C, and of its files: letters, digits and `_`.
        layout: `"c"`: the C files alone. `"cmake"`: a library, and a program that runs the model.
            `"arduino"`: a library with a sketch. `"esp-idf"`: a component. `"zephyr"`: a module.

    Returns:
        dict of the paths and texts of the files in a folder.

    Raises:
        ValueError: if the file is damaged, the model has an operator that can not be written, or
            there is no such layout or can be no such name.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is not supported: use one of {', '.join(LAYOUTS)}.")
    if not re.fullmatch("(?!fastgrnn)[a-z][a-z0-9_]*", name, re.IGNORECASE | re.ASCII):
        raise ValueError(
            f"name={name!r} is not supported: use a letter, then letters, digits and _; not "
            "'fastgrnn', with which the kernel's names begin."
        )
    folder, files = LAYOUTS[layout]
    files = files | {f"{folder}@name@.h": HEADER, f"{folder}@name@.c": SOURCE}
    values = {"name": name, "NAME": name.upper(), **_values(read_chain(tflite))}
    filled = {_fill(path, values): _fill(text, values) for path, text in files.items()}
    return filled | {f"{folder}fastgrnn_kernel.h": _kernel()}


class _Array(NamedTuple):
    """An array in C, of integers of a NumPy dtype; of a constant, also its values."""

    name: str
    dtype: str
    size: int
    values: np.ndarray | None = None

    @property
    def bytes(self):
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def declaration(self):
        return f"{self.dtype}_t {self.name}[{self.size}]"

    @property
    def definition(self):
        rows = textwrap.wrap(", ".join(map(str, self.values.tolist())), 96)
        body = "\n".join(f"    {row}" for row in rows)
        return f"static const FASTGRNN_FLASH {self.declaration} = {{\n{body}}};\n"


def _constant(name, dtype, values):
    values = np.ravel(values).astype(dtype)
    return _Array(name, dtype, values.size, values)


def _values(chain):
    """What stands in the place of each name in the texts."""
    cells = [cell.integer_cell for cell in chain.cells]
    names = ["FastRNN" if cell.recurrent_activation is None else "FastGRNN" for cell in cells]
    layers = [f"{name} {cell.units}" for name, cell in zip(names, cells, strict=True)]
    if chain.dense:
        layers.append(f"Dense {len(chain.dense.bias)}")
    activations = {name for cell in cells for name in (cell.activation, cell.recurrent_activation)}
    members, (constants, definitions) = _members(chain), _constants(chain)
    dsp_members = [_dsp_member(member, cells) for member in members]
    return {
        "summary": f"{cells[0].features} inputs -> {' -> '.join(layers)}",
        "ram": sum(member.bytes for member in members),
        "dsp_ram": sum(member.bytes for member in dsp_members),
        "constants": sum(constant.bytes for constant in constants),
        "table": _TABLE if activations & {"tanh", "sigmoid"} else "",
        "features": cells[0].features,
        "outputs": len(chain.dense.bias) if chain.dense else cells[-1].units,
        "timesteps": chain.timesteps,
        "stateful": int(chain.cells[0].stateful),
        "input_scale": np.float32(chain.input.scale),
        "input_zero_point": chain.input.zero_point,
        "output_scale": np.float32(chain.output.scale),
        "output_zero_point": chain.output.zero_point,
        "softmax": " The model's softmax is left out." if chain.softmax else "",
        "members": "\n".join(map(_declarations, members, dsp_members)),
        "definitions": "\n".join(definitions),
    } | _statements(chain)


def _members(chain):
    """The members of the state."""
    cells = [cell.integer_cell for cell in chain.cells]
    members = [_Array(f"cell_{i}", "int16", cell.units) for i, cell in enumerate(cells)]
    members.append(_Array("scratch", "int16", max(map(_scratch_size, cells))))
    outputs_read = cells if chain.dense else cells[:-1]
    if outputs_read:
        size = max(cell.units for cell in outputs_read)
        members.append(_Array("y", "int8", size + size % 2))  # else some chips would fill it up
    return members


def _dsp_member(member, cells):
    """The same where there are DSP instructions."""
    if member.name != "scratch":
        return member
    return member._replace(size=max(_scratch_size(cell, dsp=True) for cell in cells))


def _declarations(member, dsp_member):
    if member == dsp_member:
        return f"  {member.declaration};"
    return (
        f"#ifdef __ARM_FEATURE_DSP\n  {dsp_member.declaration};\n"
        f"#else\n  {member.declaration};\n#endif"
    )


def _scratch_size(cell, dsp=False):
    """As `fastgrnn_scratch_size()` in the kernel; with `dsp`, where there are DSP instructions."""
    kernel_rank, recurrent_rank = (
        len(matrices[0].values) if len(matrices) == 2 else 0
        for matrices in (cell.kernel, cell.recurrent_kernel)
    )
    if dsp:
        sizes = (cell.features, kernel_rank, recurrent_rank)
        return 1 + sum(size + size % 2 for size in sizes) + cell.units
    return cell.features + kernel_rank + (recurrent_rank or cell.units)


def _statements(chain):
    """The statements of `reset`, `step` and `predict`."""
    resets, steps, outputs, x = [], [], [], "x"
    for i, cell in enumerate(chain.cells):
        state, units = f"state->cell_{i}", cell.integer_cell.units
        resets.append(f"for (i = 0; i < {units}; ++i) {state}[i] = 0;")
        steps += outputs
        steps.append(f"fastgrnn_step(&cell_{i}, {x}, {state}, state->scratch);")
        x = "state->y"
        outputs = [f"fastgrnn_output(&cell_{i}, {state}, {x});"]
    if chain.dense:
        predictions = [*outputs, "dense(state->y, y);"]
    else:
        predictions = [outputs[0].replace("state->y)", "y)")]
    return {
        key: "\n".join(f"  {statement}" for statement in statements)
        for key, statements in (("reset", resets), ("step", steps), ("predict", predictions))
    }


def _constants(chain):
    """Returns the `_Array`s of the model, and its definitions as C."""
    constants, definitions = [], []
    for i, cell in enumerate(chain.cells):
        arrays, params = _cell(f"cell_{i}", cell)
        constants += arrays
        definitions += [*(array.definition for array in arrays), params]
    if dense := chain.dense:
        arrays = [
            _constant("dense_weights", "int8", dense.weights),
            _constant("dense_bias", "int32", dense.bias),
            _constant("dense_multiplier", "int32", dense.multiplier),
            _constant("dense_shift", "int8", dense.shift),
        ]
        units, features = dense.weights.shape
        values = {"units": units, "features": features, "zero_point": dense.zero_point}
        values |= {"low": dense.low, "high": dense.high}
        constants += arrays
        definitions += [*(array.definition for array in arrays), _fill(DENSE, values)]
    return constants, definitions


def _cell(name, cell):
    """Returns the `_Array`s of a cell, and its `fastgrnn_params` as C."""
    codes = "<" + "".join(code for _, code, *_ in FIELDS)
    values = struct.unpack(codes, cell.options)
    fields = {field: value for (field, *_), value in zip(FIELDS, values, strict=True)}
    encodings, arrays, rest = fields["encodings"], [], np.frombuffer(cell.weights, np.uint8)

    def take(part, dtype, size):
        """The next bytes of the weights block: the name of an array of them."""
        nonlocal rest
        values, rest = rest[:size], rest[size:]
        if size == 0:
            return "NULL"
        arrays.append(_constant(f"{name}_{part}", dtype, values.view(dtype)))
        return arrays[-1].name

    def matrix(i, part, matrix):
        (rows, cols), encoding = matrix.values.shape, encodings >> 2 * i & 3
        index_size, count = 0, rows * cols
        if encoding == BITMAP:
            index_size = -(-rows * cols // 8)
            count = int(np.unpackbits(rest[:index_size]).sum())
        elif encoding == PAIRS:
            index_size = rows
            count = 2 * int(rest[:index_size].sum())
        index, values = take(f"{part}_index", "uint8", index_size), take(part, "int8", count)
        return (
            f"{{.index = {index},\n      .values = {values},\n      .rows = {rows}, "
            f".cols = {cols}, .shift = {matrix.shift}, .encoding = {encoding}}}"
        )

    def kernel(i, part, matrices):
        first = matrix(i, f"{part}_a", matrices[0]) if len(matrices) == 2 else "{.rows = 0}"
        return f"{{{first},\n     {matrix(i + 1, part, matrices[-1])}}}"

    members = {
        "kernel": kernel(0, "kernel", cell.integer_cell.kernel),
        "recurrent_kernel": kernel(2, "recurrent_kernel", cell.integer_cell.recurrent_kernel),
        "bias": take("bias", "uint8", len(rest)),
    }
    # All others have the same name there.
    elsewhere = r"version|encodings|.*kernel.*_shift"
    members |= {field: v for field, v in fields.items() if not re.fullmatch(elsewhere, field)}
    body = "".join(f"    .{member} = {value},\n" for member, value in members.items())
    return arrays, f"static const fastgrnn_params {name} = {{\n{body}}};\n"


def _fill(text, values):
    return re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)


def _kernel():
    """The C kernel in one header, all of it local to who includes it."""
    seen = set()

    def include(name):
        if name in seen:
            return ""
        seen.add(name)
        folder = _KERNEL / ("src" if (_KERNEL / "src" / name).exists() else "include")
        text = (folder / name).read_text()
        return re.sub(r'^#include "(.+)"\n', lambda match: include(match[1]), text, flags=re.M)

    return (
        "/* The kernel of keras-fastgrnn (Apache-2.0): its files, each where it is included. */\n"
        "#ifndef FASTGRNN_KERNEL_H_\n"
        "#define FASTGRNN_KERNEL_H_\n\n"
        "#define FASTGRNN_API static inline\n\n"
        f"{include('fastgrnn.c')}\n"
        "#endif /* FASTGRNN_KERNEL_H_ */\n"
    )


def _write(folder, files):
    """Writes each file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for i, (path, text) in enumerate(files.items()):
            whole = pathlib.Path(scratch) / str(i)
            whole.write_text(text)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(whole, folder / path)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    arguments = flags.FLAGS
    output = pathlib.Path(arguments.output)
    if not os.path.isfile(arguments.model):
        sys.exit(f"--model={arguments.model} is not there: name a .tflite file.")
    try:
        tflite = pathlib.Path(arguments.model).read_bytes()
        files = c_source(tflite, name=arguments.name, layout=arguments.layout)
        _write(output, files)
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
    print("\n".join(str(output / path) for path in files))


if __name__ == "__main__":
    # Not above: an import would define them beside those of the other command.
    flags.DEFINE_string("model", None, "The .tflite file, written by keras_fastgrnn.export.")
    flags.DEFINE_string("output", None, "The folder to write.")
    flags.DEFINE_string("name", "model", "The model's name in the C, and of its files.")
    flags.DEFINE_enum("layout", "c", list(LAYOUTS), "What is to build the folder.")
    flags.DEFINE_bool("verbose", False, "Whether TensorFlow's own messages are shown.")
    flags.mark_flags_as_required(["model", "output"])
    app.run(main)
