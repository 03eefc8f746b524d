"""The cost of a step on each microcontroller, under its emulator.

    make bench-mcu

QEMU counts instructions, simavr cycles. Writes
benchmarks/results/microcontrollers.json.
"""

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
        yield shape | {"density": 0.5, "encoding": "bitmap"}
        yield shape | {"density": 0.2, "encoding": "pairs"}


def sweep(target):
    """Yields one size at every density."""
    shape = {"units": 64 if target.memory > 2048 else 32, "features": FEATURES}
    yield shape
    for encoding in ("bitmap", "pairs"):
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
    chips = [target for target in TARGETS if target.name in ("ATmega328P", "Cortex-M0")]
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


def headline():
    m4, m55, avr = (
        next(target for target in TARGETS if target.name == name)
        for name in ("Cortex-M4", "Cortex-M55", "ATmega328P")
    )
    with small_model() as (folder, x, y):
        avr_program = program.replay(avr, folder, x, y)
        flash, static_ram = program.sizes(avr, folder)
    large = {"units": 100, "features": 32}
    with generated(lambda: [FastGRNN(large["units"])], large["features"]) as (folder, x, y):
        m4_program = program.replay(m4, folder, x, y)
        m4_program_kernel = program.kernel_size(m4, folder)

    dense, sparse = measure(m4, [large, large | {"density": 0.2, "encoding": "pairs"}])
    (dense_os,) = measure(m4, [large], "-Os")
    (dense_m55,) = measure(m55, [large])
    with tempfile.TemporaryDirectory() as folder:
        lstm_shape = random_case(20, 28, timesteps=28)
        (inference,) = check(m4, [lstm_shape], folder, optimize(m4))
    return {
        "avr_cycles_per_step": avr_program.step,
        "avr_flash_bytes": flash,
        "avr_ram_bytes": static_ram + avr_program.stack,
        "m4_lstm_shape_instructions": inference.count,
        "m4_instructions_per_mac": dense["instructions"] / macs(**large),
        "m55_instructions_per_mac": dense_m55["instructions"] / macs(**large),
        "m4_sparse20_instruction_ratio": sparse["instructions"] / dense["instructions"],
        "m4_sparse20_byte_ratio": sparse["constant_bytes"] / dense["constant_bytes"],
        "m4_kernel_bytes": m4_program_kernel,
        "m4_kernel_instructions_per_mac": m4_program.step / macs(**large),
        "m4_run_time_kernel_bytes": dense["kernel_bytes"],
        "m4_run_time_kernel_bytes_os": dense_os["kernel_bytes"],
        "m4_run_time_instructions_per_mac_os": dense_os["instructions"] / macs(**large),
    }


def main():
    grids, sweeps = [], []
    for target in track(TARGETS, "microcontrollers"):
        grids += measure(target, list(grid(target)))
        sweeps += measure(target, list(sweep(target)))
    details = {"command": "make bench-mcu", "sensor": sensor_bytes()}
    details |= {"grid": grids, "sweep": sweeps}
    record.figures("microcontrollers.json", headline() | details)


if __name__ == "__main__":
    command.run(main)
