"""Listens for a keyword in recordings, or in what a microphone hears.

    python -m examples.listen --tflite=build/wake_word.tflite a.wav b.wav
    arecord -t raw -f S16_LE -r 16000 | python -m examples.listen --tflite=build/wake_word.tflite -

Prints where the keyword is heard: the file, the time and how sure the model is. The sound goes
through front end, int8 model in TensorFlow Lite for Microcontrollers and detector 20 ms at a time,
as on a chip, so that a stream may have no end.
"""

import os
import pathlib
import signal
import sys

from absl import app, flags

from examples.common.detector import Detector
from examples.common.front_end import FRAMES_PER_SECOND
from examples.common.listener import Listener
from examples.common.wav import stream_chunks, wav_chunks

_TFLITE = flags.DEFINE_string(
    "tflite", "build/wake_word.tflite", "The .tflite file that examples.wake_word wrote."
)
_THRESHOLD = flags.DEFINE_float("threshold", 0.5, "Probability from which on it is the keyword.")
_SMOOTHING = flags.DEFINE_integer(
    "smoothing", 60, "Milliseconds of which the mean counts.", lower_bound=20, upper_bound=5100
)
_REFRACTORY = flags.DEFINE_integer(
    "refractory", 1000, "Milliseconds without another detection.", 0, 1_310_700
)


def chunks_of(name):
    """Yields the sound of a file, or of standard input if its name is "-"."""
    if name == "-":
        yield from stream_chunks(sys.stdin.buffer)
    elif os.path.isdir(name):
        raise ValueError("is a folder: name the files in it.")
    else:
        with open(name, "rb") as file:
            yield from wav_chunks(file)


def listen(listener, name, detect):
    """Prints each detection in a file as soon as it is made. Raises what `wav_chunks()` does."""
    frame = -1
    for frame, logit in enumerate(listener.listen(chunks_of(name))):
        if logit is not None and detect(logit):
            seconds = (frame + 1) / FRAMES_PER_SECOND
            print(f"{name}  {seconds:.2f} s  {listener.probability(detect.mean):.2f}", flush=True)
    if frame < 0:
        raise ValueError("has less than 20 ms of sound.")


def main(argv):
    """Returns what `sys.exit()` takes: 0, 1 if a file was bad, or what was wrong with a flag."""
    names = argv[1:]
    if not names:
        raise app.UsageError("Name the .wav files to hear, or - for standard input.")
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
        except (ValueError, OSError) as error:  # the next file may be better
            print(f"{name}: {_problem(error)}", file=sys.stderr, flush=True)
            code = 1
    return code


def _problem(error):
    return error.strerror if isinstance(error, OSError) else error


def _frames(milliseconds):
    return round(milliseconds * FRAMES_PER_SECOND / 1000)


if __name__ == "__main__":
    # Ctrl-C, and a reader that reads no more, end it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(errors="surrogateescape")  # a file may have any name
    app.run(main)
