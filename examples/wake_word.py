"""A wake word in 1 KB: from recordings of people to a stream of sound in TensorFlow Lite Micro.

    python -m examples.wake_word

Trains a detector of one keyword, and a spotter of ten, on Google Speech Commands; converts both to
int8 and runs them in TensorFlow Lite for Microcontrollers on speakers they have never heard: clip
by clip, and on one long stream. Prints a table; writes the .tflite files, and a picture of the
detector's misses against its false alarms.
"""

import functools

import numpy as np
from absl import flags

from examples.common import (
    classifier,
    command,
    data,
    det_curve,
    keyword_evaluation,
    keyword_streams,
    keyword_training,
)
from examples.common.keyword_evaluation import float_logits, int8_logits
from examples.common.speech_commands import KEYWORDS
from examples.common.speech_sides import load
from examples.common.training_flags import changes, output_folder

_KEYWORD = flags.DEFINE_enum("keyword", "yes", KEYWORDS, "The word to detect.")
_PASSES = flags.DEFINE_integer(
    "passes", 36, "Times that training hears each clip, varied each time.", 1
)


def main():
    keyword = _KEYWORD.value
    people = data.load(functools.partial(load, keywords=[keyword]))
    folder = output_folder()

    validation, test = map(
        keyword_streams.test_set, (people.validation, people.test or people.validation)
    )
    training = changes()
    training_set = functools.partial(
        keyword_streams.training_set,
        people.train,
        seed=training["seed"],
        passes=_PASSES.value,
        **keyword_streams.STREAMS,
    )

    print(f"Training a detector of {keyword!r}")
    made = training_set(often=[keyword])
    detector = keyword_training.train_detector(made, keyword, **training)
    tflite = keyword_training.to_int8(detector, made.features)
    (folder / "wake_word.tflite").write_bytes(tflite)
    models = {"float": float_logits(detector), "int8 in TFLM": int8_logits(tflite)}
    results = {
        name: keyword_evaluation.evaluate(model, validation, test, keyword)
        for name, model in models.items()
    }
    print("Training a spotter of ten keywords")
    made = training_set()
    spotter = keyword_training.train_spotter(made, **training)
    spotter_tflite = keyword_training.to_int8(spotter, made.features)
    (folder / "keywords.tflite").write_bytes(spotter_tflite)

    said = test.word == keyword
    rows = [
        (
            f"{keyword!r}, {name}",
            f"{keyword_evaluation.f1(said, result.heard):.3f}",
            f"{result.found.f1:.3f}",
            f"{result.found.false_reject_rate:.1%}",
            f"{result.found.false_accepts_per_hour:.0f}",
            f"{sum(classifier.constants(tflite).values()):,}" if "int8" in name else "",
        )
        for name, result in results.items()
    ]
    header = "", "clips\nF1", "stream\nF1", "missed", "false alarms\nan hour", "constants\nbytes"
    people = len(np.unique(test.speaker)) - 1  # without "", the speaker of silence
    command.show(f"{len(said)} clips of {people} people, and a stream", header, rows)
    size = sum(classifier.constants(spotter_tflite).values())
    in_float = keyword_evaluation.accuracy(float_logits(spotter), test)
    in_int8 = keyword_evaluation.accuracy(int8_logits(spotter_tflite), test)
    print(
        f"The spotter is right on {in_float:.1%} of the clips of 12 classes, in int8 on "
        f"{in_int8:.1%} with {size:,} bytes of constants."
    )
    curves = {name: result.curve for name, result in results.items()}
    det_curve.picture(curves, folder / "wake_word.png")
    probability = 1 / (1 + np.exp(-results["int8 in TFLM"].at))
    print(
        f"Written: wake_word.tflite, keywords.tflite and wake_word.png in {folder}/. "
        "Now listen:\n"
        f"python -m examples.listen --tflite={folder}/wake_word.tflite "
        f"--threshold={probability:.3f} a.wav"
    )


if __name__ == "__main__":
    command.run(main)
