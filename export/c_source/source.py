"""Converted model -> plain C99, for chips that TFLite Micro does not fit on."""

import pathlib
import re
import textwrap
import warnings
from typing import NamedTuple

import numpy as np

import keras_fastgrnn.micro
from keras_fastgrnn.export.c_source import selftest
from keras_fastgrnn.export.c_source import templates as c_templates
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.export.c_source.sensor import SENSORS, choose_quantizer, sensor_affine
from keras_fastgrnn.export.cell.blocks import encodings, read_options, slots

__all__ = ["c_source"]

_TABLE = ", 132 of the sigmoid's table (DSP extension: 512)"
_KERNEL = pathlib.Path(keras_fastgrnn.micro.__file__).parent


def c_source(
    tflite, *, name="model", layout="c", classes=None, unit=None, mean=None, std=None, sensor=None
):
    """Writes a converted model as C99 without malloc, float or a library.

    The C gives the bytes that TFLite Micro gives. A model is FastRNN and FastGRNN layers one after
    another, then at most one Dense layer, then at most a softmax, sigmoid or tanh, which is left
    out: the largest output is the same without it.

    With `unit` the C also has `<name>_quantize()`, which takes the sensor's integers to the int8 of
    the model in integers alone: `(x * unit - mean) / std`, and then a Normalization or Rescaling
    layer, if the model begins with one. An x may differ by one step from what the .tflite file
    makes of the real value.

    Args:
        tflite: bytes that `convert()` returned.
        name: of the model in the C, and of its files: letters, digits and `_`.
        layout: `"c"`: the C files alone. `"cmake"`: a library, and a program that runs the model.
            `"arduino"`: a library with a sketch. `"esp-idf"`: a component. `"zephyr"`: a module.
        classes: list of strings, the names of what the model predicts, for `<NAME>_CLASSES`.
        unit: the real value of 1 in the sensor's integers, as a number or one for each feature. Not
            for a model that reads integers itself: there it is 1.
        mean, std: numbers, likewise, if the data was normalised before the model.
        sensor: `"int16"` (the default) or `"int32"`, the integers of the sensor.

    Returns:
        dict of the paths and texts of the files in a folder.

    Raises:
        ValueError: if the file is damaged, the model has an operator that can not be written, or
            an argument is not one of those above.

    Example:

    >>> # An accelerometer of 4096 a g, whose g were normalised for the training.
    >>> files = c_source(tflite, name="walk", unit=1 / 4096, mean=x.mean((0, 1)), std=x.std((0, 1)))
    """
    if layout not in c_templates.LAYOUTS:
        raise ValueError(
            f"layout={layout!r} is not supported: use one of {', '.join(c_templates.LAYOUTS)}."
        )
    if not re.fullmatch("(?!fastgrnn)[a-z][a-z0-9_]*", name, re.IGNORECASE | re.ASCII):
        raise ValueError(
            f"name={name!r} is not supported: use a letter, then letters, digits and _; not "
            "'fastgrnn', with which the kernel's names begin."
        )
    chain = read_chain(tflite)
    quantizer = _quantizer(chain, unit, mean, std, sensor)
    folder, files = c_templates.LAYOUTS[layout]
    sources = {"h": c_templates.HEADER, "c": c_templates.SOURCE}
    files = files | {f"{folder}@name@.{kind}": text for kind, text in sources.items()}
    values = {"name": name, "NAME": name.upper(), **_values(chain, quantizer)}
    values |= _class_names(chain, classes)
    filled = {_fill(path, values): _fill(text, values) for path, text in files.items()}
    return filled | {f"{folder}fastgrnn_kernel.h": _kernel()}


def _quantizer(chain, unit, mean, std, sensor):
    """The `Quantizer` of what the C is to read; `None` for the model's int8."""
    given = {"unit": unit, "mean": mean, "std": std, "sensor": sensor}
    given = {name: value for name, value in given.items() if value is not None}
    if chain.dtype in SENSORS:
        if given:
            raise ValueError(
                f"{_assignments(given)} is not supported, since the model reads {chain.dtype} "
                "itself: leave it out."
            )
        unit, sensor = 1.0, chain.dtype
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
    _warn_if_useless(quantizer, np.abs(factor) / chain.input.scale)
    return quantizer


