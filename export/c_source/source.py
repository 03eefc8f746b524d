"""Converted model -> plain C99, for chips too small for TFLite Micro."""

import re
from collections.abc import Sequence

import numpy as np

from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.export.c_source.constants import constant_values
from keras_fastgrnn.export.c_source.inputs import input_values, make_quantizer
from keras_fastgrnn.export.c_source.kernel import kernel
from keras_fastgrnn.export.c_source.layouts import LAYOUTS, fill, layout_files, part
from keras_fastgrnn.export.c_source.memory import memory_values
from keras_fastgrnn.export.c_source.outputs import output_values
from keras_fastgrnn.export.c_source.selftest import selftest_values

__all__ = ["c_source"]

Features = float | Sequence[float] | np.ndarray  # one number, or one for each feature


def c_source(
    tflite: bytes,
    *,
    name: str = "model",
    layout: str = "c",
    classes: Sequence[str] | None = None,
    unit: Features | None = None,
    mean: Features | None = None,
    std: Features | None = None,
    sensor: str | None = None,
) -> dict[str, str]:
    """Writes a converted model as C99 without malloc, float or a library.

    The C gives the bytes of TFLite Micro. The model must be FastRNN and FastGRNN layers one after
    another, then at most one Dense layer, then at most a softmax, sigmoid or tanh, which the C
    leaves out: the largest output is the same without it.

    With `unit` the C also has `<name>_quantize()`, which quantises the sensor's integers for the
    model in integer arithmetic: `(x * unit - mean) / std`, and then the Normalization or Rescaling
    layer that the model may begin with. The result may differ by one step from that of the .tflite
    file for the real value.

    Args:
        tflite: bytes that `convert()` returned.
        name: string, the name of the model in the C and of its files: letters, digits and `_`.
        layout: `"c"`: only the C files. `"cmake"`: a library, and a program that runs the model.
            `"arduino"`: a library with a sketch. `"platformio"`: a library. `"esp-idf"`: a
            component with an example. `"zephyr"`: a module.
        classes: list of strings, the names of the classes, for `<NAME>_CLASSES`.
        unit: the real value of 1 in the sensor's integers, one number or one for each feature. Not
            for a model that itself reads integers, whose unit is 1.
        mean, std: numbers, likewise, if the data was normalised before the model.
        sensor: `"int16"` (the default) or `"int32"`, the type of the sensor's integers.

    Returns:
        Dict from path to text of the files of a folder.

    Raises:
        ValueError: if the file is damaged, the model has an operator that C does not have, or an
            argument is not one of those above.

    Example:

    >>> # An accelerometer with 4096 per g. The training data, in g, was normalised.
    >>> files = c_source(tflite, name="walk", unit=1 / 4096, mean=x.mean((0, 1)), std=x.std((0, 1)))
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is not supported: use one of {', '.join(LAYOUTS)}.")
    if not re.fullmatch("(?!fastgrnn)[a-z][a-z0-9_]*", name, re.IGNORECASE | re.ASCII):
        raise ValueError(
            f"name={name!r} is not supported: use a letter, then letters, digits and _; not "
            "'fastgrnn', with which the kernel's names begin."
        )
    chain = read_chain(tflite)
    quantizer = make_quantizer(chain, unit, mean, std, sensor)
    values = {
        "name": name,
        "NAME": name.upper(),
        **_sequence_values(chain),
        **constant_values(chain, quantizer),
        **memory_values(chain),
        **_statements(chain),
        **input_values(chain, quantizer),
        **output_values(chain, classes),
        **selftest_values(chain, quantizer),
    }
    files, folder = layout_files(layout)
    filled = {fill(path, values): fill(text, values) for path, text in files.items()}
    return filled | {f"{folder}fastgrnn_kernel.h": kernel()}


def _sequence_values(chain):
    """The layers of a model, and the length of its sequences."""
    cells = [cell.integer_cell for cell in chain.cells]
    names = ["FastRNN" if cell.recurrent_activation is None else "FastGRNN" for cell in cells]
    layers = [f"{name} {cell.units}" for name, cell in zip(names, cells, strict=True)]
    if chain.dense:
        layers.append(f"Dense {chain.outputs}")
    return {
        "summary": f"{chain.features} inputs -> {' -> '.join(layers)}",
        "features": chain.features,
        "outputs": chain.outputs,
        "timesteps": chain.timesteps,
        "stateful": int(chain.cells[0].stateful),
        "saturation": part("saturation.h") + "\n" if chain.steps_to_saturation else "",
        "steps_to_saturation": chain.steps_to_saturation,
    }


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
    return {
        key: "\n".join(f"  {statement}" for statement in lines) for key, lines in statements.items()
    }
