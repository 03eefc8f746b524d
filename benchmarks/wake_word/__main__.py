"""A wake word in 1 KB, tested on people who took no part in its training.

    make bench-wake-word

Five-fold cross-validation over speakers, of the detector beside a keras GRU, and of the keyword
spotter beside keras GRU and LSTM; the detector on emulated chips. The command takes hours, and
continues where it was stopped: benchmarks/results/wake_word_cells.json keeps the results of each
fold. Writes benchmarks/results/wake_word.json.
"""

import functools
import itertools

import keras
from rich.progress import Progress

from benchmarks import record
from benchmarks.kept import Kept
from benchmarks.wake_word import chips, models
from benchmarks.wake_word.figures import figures
from benchmarks.wake_word.models import DETECTORS, FILES, FOLDS, KEYWORD, RNNS, SEEDS, SPOTTERS
from examples.common import command, data, keyword_streams
from examples.common.keyword_evaluation import DETECTOR
from examples.common.listener import Listener
from examples.common.speech_commands import load


def on_chips(speech):
    """The figures of fold 0's detector on emulated chips, over ten seconds of its stream."""
    tflite = (FILES / "FastGRNN, fold 0.tflite").read_bytes()
    test = keyword_streams.test_set(speech.sides(0).test)
    # The first keyword comes after four of the ten seconds.
    start = max(test.spoken.start[test.spoken.word == KEYWORD][0] - 200, 0)
    heard = test.stream[0, start : start + 500]
    return chips.measure(tflite, heard, Listener(tflite).quantize(0.5), **DETECTOR)


def main():
    speech = models.Speech(data.load(load))
    FILES.mkdir(parents=True, exist_ok=True)
    kept = Kept(record.folder() / "wake_word_cells.json")
    keras.config.disable_interactive_logging()  # no bar for each training
    detectors, spotters = {name: [] for name in DETECTORS}, {name: [] for name in SPOTTERS}
    # Fold by fold, as the models of a fold share a training set.
    todo = [
        (detectors, f"{name}, fold {fold}", models.detect, fold, name, DETECTORS[name])
        for fold, name in itertools.product(range(FOLDS), DETECTORS)
    ] + [
        (spotters, f"{name}, seed {seed}", models.spot, seed, name, SPOTTERS[name])
        for seed, name in itertools.product(range(max(SEEDS.values())), SPOTTERS)
        if seed < SEEDS[name]
    ]
    with Progress() as progress:
        bar = progress.add_task("", total=len(todo))
        for found, text, function, seed, name, settings in todo:
            progress.update(bar, description=text)
            compute = functools.partial(function, speech, seed, name)
            found[name].append(kept(text, compute, speech.given, seed, settings))
            progress.advance(bar)
    given = speech.given, DETECTORS["FastGRNN"], DETECTOR
    chip_figures = kept("chips", functools.partial(on_chips, speech), *given)
    sizes = {
        name: kept(f"{name}, bytes", functools.partial(models.float_bytes, name), rnn)
        for name, rnn in RNNS.items()
    }
    record.figures("wake_word.json", figures(detectors, spotters, sizes) | chip_figures)


if __name__ == "__main__":
    command.run(main)