def _warn_if_useless(quantizer, steps):
    """Says so where a unit or a mean can not be meant: its inverse, say, or in another unit."""
    limits = np.iinfo(quantizer.dtype)
    low, high = quantizer.quantize([[limits.min] * len(steps), [limits.max] * len(steps)])
    for features, problem in (
        (low == high, f"all of the sensor's {quantizer.dtype} become one int8"),
        ((low != high) & (steps >= 256), "1 in the sensor's integers is more than all of the int8"),
    ):
        if features.any():
            warnings.warn(
                f"Features {np.flatnonzero(features).tolist()}: {problem}. Give unit, mean and std "
                "in the unit of the training.",
                stacklevel=4,
            )


def _assignments(given):
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


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
        body = _rows(map(str, self.values.tolist()))
        return f"static const FASTGRNN_FLASH {self.declaration} = {{\n{body}}};\n"


def _rows(values):
    return textwrap.indent(textwrap.fill(", ".join(values), 96), "    ")


def _constant(name, dtype, values):
    values = np.ravel(values).astype(dtype)
    return _Array(name, dtype, values.size, values)


def _values(chain, quantizer):
    """What stands in the place of each name in the texts."""
    cells = [cell.integer_cell for cell in chain.cells]
    names = ["FastRNN" if cell.recurrent_activation is None else "FastGRNN" for cell in cells]
    layers = [f"{name} {cell.units}" for name, cell in zip(names, cells, strict=True)]
    if chain.dense:
        layers.append(f"Dense {chain.outputs}")
    activations = {name for cell in cells for name in (cell.activation, cell.recurrent_activation)}
    members, (constants, definitions) = _members(chain), _constants(chain)
    dsp_members = [_dsp_member(member, cells) for member in members]
    tables = _quantizer_tables(quantizer)
    definitions += [table.definition for table in tables]
    return {
        "summary": f"{chain.features} inputs -> {' -> '.join(layers)}",
        "ram": sum(member.bytes for member in members),
        "dsp_ram": sum(member.bytes for member in dsp_members),
        "constants": sum(constant.bytes for constant in [*constants, *tables]),
        "table": _TABLE if activations & {"tanh", "sigmoid"} else "",
        "features": chain.features,
        "outputs": chain.outputs,
        "timesteps": chain.timesteps,
        "stateful": int(chain.cells[0].stateful),
        "saturation": c_templates.SATURATION if chain.steps_to_saturation else "",
        "steps_to_saturation": chain.steps_to_saturation,
        "input_scale": np.float32(chain.input.scale),
        "input_zero_point": chain.input.zero_point,
        "output_scale": np.float32(chain.output.scale),
        "output_zero_point": chain.output.zero_point,
        "members": "\n".join(map(_declarations, members, dsp_members)),
        "definitions": "\n".join(definitions),
        **_statements(chain),
        **_input_values(chain, quantizer),
        **_selftest_values(chain, quantizer),
    }


def _quantizer_tables(quantizer):
    """The `_Array`s of a `Quantizer`."""
    dtypes = {"multiplier": "int16", "offset": "int32", "shift": "uint8"}
    if quantizer is None:
        return []
    if quantizer.dtype == "int32":
        dtypes |= {"low": "int32", "narrow": "uint8"}
    return [
        _constant(f"quantize_{part}", dtype, getattr(quantizer, part))
        for part, dtype in dtypes.items()
    ]


def _input_values(chain, quantizer):
    """What differs with what the C reads: a sensor's integers, or the int8 of the model."""
    normalized = (chain.factor != 1).any() or (chain.offset != 0).any()
    values = {
        "normalized": "",
        "float_constants": "",
        "float_value": "x[i]",
        **c_templates.INT8_INPUT,
    }
    if normalized:
        values["normalized"] = "; of an input, after the model's normalisation"
        values["float_value"] = "(x[i] * factor[i] + offset[i])"
        arrays = {"factor": np.float32(chain.factor), "offset": np.float32(chain.offset)}
        values["float_constants"] = "\n".join(
            f"  static const float {name}[] = {{\n{_rows(f'{v!s}f' for v in array)}}};"
            for name, array in arrays.items()
        )
    if quantizer is not None:
        values |= c_templates.SENSOR_INPUT[quantizer.dtype]
        values |= {"sensor": quantizer.dtype, "SENSOR": quantizer.dtype.upper()}
    return values


