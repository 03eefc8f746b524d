"""Listens for a keyword in recordings, or in what a microphone hears.

    python -m examples.listen --model=build/wake_word.tflite a.wav b.wav
    arecord -t raw -f S16_LE -r 16000 | python -m examples.listen --model=build/wake_word.tflite -

Prints where the keyword is heard: the file, the time and how sure the model is. The sound goes
through front end, int8 model in TensorFlow Lite for Microcontrollers and detector 20 ms at a time,
as on a chip, so that a stream may have no end.
"""

import math
import os
import pathlib
import signal
import sys

import numpy as np
from absl import app, flags

from examples.common.detector import Detector
from examples.common.front_end import BANDS, FRAME, FRAMES_PER_SECOND, SCALE, ZERO_POINT, FrontEnd
from examples.common.wav import stream_chunks, wav_chunks
from keras_fastgrnn.export.c_source.chain import read_chain
from keras_fastgrnn.micro import Interpreter


class Listener:
    """A model that says at each frame of the front end how much it has heard the keyword.

    Args:
        tflite: bytes, a streaming model that `wake_word.to_int8()` made.

    Raises:
        ValueError: if it is another model.
    """

    def __init__(self, tflite):
        self._interpreter = Interpreter(tflite)
        inputs, outputs = self._interpreter.inputs, self._interpreter.outputs
        found = [(tensor.dtype, math.prod(tensor.shape)) for tensor in (*inputs, *outputs)]
        if len(inputs) != 1 or found != [(np.int8, BANDS), (np.int8, 1)]:
            raise ValueError(
                f"The model reads {_describe(inputs)} and says {_describe(outputs)}. It has to "
                f"read int8 (1, 1, {BANDS}), the features of a frame, and to say one int8, the "
                "keyword's logit."
            )
        (x,), (y,) = inputs, outputs
        if not np.allclose((x.scale, x.zero_point), (SCALE, ZERO_POINT)):
            raise ValueError(
                f"The model is for other features: its input has scale {x.scale:g} and zero point "
                f"{x.zero_point}; the front end's have {SCALE:g} and {ZERO_POINT:g}. The "
                "representative_dataset has to hold both ends of int8."
            )
        try:
            chain = read_chain(tflite)
        except ValueError as error:
            raise ValueError(
                "The model has to be recurrent layers and a Dense one without an activation, which "
                f"says the logit: {error}"
            ) from error
        if chain.activation:
            raise ValueError(
                "The model has to be recurrent layers and a Dense one without an activation, which "
                f"says the logit: it ends in {chain.activation}."
            )
        if not all(cell.stateful for cell in chain.cells):
            raise ValueError("The model keeps no state: convert it with streaming=True.")
        self._scale, self._zero_point = float(y.scale), y.zero_point

    def quantize(self, threshold):
        """The least int8 logit, an integer, whose probability is the threshold or more.

        Raises:
            ValueError: if there is none, or each int8 is one.
        """
        if not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold} is not a probability between 0 and 1.")
        logit = math.log(threshold / (1 - threshold))
        threshold_q = math.ceil(logit / self._scale + self._zero_point)
        if not -128 < threshold_q <= 127:
            least, most = self.probability(-128), self.probability(127)
            raise ValueError(
                f"threshold={threshold} is {'never' if threshold_q > 127 else 'always'} reached: "
                f"the model's int8 goes from {least:.4g} to {most:.4g}."
            )
        return threshold_q

    def probability(self, logit):
        """The probability of an int8, or of a mean of several."""
        logit = (logit - self._zero_point) * self._scale
        return 0.5 + 0.5 * math.tanh(logit / 2)

    def listen(self, chunks):
        """Listens from a new start.

        Args:
            chunks: iterable of int16 `(320,)`; a shorter one at the end is not heard.

        Yields:
            The int8 logit of each frame, an integer, or `None` while the front end fills up.
        """
        self._interpreter.reset()
        hear = FrontEnd()
        for samples in chunks:
            if len(samples) == FRAME:
                features = hear(samples)
                yield self._say(features) if len(features) else None

    def _say(self, features):
        return self._interpreter.invoke(features[np.newaxis]).item()


def _describe(tensors):
    return ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors)


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


def main(argv, arguments=flags.FLAGS):
    """Returns what `sys.exit()` takes: 0, 1 if a file was bad, or what was wrong with a flag."""
    names = argv[1:]
    if arguments.list:
        try:
            lines = pathlib.Path(arguments.list).read_bytes().splitlines()
        except OSError as error:
            return f"--list={arguments.list}: {_problem(error)}"
        names += [os.fsdecode(line) for line in lines if line]
    if not names:
        raise app.UsageError("Name the .wav files to hear, or - for standard input.")
    try:
        listener = Listener(pathlib.Path(arguments.model).read_bytes())
    except (ValueError, OSError) as error:
        return f"--model={arguments.model}: {_problem(error)}"
    try:
        threshold = listener.quantize(arguments.threshold)
    except ValueError as error:
        return f"--{error}"
    code = 0
    for name in names:
        detect = Detector(
            threshold=threshold,
            smoothing=_frames(arguments.smoothing),
            refractory=_frames(arguments.refractory),
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


def define_flags(values=flags.FLAGS):
    """Not at import: the tests import this module beside others with a flag of the same name."""
    flags.DEFINE_string(
        "model", None, "The .tflite file that examples/wake_word.py wrote.", flag_values=values
    )
    flags.DEFINE_string(
        "list", None, "A text file with more files to hear, one a line.", flag_values=values
    )
    flags.DEFINE_float(
        "threshold", 0.5, "From which probability on it is the keyword.", flag_values=values
    )
    flags.DEFINE_integer(
        "smoothing", 60, "Milliseconds of which the mean counts.", 20, 5100, flag_values=values
    )
    flags.DEFINE_integer(
        "refractory",
        1000,
        "Milliseconds without another detection.",
        0,
        1_310_700,
        flag_values=values,
    )
    flags.mark_flag_as_required("model", flag_values=values)


if __name__ == "__main__":
    # Ctrl-C, and a reader that reads no more, end it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(errors="surrogateescape")  # a file may have any name
    define_flags()
    app.run(main)
