"""Listens for a keyword in recordings of any rate, or in the sound of a microphone.

    python -m examples.listen --tflite=build/wake_word.tflite a.wav b.wav
    arecord -t raw -f S16_LE -r 16000 | python -m examples.listen --tflite=build/wake_word.tflite -

Prints where the keyword is heard: the file, the time and how sure the model is. The sound goes
through front end, int8 model in TensorFlow Lite for Microcontrollers and detector 20 ms at a time,
as on a chip; a stream may have no end. `-` stands for raw sound of 16 kHz, mono and 16 bit.
"""

import pathlib
import signal
import sys

import numpy as np
from absl import app, flags

from examples.common.detector import Detector
from examples.common.front_end import FRAME, FRAMES_PER_SECOND
from examples.common.listener import Listener
from examples.common.recordings import blocks

_TFLITE = flags.DEFINE_string(
    "tflite", "build/wake_word.tflite", "The .tflite file that examples.wake_word wrote."
)
_THRESHOLD = flags.DEFINE_float("threshold", 0.5, "Least probability that counts as the keyword.")
_SMOOTHING = flags.DEFINE_integer(
    "smoothing", 320, "Milliseconds of logits to average.", lower_bound=20, upper_bound=5100
)
_REFRACTORY = flags.DEFINE_integer(
    "refractory", 1000, "Milliseconds after a detection without another one.", 0, 1_310_700
)


def chunks_of(name):
    """Yields 20 ms at a time of a file, or of the raw sound of standard input if its name is "-".

    Yields:
        int16 `(320,)`; the last of standard input may be shorter.

    Raises:
        ValueError: if the file is no sound.
        OSError: if it cannot be read.
    """
    if name == "-":
        while data := sys.stdin.buffer.read(2 * FRAME):
            yield np.frombuffer(data, "<i2", len(data) // 2).astype(np.int16)
        return
    with open(name, "rb") as file:
        heard = np.empty(0, np.int16)
        for block in blocks(file, FRAME):  # resampled, a block may have any length
            heard = np.concatenate([heard, block])
            while len(heard) >= FRAME:
                yield heard[:FRAME]
                heard = heard[FRAME:]


def listen(listener, name, detect):
    """Prints each detection in a file at once; raises the errors of `chunks_of()`."""
    frame = -1
    for frame, logit in enumerate(listener.listen(chunks_of(name))):
        if logit is not None and detect(logit):
            seconds = (frame + 1) / FRAMES_PER_SECOND
            print(f"{name}  {seconds:.2f} s  {listener.probability(detect.mean):.2f}", flush=True)
    if frame < 0:
        raise ValueError("has less than 20 ms of sound.")


def main(argv):
    """Returns the argument of `sys.exit()`: 0, 1 after a bad file, or a message about a flag."""
    names = argv[1:]
    if not names:
        raise app.UsageError("Name the files to hear, or - for standard input.")
    try:
        listener = Listener(pathlib.Path(_TFLITE.value).read_bytes())
    except (ValueError, OSError) as error:
        return f"--tflite={_TFLITE.value}: {_problem(error)}"
    try:
        threshold = listener.quantize(_THRESHOLD.value)
    except ValueError as error:
        return f"--{error}"
    code = 0
    for name in names:
        detect = Detector(
            threshold=threshold,
            smoothing=_frames(_SMOOTHING.value),
            refractory=_frames(_REFRACTORY.value),
        )
        try:
            listen(listener, name, detect)
        except (ValueError, OSError) as error:  # the next file may be good
            print(f"{name}: {_problem(error)}", file=sys.stderr, flush=True)
            code = 1
    return code


def _problem(error):
    """The message of an error without the name of the file."""
    return error.strerror if isinstance(error, OSError) else error


def _frames(milliseconds):
    return round(milliseconds * FRAMES_PER_SECOND / 1000)


if __name__ == "__main__":
    # Ctrl-C, or a closed pipe, ends the command without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(errors="surrogateescape")  # a file may have any name
    app.run(main)
