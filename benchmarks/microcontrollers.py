"""The cost of a step on each microcontroller, under its emulator.

    make bench-mcu

QEMU counts instructions, simavr cycles. Writes
benchmarks/results/microcontrollers.json.
"""

import dataclasses
import functools
import pathlib
import tempfile

import keras
from rich.progress import track

from benchmarks import record
from benchmarks.generated import generated
from benchmarks.random_case import optimize, random_case
from examples.common import command
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export.c_source.sensor import SENSORS
from tests.boards import TARGETS, check, kernel_size, program

DENSITIES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
UNITS = (16, 32, 64, 128)
FEATURES = 32
CHIPS = {target.name: target for target in TARGETS}
# The cells of the headline.
LARGE, MEDIUM = {"units": 100, "features": 32}, {"units": 64, "features": 32}
SPARSE = {"density": 0.2, "encoding": "pairs"}
HALVES = [{"density": 0.5, "encoding": encoding} for encoding in ("bitmap", "blocks")]


def macs(units, features):
    """The multiplications of a dense step of full rank."""
    return (features + units) * units


def measure(target, shapes, flag=None):
    """Measures a random cell of each shape: a list of dicts, each a shape with its figures."""
    # Three steps cost two steps more than one, and nothing else.
    pairs = [[random_case(**shape, timesteps=n) for n in (1, 3)] for shape in shapes]
    with tempfile.TemporaryDirectory() as folder:
        measurements = check(target, sum(pairs, []), folder, flag or optimize(target))
        kernel_bytes = kernel_size(pathlib.Path(folder, "firmware.elf"))
    return [
        shape
        | {
            "target": target.name,
            target.counts: (three.count - one.count) / 2,
            "constant_bytes": len(case.options) + len(case.weights),
            "ram_bytes": three.ram,
            "stack_bytes": three.stack,
            "kernel_bytes": kernel_bytes,
        }
        for shape, (case, _), one, three in zip(
            shapes, pairs, measurements[::2], measurements[1::2], strict=True
        )
    ]