def _selftest_values(chain, quantizer):
    """Its golden outputs, and how the chip makes its inputs."""
    test = selftest.selftest(chain, quantizer)
    arrays, word = [_constant("selftest_outputs", "int8", test.outputs)], "(int32_t)random >> 24"
    if quantizer is not None:
        arrays.append(_constant("selftest_center", quantizer.dtype, test.center))
        arrays.append(_constant("selftest_shift", "uint8", test.shift))
        word = "selftest_center[i] + ((int32_t)random >> selftest_shift[i])"
    return {
        "selftest_definitions": "\n".join(array.definition for array in arrays),
        "selftest_steps": test.steps,
        "selftest_input": word,
        "lcg_factor": selftest.FACTOR,
        "lcg_increment": selftest.INCREMENT,
    }


def _class_names(chain, classes):
    """What stands for the names of the classes in the texts."""
    if classes is None:
        return {"class_macro": "", **c_templates.NUMBERED_CLASSES}
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
    names = ", ".join(map(_string_literal, classes))
    macro = f"/* The names of what is predicted. */\n#define @NAME@_CLASSES {{{names}}}"
    return {"class_macro": macro, **c_templates.NAMED_CLASSES}


def _string_literal(text):
    """A string of C, in UTF-8: whatever could end it, or be more than a character, in octal."""
    plain = {*range(32, 127)} - set(b'"\\?@')  # ?: of trigraphs; @: of our own places
    return '"' + "".join(chr(b) if b in plain else rf"\{b:03o}" for b in text.encode()) + '"'


def _is_detector(chain):
    """Whether the only output says whether or not: of a sigmoid."""
    return chain.activation == "sigmoid" and chain.outputs == 1


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
    statements = {"reset": resets, "step": steps, "predict": predictions}
    values = {
        key: "\n".join(f"  {statement}" for statement in lines) for key, lines in statements.items()
    }
    return values | _prediction_values(chain)


def _prediction_values(chain):
    """What becomes of the outputs."""
    left_out = f" The model's {chain.activation} is left out." if chain.activation else ""
    values = {"left_out": left_out, "threshold": "", **c_templates.BEST}
    if chain.activation == "sigmoid":
        values["threshold"] = c_templates.THRESHOLD
    return values | (c_templates.DETECTED if _is_detector(chain) else {})


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
        definitions += [*(array.definition for array in arrays), _fill(c_templates.DENSE, values)]
    return constants, definitions


def _cell(name, cell):
    """Returns the `_Array`s of a cell, and its `fastgrnn_params` as C."""
    fields, arrays = read_options(cell.options), []

    def array(part, dtype, values):
        """The name of an array, which is left out if it is empty."""
        if not len(values):
            return "NULL"
        arrays.append(_constant(f"{name}_{part}", dtype, values))
        return arrays[-1].name

    matrices = []
    for slot, matrix in slots(cell.integer_cell).items():
        if matrix is None:
            matrices.append("{.rows = 0}")
            continue
        encoding, (rows, cols) = encodings(fields)[slot], matrix.values.shape
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
    # All others have the same name there.
    elsewhere = r"version|encodings|.*kernel.*_shift"
    members |= {field: v for field, v in fields.items() if not re.fullmatch(elsewhere, field)}
    body = "".join(f"    .{member} = {value},\n" for member, value in members.items())
    return arrays, f"static const fastgrnn_params {name} = {{\n{body}}};\n"


def _fill(text, values):
    """Puts each value in its place, and leaves out the lines of empty ones."""

    def line(match):
        return match[0] if str(values[match[1]]) else ""

    text = re.sub(r"^ *@(\w+)@\n", line, text, flags=re.M)
    while re.search(r"@\w+@", text):  # a value may have places for others
        text = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)
    return text


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
