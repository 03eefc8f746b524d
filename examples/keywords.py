"""A spotter of ten words in 5 KB, on Google Speech Commands.

    python -m examples.keywords

Trains it on the streams of the wake word, converts it to int8, and runs it in TensorFlow Lite for
Microcontrollers on speakers it has never heard. Prints its accuracy; writes the .tflite file.
"""

import sys

import numpy as np

from examples.common import (
    classifier,
    command,
    data,
    keyword_evaluation,
    keyword_streams,
    keyword_training,
    speech_sides,
)
from examples.common.clips import joined
from examples.common.keyword_evaluation import float_logits, int8_logits
from examples.common.speech_commands import KEYWORDS, REMEDY, SILENCE, UNKNOWN
from examples.common.speech_streams import silence
from examples.common.training_flags import changes, output_folder

PASSES = 12  # times that training hears each clip, varied each time


def main():
    sides = data.load(lambda folder: speech_sides.load(folder, tell=print))
    if not np.isin(KEYWORDS, sides.train.clips.word).any():
        sys.exit(f"None of the words {', '.join(KEYWORDS)} is in the data: {REMEDY}")
    if sides.test is None:
        sys.exit("Needs a side for testing: testing_list.txt, or at least 20 people.")
    rng = np.random.default_rng(0)
    train, test = twelve(sides.train, rng), with_silence(twelve(sides.test, rng), rng)
    folder = output_folder()
    print("Training a spotter of ten keywords")
    training = changes()
    made = keyword_streams.training_set(train, seed=training["seed"], passes=PASSES)
    spotter = keyword_training.train_spotter(made, **training)
    tflite = keyword_training.to_int8(spotter, made.features)
    (folder / "keywords.tflite").write_bytes(tflite)
    heard = keyword_streams.test_set(test)
    size = sum(classifier.constants(tflite).values())
    models = {"float": float_logits(spotter), "int8 in TFLM": int8_logits(tflite)}
    rows = [
        (name, f"{keyword_evaluation.accuracy(model, heard):.1%}", f"{size:,}" * ("int8" in name))
        for name, model in models.items()
    ]
    people = len(np.setdiff1d(heard.speaker, ""))
    command.show(
        f"{len(heard.word):,} clips of 12 classes, of {people} people",
        ("", "accuracy", "constants\nbytes"),
        rows,
    )
    print(f"Written: keywords.tflite in {folder}/.")


def twelve(side, rng):
    """The side with ten words, and as many clips of unknown others as of one of these."""
    clips = side.clips
    known = np.isin(clips.word, [*KEYWORDS, SILENCE])
    count = round(np.isin(clips.word, KEYWORDS).sum() / len(KEYWORDS))
    others = rng.permutation(np.flatnonzero(~known))[:count]
    word = np.where(known, clips.word, UNKNOWN)
    kept = np.union1d(np.flatnonzero(known), others)
    return side._replace(clips=clips._replace(word=word).take(kept))


def with_silence(side, rng):
    """The side with as many clips of silence as of one of the ten words, if it has none."""
    if SILENCE in side.clips.word:
        return side
    count = round(np.isin(side.clips.word, KEYWORDS).sum() / len(KEYWORDS))
    return side._replace(clips=joined([side.clips, silence(side.noise, count, rng)]))


if __name__ == "__main__":
    command.run(main)