def grid(target):
    """Yields each size dense, at a low rank, and sparse."""
    for units in UNITS if target.memory > 2048 else UNITS[:2]:
        shape = {"units": units, "features": FEATURES}
        yield shape
        yield shape | {"rank": units // 4}
        yield from (shape | half for half in HALVES)
        yield shape | SPARSE


def sweep(target):
    """Yields one size at every density."""
    shape = {"units": 64 if target.memory > 2048 else 32, "features": FEATURES}
    yield shape
    for encoding in ("bitmap", "pairs", "blocks"):
        for density in DENSITIES:
            yield shape | {"density": density, "encoding": encoding}


def small_model(**arguments):
    """`generated()` of a model that fits into the ATmega328P."""
    return generated(
        lambda: [FastGRNN(16, kernel_rank=2, recurrent_rank=8), keras.layers.Dense(6)],
        features=3,
        **arguments,
    )


def sensor_bytes():
    """The code that `<name>_quantize()` adds to that model, without tables: a list of dicts."""
    chips = [CHIPS["Cortex-M0"], CHIPS["ATmega328P"]]
    kinds = {"without": {}} | {sensor: dict(unit=0.01, sensor=sensor) for sensor in SENSORS}
    code = {}
    for kind, arguments in kinds.items():
        with small_model(**arguments) as (folder, _, _):
            code |= {(chip.name, kind): program.kernel_size(chip, folder) for chip in chips}
    return [
        {"target": chip.name, "sensor": sensor, "code_bytes": code[chip.name, sensor] - without}
        for chip in chips
        for without in [code[chip.name, "without"]]
        for sensor in SENSORS
    ]


def avr_program():
    with small_model() as (folder, x, y):
        measured = program.replay(CHIPS["ATmega328P"], folder, x, y)
        flash, static_ram = program.sizes(CHIPS["ATmega328P"], folder)
    return {
        "avr_cycles_per_step": measured.step,
        "avr_flash_bytes": flash,
        "avr_ram_bytes": static_ram + measured.stack,
    }


def m4_program():
    with generated(lambda: [FastGRNN(LARGE["units"])], LARGE["features"]) as (folder, x, y):
        step = program.replay(CHIPS["Cortex-M4"], folder, x, y).step
        kernel_bytes = program.kernel_size(CHIPS["Cortex-M4"], folder)
    return {
        "m4_kernel_bytes": kernel_bytes,
        "m4_kernel_instructions_per_mac": step / macs(**LARGE),
    }


def m4_at_run_time():
    m4 = CHIPS["Cortex-M4"]
    halves = [LARGE | half for half in HALVES]
    dense, sparse, bitmap, blocks = measure(m4, [LARGE, LARGE | SPARSE, *halves])
    (dense_os,) = measure(m4, [LARGE], "-Os")
    # Without the int16 biases, which are the last.
    sizes = [len(random_case(**half, timesteps=1).weights) - 4 * LARGE["units"] for half in halves]
    return {
        "m4_instructions_per_mac": dense["instructions"] / macs(**LARGE),
        "m4_sparse20_instruction_ratio": sparse["instructions"] / dense["instructions"],
        "m4_sparse20_byte_ratio": sparse["constant_bytes"] / dense["constant_bytes"],
        "m4_half_instructions": bitmap["instructions"],
        "m4_half_bytes": sizes[0],
        "m4_half_blocks_instructions": blocks["instructions"],
        "m4_half_blocks_bytes": sizes[1],
        "m4_run_time_kernel_bytes": dense["kernel_bytes"],
        "m4_run_time_kernel_bytes_os": dense_os["kernel_bytes"],
        "m4_run_time_instructions_per_mac_os": dense_os["instructions"] / macs(**LARGE),
    }


def instructions_per_mac():
    chips = {"m55": ("Cortex-M55", LARGE), "m3": ("Cortex-M3", MEDIUM), "rv32": ("RV32IMC", MEDIUM)}
    figures = {}
    for name, (chip, shape) in chips.items():
        (dense,) = measure(CHIPS[chip], [shape])
        figures[f"{name}_instructions_per_mac"] = dense["instructions"] / macs(**shape)
    return figures


@functools.cache  # for the headline and for the table of layers
def layers():
    """A sequence through a layer of the shape of TFLite Micro's LSTM example: a list of dicts."""
    m4 = CHIPS["Cortex-M4"]
    portable = dataclasses.replace(m4, flags=(*m4.flags, "-DFASTGRNN_PORTABLE"))
    ways = {"int8": (m4, "int8"), "int16": (m4, "int16"), "int8, portable C": (portable, "int8")}
    rows = []
    for way, (target, dtype) in ways.items():
        case = random_case(20, 28, dtype=dtype, timesteps=28)
        with tempfile.TemporaryDirectory() as folder:
            (measured,) = check(target, [case], folder, optimize(target))
            kernel_bytes = kernel_size(pathlib.Path(folder, "firmware.elf"))
        figures = {"instructions": measured.count, "kernel_bytes": kernel_bytes}
        constant_bytes = len(case.options) + len(case.weights)
        rows.append({"way": way} | figures | {"constant_bytes": constant_bytes})
    return rows


def lstm_shape():
    int8, int16, portable = (row["instructions"] for row in layers())
    return {
        "m4_lstm_shape_instructions": int8,
        "m4_lstm_shape_int16_instructions": int16,
        "m4_lstm_shape_portable_instructions": portable,
    }


# Each measures some of the figures that stand at the top of the file: a dict.
HEADLINE = (avr_program, m4_program, m4_at_run_time, instructions_per_mac, lstm_shape)


def main():
    grids, sweeps = [], []
    for target in track(TARGETS, "microcontrollers"):
        grids += measure(target, list(grid(target)))
        sweeps += measure(target, list(sweep(target)))
    figures = {}
    for part in HEADLINE:
        figures |= part()
    details = {"command": "make bench-mcu", "sensor": sensor_bytes()}
    details |= {"layers": layers(), "grid": grids, "sweep": sweeps}
    record.figures("microcontrollers.json", figures | details)


if __name__ == "__main__":
    command.run(main)
