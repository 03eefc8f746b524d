"""A wake word in 1 KB: from people who say it to a stream of sound in TensorFlow Lite Micro.

    python -m examples.wake_word

Trains a detector of one keyword, and a spotter of ten, on Google Speech Commands; converts both to
int8 and runs them in TensorFlow Lite for Microcontrollers on speakers they have never heard: clip
by clip, and on one long stream. Prints a table; writes the .tflite files, and a picture of what the
detector misses against its false alarms.
"""

import functools
import pathlib
import sys

import matplotlib
import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

from examples.common import classifier, command, spotting
from examples.common.speech_commands import KEYWORDS, folds, load
from examples.common.spotting import say_float, say_int8

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def picture(curves, path):
    """Missed keywords against false alarms, of a dict from name to a list of `detection.Counts`."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    hours = next(iter(curves.values()))[0].negative_hours
    for name, counts in curves.items():
        x = [count.false_accepts_per_hour for count in counts]
        axes.plot(x, [100 * count.false_reject_rate for count in counts], ".-", label=name)
    # Fewer than 3 in all the hours are not told from none (the 95 % interval of none: 0 to 3).
    axes.axvspan(0, 3 / hours, color="0.9", lw=0)
    axes.set(
        xlabel=f"false alarms an hour, of {hours:.2f} hours (grey: below 3 in all)",
        ylabel="keywords missed, %",
        xscale="symlog",
        ylim=(0, 60),
        title="speakers who took no part in training, one stream",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv):
    arguments = flags.FLAGS
    clips = command.start(argv, load, arguments.data_dir)
    keyword = arguments.keyword
    if keyword not in clips.word:
        sys.exit(f"--keyword={keyword} is not among {', '.join(np.unique(clips.word))}.")
    output_dir = pathlib.Path(arguments.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)

    people = spotting.sides(clips, folds(clips), fold=0)
    validation, test = spotting.listen_to(people.validation), spotting.listen_to(people.test)
    training = {"seed": arguments.seed}
    if arguments.epochs:
        training["epochs"] = arguments.epochs
    hear = functools.partial(
        spotting.examples, people.train, seed=arguments.seed, passes=arguments.passes
    )

    print(f"Training a detector of {keyword!r}")
    made = hear(often=[keyword], **spotting.STREAMS)
    model = spotting.train_detector(made, keyword, **training)
    tflite = spotting.to_int8(model, made.features)
    (output_dir / "wake_word.tflite").write_bytes(tflite)
    results = {
        "float": spotting.evaluate(lambda x: say_float(model, x), validation, test, keyword),
        "int8 in TFLM": spotting.evaluate(lambda x: say_int8(tflite, x), validation, test, keyword),
    }
    print("Training a spotter of ten keywords")
    made = hear(**spotting.STREAMS)
    spotter = spotting.train_spotter(made, **training)
    spotter_tflite = spotting.to_int8(spotter, made.features)
    (output_dir / "keywords.tflite").write_bytes(spotter_tflite)

    said = test.word == keyword
    table = Table(
        title=f"{len(said)} clips of {len(np.unique(test.speaker)) - 1} people, and a stream"
    )
    for name in (
        "",
        "clips\nF1",
        "stream\nF1",
        "missed",
        "false alarms\nan hour",
        "constants\nbytes",
    ):
        table.add_column(name, justify="right" if name else "left")
    for name, result in results.items():
        table.add_row(
            f"{keyword!r}, {name}",
            f"{spotting.f1(said, result.heard):.3f}",
            f"{result.found.f1:.3f}",
            f"{result.found.false_reject_rate:.1%}",
            f"{result.found.false_accepts_per_hour:.0f}",
            f"{sum(classifier.constants(tflite).values()):,}" if "int8" in name else "",
        )
    Console().print(table)
    size = sum(classifier.constants(spotter_tflite).values())
    in_float = spotting.accuracy(lambda x: say_float(spotter, x), test)
    in_int8 = spotting.accuracy(lambda x: say_int8(spotter_tflite, x), test)
    print(
        f"Of 12 classes the spotter tells {in_float:.1%} of the clips right, {in_int8:.1%} in int8 "
        f"with {size:,} bytes of constants."
    )
    picture({name: result.curve for name, result in results.items()}, output_dir / "wake_word.png")
    probability = 1 / (1 + np.exp(-results["int8 in TFLM"].at))
    print(
        f"Written: wake_word.tflite, keywords.tflite and wake_word.png in {output_dir}/. "
        "Now listen:\n"
        f"python -m examples.listen --model={output_dir}/wake_word.tflite "
        f"--threshold={probability:.3f} a.wav"
    )


def define_flags():
    """Not at import: the tests import this module beside others with flags of the same names."""
    flags.DEFINE_string("data_dir", None, "Of the clips; see speech_commands.load().")
    flags.DEFINE_string("output_dir", "build", "Where the files are written.")
    flags.DEFINE_enum("keyword", "yes", KEYWORDS, "The word to detect.")
    flags.DEFINE_integer("seed", 0, "Of the initial weights and of what is heard.")
    flags.DEFINE_integer("passes", 36, "How often each clip is heard in another way.", 1)
    flags.DEFINE_integer(
        "epochs", None, "How often the model hears all that; the detector by default 8, else 16.", 1
    )


if __name__ == "__main__":
    define_flags()
    app.run(main)
