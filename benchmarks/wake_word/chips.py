"""What a wake word costs a chip, every 20 ms: the recurrent layer, its head and the detector.

    export PYTHONPATH=examples:tests
    python benchmarks/wake_word_chips.py --model=... --features=... --threshold=...

The model runs as plain C on emulated chips, over one stream of features. Every logit and every
decision is compared with those on this machine; one that differs fails the command.

QEMU counts instructions, simavr cycles. The cycles of a Cortex-M0+ are those instructions, each
taken for what Arm's manual says of it (DDI 0484C, table 3.1, no wait states), once with the
multiplier of one cycle and once with that of 32.
"""

import collections
import pathlib
import re
import sys
import tempfile

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

from examples.common.detector import detections
from examples.common.front_end import BANDS
from examples.listen import Listener
from keras_fastgrnn.export import c_source
from keras_fastgrnn.micro import Interpreter
from tests.boards import TARGETS, execute, program

# Cycles between two frames: 20 ms at 48 MHz and at 16 MHz.
M0_BUDGET = 960_000
AVR_BUDGET = 320_000
CHIPS = {"m0": "Cortex-M0", "m4": "Cortex-M4", "avr": "ATmega328P"}
TRACED = 10  # frames, whose instructions are looked at one by one


def measure(tflite, features, threshold_q, smoothing, refractory):
    """Runs a streaming model and its detector on each chip.

    Args:
        tflite: bytes of a .tflite file, a stream of the front end's features to one int8 logit.
        features: int8 `(frames, features)`, one stream. The ATmega328P hears as much of it as its
            flash holds.
        threshold_q, smoothing, refractory: integers, see `examples/detector.py`; the threshold is
            an int8 logit.

    Returns:
        dict of figures. A chip's RAM has the stack in it. A fraction is of the chip's cycles in
        20 ms: on the Cortex-M0 the first one takes an instruction for a cycle, which is the least
        it can be.

    Raises:
        ValueError: if the model is for other features, or an argument is out of range.
        RuntimeError: if a tool is missing or fails; or with what the firmware said, if a byte is
            wrong.
    """
    _check(tflite, features, threshold_q, smoothing, refractory)
    detector = program.Detector(threshold_q, smoothing, refractory)
    y = logits(tflite, features)
    at = detections(y[:, 0], **detector._asdict())
    detected = np.isin(np.arange(len(y)), at)
    figures = {"frames": len(features), "detections": int(detected.sum())}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for path, text in c_source(tflite).items():
            (folder / path).write_text(text)
        for name, chip in CHIPS.items():
            (target,) = (target for target in TARGETS if target.name == chip)
            fit = target.data // (features.shape[1] + 2)
            x = features[:fit, np.newaxis]
            run = program.replay(target, folder, x, y[:fit], detector, detected[:fit])
            flash, static_ram = program.sizes(target, folder, detector)
            figures |= {
                f"{name}_{target.counts}_per_step": run.predict,
                f"{name}_flash_bytes": flash,
                f"{name}_ram_bytes": static_ram + run.stack,
                f"{name}_frames": len(x),
            }
            if name == "m0":
                traced = (x[:TRACED], y[:TRACED], detector, detected[:TRACED])
                elf = program.build_replay(target, folder, *traced)
                fast, slow = (count / len(traced[0]) for count in m0_cycles(target, elf))
    return figures | {
        "m0_cycles_per_step": fast,
        "m0_cycles_per_step_slow_multiplier": slow,
        "m0_budget_fraction": figures["m0_instructions_per_step"] / M0_BUDGET,
        "m0_budget_fraction_cycles": fast / M0_BUDGET,
        "m0_budget_fraction_slow_multiplier": slow / M0_BUDGET,
        "avr_budget_fraction": figures["avr_cycles_per_step"] / AVR_BUDGET,
        "bytes_equal": True,  # replay() raises if one is not
    }


def logits(tflite, features):
    """int8 `(frames, 1)` of a stream `(frames, features)`, on this machine."""
    interpreter = Interpreter(tflite)
    return np.concatenate([interpreter.invoke(x[None, None]).reshape(1, 1) for x in features])


