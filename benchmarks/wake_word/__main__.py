"""A wake word in 1 KB, tested on people who took no part in its training.

    make bench-wake-word

On the official sides of Speech Commands: a detector of "yes" beside a keras GRU, three seeds each,
with thresholds by folds of the speakers for training; detectors of seven more words; detectors from
60 recordings; false alarms on another corpus; the cost on emulated chips. The command takes hours,
and continues where it was stopped: benchmarks/results/wake_word_cells.json keeps each result.
Writes benchmarks/results/wake_word.json.
"""

import functools

import keras
from rich.progress import Progress

from benchmarks import record
from benchmarks.kept import Kept
from benchmarks.wake_word import chips, models
from benchmarks.wake_word.figures import figures
from benchmarks.wake_word.models import DETECTORS, FILES, FOLDS, KEYWORD, OURS, SEEDS, WORDS
from examples.common import command, data
from examples.common.keyword_evaluation import DETECTOR
from examples.common.listener import Listener
from examples.common.speech_sides import load


def on_chips(speech):
    """The figures of the first detector on emulated chips, over ten seconds of its stream."""
    tflite = (FILES / f"{KEYWORD}, seed 0.tflite").read_bytes()
    test = speech.test
    # The first keyword comes after four of the ten seconds.
    start = max(test.spoken.start[test.spoken.word == KEYWORD][0] - 200, 0)
    heard = test.stream[0, start : start + 500]
    return chips.measure(tflite, heard, Listener(tflite).quantize(0.5), **DETECTOR)


def main():
    speech = models.Speech(data.load(functools.partial(load, keywords=WORDS)))
    FILES.mkdir(parents=True, exist_ok=True)
    kept = Kept(record.folder() / "wake_word_cells.json")
    keras.config.disable_interactive_logging()  # no bar for each training
    trainings = len(DETECTORS) * (FOLDS + SEEDS) + len(WORDS) - 1 + 2 * SEEDS

    with Progress() as progress:
        bar = progress.add_task("", total=trainings)

        def cell(name, function, *arguments, settings=None):
            progress.update(bar, description=name)
            compute = functools.partial(function, speech, *arguments)
            found = kept(name, compute, speech.given, arguments, settings)
            progress.advance(bar)
            return found

        thresholds, detectors = {}, {}
        for name, settings in DETECTORS.items():
            heard = [
                cell(f"{name}, but fold {fold}", models.left_out, name, fold, settings=settings)
                for fold in range(FOLDS)
            ]
            thresholds[name] = models.chosen(heard)
        # Seed by seed, as the models of a seed share a training set.
        for seed in range(SEEDS):
            for name, settings in DETECTORS.items():
                arguments = name, KEYWORD, seed, thresholds[name]
                found = cell(f"{name}, seed {seed}", models.detect, *arguments, settings=settings)
                detectors.setdefault(name, []).append(found)
        words = {KEYWORD: detectors[OURS][0]} | {
            word: cell(f"{OURS}, {word}", models.detect, OURS, word, 0, settings=DETECTORS[OURS])
            for word in WORDS
            if word != KEYWORD
        }
        small = {
            others: [
                cell(f"small, draw {seed}{', others' * others}", models.small, seed, others)
                for seed in range(SEEDS)
            ]
            for others in (False, True)
        }
    chip_figures = kept("chips", functools.partial(on_chips, speech), speech.given, DETECTORS[OURS])
    record.figures("wake_word.json", figures(detectors, words, small) | chip_figures)


if __name__ == "__main__":
    command.run(main)
