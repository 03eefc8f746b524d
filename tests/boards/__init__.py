"""Microcontrollers under emulators: builds, runs, checks and measures firmware for each."""

import dataclasses
import pathlib
import re
import subprocess
from typing import NamedTuple

import numpy as np

FOLDER = pathlib.Path(__file__).parent
KERNEL = FOLDER.parents[1] / "micro"

_FLAGS = (
    *("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
    *("-ffunction-sections", "-fdata-sections"),
)


@dataclasses.dataclass(frozen=True)
class Target:
    """A chip.

    Attributes:
        name: as a person would say it.
        toolchain: prefix of the compiler's tools.
        flags: of the compiler and the linker, for this chip.
        board: the C file that has its start, output and counter.
        emulator: the command that runs it; the path of the firmware follows.
        packages: Debian's packages of the toolchain and the emulator.
        counts: what the counter counts, "instructions" or "cycles".
        memory: bytes of RAM for the buffers of the cells.
        data: bytes of flash for cells, sequences and expected bytes.
    """

    name: str
    toolchain: str
    flags: tuple
    board: str
    emulator: tuple
    packages: tuple
    counts: str = "instructions"
    memory: int = 12000
    data: int = 1000000

    @property
    def tools(self):
        """The programs that it needs."""
        return (f"{self.toolchain}gcc", self.emulator[0])


def _qemu(program, *machine, shift=7):
    return (
        *(program, "-M", *machine, "-nographic", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native"),
        # An instruction takes 2^shift ns of the board's time.
        *("-icount", f"shift={shift}", "-kernel"),
    )


def _bare(specs, flash, ram):
    """A Cortex-M with a C library, and our own start code and memory map."""
    addresses = f"-Wl,--defsym=FLASH={flash:#x},--defsym=RAM={ram:#x}"
    return (f"--specs={specs}", "-nostartfiles", f"-T{FOLDER / 'board.ld'}", addresses)


def _cortex(core, machine, systick_hz, *flags, flash=0, ram=0x20000000, **memory):
    return Target(
        name=f"Cortex-{core.upper()}",
        toolchain="arm-none-eabi-",
        flags=(
            *(f"-mcpu=cortex-{core}", "-mthumb", *flags, f"-DSYSTICK_HZ={systick_hz}"),
            *_bare("nano.specs", flash, ram),
        ),
        board="arm.c",
        emulator=_qemu("qemu-system-arm", machine),
        packages=("gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "qemu-system-arm"),
        **memory,
    )


TARGETS = (
    _cortex("m0", "microbit", 16000000, data=240000),  # of 256 KB
    _cortex("m3", "mps2-an385", 25000000),
    _cortex("m4", "mps2-an386", 25000000),
    _cortex("m7", "mps2-an500", 25000000),
    _cortex("m33", "mps2-an505", 20000000, flash=0x10000000, ram=0x38000000),
    # "soft" would exclude Helium. The code lies in 512 KB.
    _cortex("m55", "mps3-an547", 32000000, "-mfloat-abi=hard", data=450000),
    Target(
        name="RV32IMC",
        toolchain="riscv64-unknown-elf-",
        flags=(
            *("-march=rv32imc", "-mabi=ilp32"),
            *_bare("picolibc.specs", flash=0x80000000, ram=0x80100000),
        ),
        board="riscv.c",
        emulator=_qemu("qemu-system-riscv32", "virt", "-bios", "none", shift=0),
        packages=("gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf", "qemu-system-misc"),
    ),
    Target(
        name="Xtensa LX106",
        toolchain="xtensa-lx106-elf-",
        flags=(
            # Data lies between the parts of the code, which are then too far apart for a call.
            *("-mlongcalls", "-mtext-section-literals", "-DCCOUNT_HZ=40000000"),
            *_bare("/usr/lib/xtensa-lx106-elf/picolibc.specs", flash=0x50000000, ram=0x3FFC0000),
        ),
        board="xtensa.c",
        emulator=_qemu("qemu-system-xtensa", "sim", "-cpu", "lx106", shift=10),
        packages=("gcc-xtensa-lx106", "picolibc-xtensa-lx106-elf", "qemu-system-misc"),
    ),
    Target(
        name="ATmega328P",
        toolchain="avr-",
        flags=(
            *("-mmcu=atmega328p", "-Wl,--defsym=board_free_memory=_end"),
            *("-std=gnu99", "-Wno-pedantic"),  # C99 has no __flash
        ),
        board="avr.c",
        emulator=("simavr", "-m", "atmega328p", "-f", "16000000"),
        packages=("gcc-avr", "avr-libc", "simavr"),
        counts="cycles",
        memory=1200,
        data=22000,
    ),
)


class Case(NamedTuple):
    """A cell, its input sequences, and the expected bytes.

    Attributes:
        options, weights: bytes, the two blocks.
        x: int8 or int16 `(calls, timesteps, features)`: a sequence for each call of
            `fastgrnn_run()`.
        state: int16 `(units,)`, before the first call.
        y: int8 or int16 `(calls, ...)`, the output of each call.
        next_state: int16 `(units,)`, after the last.
        status: what `fastgrnn_init()` returns; if it is not 0, only the blocks are used.
    """

    options: bytes
    weights: bytes
    x: np.ndarray = np.empty((0, 0, 0), np.int8)
    state: np.ndarray = np.empty(0, np.int16)
    y: np.ndarray = np.empty((0, 0), np.int8)
    next_state: np.ndarray = np.empty(0, np.int16)
    status: int = 0

    def data(self):
        arrays = (self.state, self.x, self.y, self.next_state)
        return self.options + self.weights + b"".join(array.tobytes() for array in arrays)


class Measurement(NamedTuple):
    """All calls of a case: `count` of the target's counter, bytes of `stack`, and the cell's bytes
    of RAM: parameters, state and scratch memory."""

    count: int
    stack: int
    ram: int


def build(target, cases, folder, optimize="-Os"):
    """Writes `cases.h` and the firmware into the folder; returns the firmware's path."""
    folder = pathlib.Path(folder)
    firmware = folder / "firmware.elf"
    (folder / "cases.h").write_text(_header(cases))
    compile = compiler(target, optimize, KERNEL / "include", FOLDER, folder)
    kernel = {folder / f"{path.stem}.o": path for path in sorted((KERNEL / "src").glob("*.c"))}
    for object, source in kernel.items():
        execute([*compile, "-c", str(source), "-o", str(object)])
    execute(
        [
            *(*compile, f"-DMEMORY_SIZE={target.memory}", str(FOLDER / "firmware.c")),
            *(str(FOLDER / target.board), *map(str, kernel), "-o", str(firmware)),
            *("-Wl,--gc-sections", f"-Wl,-Map={firmware.with_suffix('.map')}"),
        ]
    )
    return firmware


def kernel_size(firmware):
    """The bytes of the kernel's code and constants that the linker kept in a firmware."""
    linked = firmware.with_suffix(".map").read_text().partition("Linker script and memory map")[2]
    # Without .comment and .ARM.attributes, which are in every object and on no chip.
    kept = r"^ \.(?:text|rodata|data|progmem)\S*\s+0x\w+\s+0x(\w+) \S*/fastgrnn\w*\.o$"
    sections = re.findall(kept, linked, re.MULTILINE)
    return sum(int(size, 16) for size in sections)


def run(target, firmware):
    """Runs a firmware. Returns a `Measurement` for each of its cases.

    Raises:
        RuntimeError: with what the firmware said, if a byte is wrong or it did not end well.
        subprocess.TimeoutExpired: if it did not end in two minutes.
    """
    lines = emulate(target, firmware)
    results = (re.fullmatch(r"\d+ (\d+) (\d+) (\d+)", line) for line in lines)
    return [Measurement(*map(int, result.groups())) for result in results if result]


def check(target, cases, folder, optimize="-Os"):
    """Builds and runs the cases, in several firmwares if needed. Returns their `Measurement`s."""
    measurements, batch, room = [], [], target.data
    for case in [*cases, None]:
        size = 0 if case is None else len(case.data()) + 32  # its row in the table, and alignment
        if batch and (case is None or size > room):
            measurements += run(target, build(target, batch, folder, optimize))
            batch, room = [], target.data
        batch.append(case)
        room -= size
    return measurements


def compiler(target, optimize, *include):
    """The command that compiles C for a target, with the folders of headers."""
    folders = (f"-I{folder}" for folder in include)
    return (f"{target.toolchain}gcc", *_FLAGS, *target.flags, optimize, *folders)


def emulate(target, firmware):
    """Runs a firmware that prints "passed" at success. Returns its output, in lines.

    Raises:
        RuntimeError: with what the firmware said, if that is missing or it did not end well.
        subprocess.TimeoutExpired: if it did not end in two minutes.
    """
    output = execute([*target.emulator, str(firmware)], timeout=120)
    # simavr colours the output of the serial port, and prints a point for the end of a line.
    lines = [line.rstrip(".") for line in re.sub(r"\x1b\[\d*m", "", output).splitlines()]
    if "passed" not in lines:
        raise RuntimeError("\n".join([f"{target.name}: {firmware} failed:", *lines]))
    return lines


def execute(command, timeout=None):
    """Runs a command. Returns its stdout and stderr.

    Raises:
        RuntimeError: with that, if it fails.
        subprocess.TimeoutExpired: if it did not end in `timeout` seconds.
    """
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}")
    return result.stdout


def _header(cases):
    arrays, rows = [], []
    for i, case in enumerate(cases):
        # A block needs no alignment: the cases use every alignment.
        data = bytes(i % 4) + case.data()
        sizes = (len(case.options), len(case.weights), len(case.state), *case.x.shape[:2])
        arrays.append(
            f"static const FASTGRNN_FLASH uint8_t data_{i}[] __attribute__((aligned(4))) = {{"
            + ",".join(map(str, data))
            + "};\n"
        )
        numbers = (*sizes, case.x[:1].nbytes, case.y[:1].nbytes, case.status)
        rows.append(f"    {{data_{i} + {i % 4}, {', '.join(map(str, numbers))}}},\n")
    return (
        "".join(arrays)
        + f"enum {{ CASES = {len(cases)} }};\n"
        + "static const FASTGRNN_FLASH test_case cases[CASES] = {\n"
        + "".join(rows)
        + "};\n"
    )
