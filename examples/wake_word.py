"""A wake word of your own in 1 KB: from recordings of people to C for a microcontroller.

    python -m examples.wake_word --keyword=computer --data_dir=recordings

Trains a detector of one keyword, or of several, converts it to int8 and runs it in TensorFlow Lite
for Microcontrollers on speakers it has never heard: clip by clip, and in one long stream. Prints
the thresholds to choose from; writes the .tflite file, a picture of the misses against the false
alarms, and a folder of C with the audio front end. docs/wake_word.md says how to record a word.
"""

import re
import shlex
import sys

import numpy as np
from absl import flags

from examples.common import (
    classifier,
    command,
    data,
    det_curve,
    detection,
    firmware,
    keyword_evaluation,
    keyword_streams,
    keyword_training,
    speech_report,
    speech_sides,
    thresholds,
)
from examples.common.classifier import Split
from examples.common.keyword_evaluation import (
    DETECTOR,
    THRESHOLDS,
    clip_scores,
    float_logits,
    int8_logits,
)
from examples.common.listener import Listener
from examples.common.training_flags import changes, output_folder

_KEYWORD = flags.DEFINE_list(
    "keyword", "yes", "The word to detect, a folder of --data_dir; or several, with commas."
)
_SIMILAR = flags.DEFINE_list(
    "similar", [], "Words that sound like it, more folders: training hears them more often."
)
_NOISE = flags.DEFINE_string(
    "noise", None, "Folder of recordings of noise; by default _background_noise_ of --data_dir."
)
_SPEAKERS = flags.DEFINE_string(
    "speakers", None, "Table of the speakers: a .csv file with the columns file and speaker."
)
_FALSE_ALARMS = flags.DEFINE_float(
    "false_alarms", 10.0, "The most false alarms an hour, for the choice of the threshold.", 0.0
)
_PASSES = flags.DEFINE_integer(
    "passes", None, "Times that training hears each clip, varied each time.", 1
)


def main():
    if not all(_KEYWORD.value or [""]):
        sys.exit("--keyword names no word: give the name of a folder of --data_dir.")
    keyword = " or ".join(dict.fromkeys(_KEYWORD.value))
    sides = load(keyword)
    with command.one_line():
        folder = output_folder()
    validation, test = (side and keyword_streams.test_set(side) for side in sides[1:])

    print(f"Training a detector of {keyword!r}")
    training = changes()
    made = keyword_streams.training_set(
        sides.train,
        seed=training["seed"],
        passes=_PASSES.value,
        often=[keyword, *_SIMILAR.value],
    )
    detector = keyword_training.train_detector(made, keyword, **training)
    tflite = keyword_training.to_int8(detector, made.features)
    (folder / "wake_word.tflite").write_bytes(tflite)

    models = {"float": float_logits(detector), "int8 in TFLM": int8_logits(tflite)}
    listener = Listener(tflite)
    threshold_q = choose(models["int8 in TFLM"], listener, validation, keyword)
    size = sum(classifier.constants(tflite).values())
    logit = thresholds.logit_of(listener, threshold_q)
    curves = show(models, validation, test, keyword, logit, size)
    det_curve.picture(curves, folder / "wake_word.png")

    sources = folder / (re.sub(r"\W+", "_", keyword) + "_firmware")
    firmware.write(sources, tflite, threshold_q=threshold_q, **DETECTOR)
    listen = [
        *("python", "-m", "examples.listen", f"--tflite={folder}/wake_word.tflite"),
        f"--threshold={thresholds.probability(listener, threshold_q)}",
    ]
    print(
        f"Written: wake_word.tflite and wake_word.png in {folder}/; C for a microcontroller, with "
        f"this threshold, in {sources}/. Now listen:\n{shlex.join(listen)} a.wav"
    )


def load(keyword):
    """The `Split` of the sides, in which all words to detect have the name `keyword`; ends the
    command if they hold too little."""

    def read(data_dir):
        sides = speech_sides.load(
            data_dir, _KEYWORD.value, _SIMILAR.value, _NOISE.value, _SPEAKERS.value, tell=print
        )
        return Split(*(side and side.renamed(_KEYWORD.value, keyword) for side in sides))

    sides = data.load(read)
    if sides.test is not None and keyword not in sides.test.clips.word:
        sides = sides._replace(test=None)
    title = f"Clips of {keyword!r}, other speech and noise"
    command.show(title, *speech_report.rows(sides, keyword))
    if missing := speech_report.shortfalls(sides, keyword):
        sys.exit(
            "\n  ".join(["Too little to train on. Needed are", *missing])
            + "\nOther speech is any other folder of --data_dir; noise is the folder "
            "_background_noise_ there, or --noise."
        )
    if warning := speech_report.poor(sides, keyword):
        print(warning)
    return sides


def choose(model, listener, validation, keyword):
    """Prints the thresholds, and returns the one for --false_alarms: an int8 logit."""
    logits = model(validation.stream)[0, :, 0]
    found = thresholds.choices(listener, logits, validation.spoken, keyword)
    index = thresholds.chosen(found, _FALSE_ALARMS.value)
    hours = found[index].counts.negative_hours
    command.show(
        "Thresholds, in the stream of validation",
        *thresholds.rows(found, index, listener, _FALSE_ALARMS.value),
        caption=f"There are {hours:.2f} hours without {keyword!r}. Fewer than 3 false alarms in "
        f"them may as well be none: rates below {3 / hours:.0f} an hour are not known.",
    )
    counts = found[index].counts
    if not counts.found or counts.false_accepts_per_hour > _FALSE_ALARMS.value:
        print(
            f"No threshold hears {keyword!r} with at most {_FALSE_ALARMS.value:g} false alarms an "
            "hour: more people who say it, and more other speech, help most."
        )
    return found[index].threshold_q


def show(models, validation, test, keyword, logit, size):
    """Prints how the models do on the people for testing, or else in validation.

    Returns:
        dict from a model's name to its curve, for the picture.
    """
    people, where = (validation, "validation") if test is None else (test, "testing")
    rows, curves = [], {}
    for name, model in models.items():
        scores, others = (clip_scores(model(x.clips), x.last) for x in (people, validation))
        heard = scores >= keyword_evaluation.best_threshold(validation.word == keyword, others)
        logits = model(people.stream)[0, :, 0]
        (found,) = detection.curve(logits, people.spoken, keyword, [logit], **DETECTOR)
        curves[name] = detection.curve(logits, people.spoken, keyword, THRESHOLDS, **DETECTOR)
        rows.append(
            (
                f"{keyword}, {name}",
                f"{keyword_evaluation.f1(people.word == keyword, heard):.3f}",
                f"{found.f1:.3f}",
                f"{found.false_reject_rate:.1%}",
                f"{found.false_accepts_per_hour:.0f}",
                f"{size:,}" if "int8" in name else "",
            )
        )
    header = "", "clips\nF1", "stream\nF1", "missed", "false alarms\nan hour", "constants\nbytes"
    count = len(np.setdiff1d(people.speaker, ""))
    title = f"{where}: {len(people.word):,} clips of {count} people, and a stream"
    command.show(title, header, rows)
    if test is None:
        print(
            "There is no side for testing: the threshold was chosen on these clips, and the "
            "figures are too good."
        )
    return curves


if __name__ == "__main__":
    command.run(main)