def _check(tflite, features, threshold_q, smoothing, refractory):
    Listener(tflite)  # refuses other models
    if features.dtype != np.int8 or features.shape[1:] != (BANDS,) or not len(features):
        raise ValueError(
            f"features is int8 (frames, {BANDS}); got {features.dtype} {features.shape}."
        )
    for name, value, low, high in (
        ("threshold_q", threshold_q, -128, 127),
        ("smoothing", smoothing, 1, 255),
        ("refractory", refractory, 0, 65535),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name}={value} is not in {low}..{high}.")


def m0_cycles(target, elf):
    """Cycles of a Cortex-M0+ from each input to its output, all together.

    Returns:
        `(cycles, cycles)`, with the multiplier of 1 cycle and with that of 32.
    """
    instructions, functions = _disassemble(target, elf)
    fast = multiplications = 0
    for address, following in executed(target, elf, functions):
        name, operands = instructions[address]
        fast += _cycles(name, operands, following - address)
        multiplications += name.startswith("mul")
    return fast, fast + 31 * multiplications


def executed(target, elf, functions):
    """The instructions from each input to its output: address, and that of the next one."""
    log = elf.with_suffix(".log")
    emulator, *options = target.emulator
    trace = ("-singlestep", "-d", "exec,nochain", "-D", str(log))
    execute([emulator, *trace, *options, str(elf)], timeout=120)
    addresses = [int(pc, 16) for pc in re.findall(r"\[\w+/(\w+)/", log.read_text())]
    inside, started = False, False
    for address, following in zip(addresses, addresses[1:], strict=False):
        function = functions[address]
        started |= function == "read_input"
        if function in ("read_input", "write_output"):
            inside = False
        elif function == "main":
            inside = started
        if inside:
            yield address, following


def _disassemble(target, elf):
    """dicts from address to `(name, operands)` of the instruction, and to its function."""
    instructions, functions, function = {}, collections.defaultdict(str), ""
    for line in execute([f"{target.toolchain}objdump", "-d", str(elf)]).splitlines():
        if match := re.fullmatch(r"\w+ <(.+)>:", line):
            function = match[1]
        elif match := re.match(r"\s*(\w+):\t[\w ]+\t(\S+)\s*([^@;]*)", line):
            instructions[int(match[1], 16)] = match[2], match[3]
            functions[int(match[1], 16)] = function
    return instructions, functions


def _cycles(name, operands, distance):
    """Of an instruction on a Cortex-M0+, and how far behind it the next one was."""
    name = name.partition(".")[0]
    if name in ("push", "pop", "ldmia", "stmia"):
        # Each register is one word, and a list may hold ranges.
        count = 0
        for part in re.search(r"{(.*)}", operands)[1].split(","):
            first, _, last = part.strip().partition("-")
            count += int(last[1:]) - int(first[1:]) + 1 if last else 1
        return count + (3 if "pc" in operands else 1)
    if name.startswith(("ldr", "str")):
        return 2
    if name == "bl":
        return 3
    if distance != 2:  # a branch that was taken
        return 2
    return 1


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}.")
    try:
        tflite = pathlib.Path(flags.FLAGS.model).read_bytes()
        features = np.load(flags.FLAGS.features)
        arguments = (flags.FLAGS.threshold, flags.FLAGS.smoothing, flags.FLAGS.refractory)
        figures = measure(tflite, features, *arguments)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(str(error))
    table = Table(title=f"{flags.FLAGS.model}: one frame, each byte as on this machine")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        if name == "bytes_equal":
            text = "yes"
        else:
            text = f"{value:.2%}" if "fraction" in name else f"{value:,.0f}"
        table.add_row(name, text)
    Console().print(table)


if __name__ == "__main__":
    # Here, since the tests import this module beside others with a flag of that name.
    flags.DEFINE_string("model", None, "The .tflite file of a wake word.")
    flags.DEFINE_string("features", None, "A stream: .npy, int8 (frames, 40).")
    flags.DEFINE_integer("threshold", None, "The detector's, an int8 logit.")
    flags.DEFINE_integer("smoothing", 5, "Of how many logits the detector takes the mean.")
    flags.DEFINE_integer("refractory", 50, "Frames without another detection.")
    flags.mark_flags_as_required(["model", "features", "threshold"])
    app.run(main)
