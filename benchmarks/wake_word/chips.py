"""The cost of a wake word on a chip, every 20 ms: recurrent layer, head and detector.

The model runs as plain C on emulated chips, over one stream of features. Every logit and every
decision has to equal that of this machine.

QEMU counts instructions, simavr cycles.
"""

import numpy as np

from examples.common.detector import detections
from examples.common.front_end import BANDS
from examples.common.listener import Listener
from keras_fastgrnn.micro import Interpreter
from tests.boards import TARGETS, program

# Cycles between two frames: 20 ms at 48 MHz and at 16 MHz.
M0_BUDGET = 960_000
AVR_BUDGET = 320_000
CHIPS = {"m0": "Cortex-M0", "m4": "Cortex-M4", "avr": "ATmega328P"}


def measure(tflite, features, threshold_q, smoothing, refractory):
    """Runs a streaming model and its detector on each chip.

    Args:
        tflite: bytes of a .tflite file, a stream of the front end's features to one int8 logit.
        features: int8 `(frames, features)`, one stream. The ATmega328P runs as many frames as fit
            into its flash.
        threshold_q, smoothing, refractory: integers, arguments of
            `examples.common.detector.Detector`; the threshold is an int8 logit.

    Returns:
        dict of figures. RAM includes the stack. A fraction is of the chip's cycles in 20 ms; on the
        Cortex-M0 an instruction counts as one cycle, the least that it takes.

    Raises:
        ValueError: if the model is for other features, or an argument is out of range.
        RuntimeError: if a tool is missing or fails; or with the firmware's message, if a byte is
            wrong.
    """
    Listener(tflite)  # refuses other models
    if features.dtype != np.int8 or features.shape[1:] != (BANDS,) or not len(features):
        raise ValueError(
            f"features has to be int8 (frames, {BANDS}); got {features.dtype} {features.shape}."
        )
    detector = program.Detector(threshold_q, smoothing, refractory)
    y = logits(tflite, features)
    at = detections(y[:, 0], **detector._asdict())
    detected = np.isin(np.arange(len(y)), at)
    figures = {"frames": len(features), "detections": int(detected.sum())}
    with program.as_c(tflite) as folder:
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
    return figures | {
        "m0_budget_fraction": figures["m0_instructions_per_step"] / M0_BUDGET,
        "avr_budget_fraction": figures["avr_cycles_per_step"] / AVR_BUDGET,
    }


def logits(tflite, features):
    """int8 `(frames, 1)` of a stream `(frames, features)`, on this machine."""
    interpreter = Interpreter(tflite)
    return np.concatenate([interpreter.invoke(x[None, None]).reshape(1, 1) for x in features])
