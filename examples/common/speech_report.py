"""What sides of speech and noise hold, and what they lack for a detector."""

import json
import pathlib
from typing import NamedTuple

import numpy as np

from examples.common.front_end import SAMPLE_RATE
from examples.common.speech_commands import SILENCE

RESULTS = pathlib.Path(__file__).parents[2] / "benchmarks" / "results" / "wake_word.json"
# Less than this cannot be trained on, or no threshold can be chosen.
PEOPLE, CLIPS, SPEECH_SECONDS, NOISE_SECONDS = 10, 40, 60, 10
# Nor can it with less on one side: a threshold takes some people and sounds of its own.
SIDE_PEOPLE, SIDE_CLIPS, SIDE_SPEECH_SECONDS, SIDE_NOISE_SECONDS = 2, 5, 10, 1
# With less the detector is poor.
MANY_PEOPLE, MANY_CLIPS, MANY_SPEECH_SECONDS, MANY_NOISE_SECONDS = 40, 200, 600, 120


class Found(NamedTuple):
    """Clips of the keyword and the people who say them; clips, seconds and people of other speech;
    seconds of noise."""

    clips: int
    people: int
    others: int
    other_seconds: float
    other_people: int
    noise_seconds: float


def found(side, keyword):
    """`Found` of a `Side`."""
    clips = side.clips
    said, others = clips.word == keyword, (clips.word != keyword) & (clips.word != SILENCE)
    return Found(
        int(said.sum()),
        len(np.unique(clips.speaker[said])),
        int(others.sum()),
        sum(map(len, clips.audio[others])) / SAMPLE_RATE,
        len(np.unique(clips.speaker[others])),
        sum(map(len, side.noise)) / SAMPLE_RATE,
    )


def rows(sides, keyword):
    """The header and the rows of a table of a `Split` of sides."""
    header = "", "clips", "people", "other\nspeech", "minutes", "people", "noise,\nminutes"
    texts = []
    for name, side in zip(("training", "validation", "testing"), sides, strict=True):
        if side is not None:
            have = found(side, keyword)
            texts.append(
                (
                    *(name, f"{have.clips:,}", f"{have.people:,}", f"{have.others:,}"),
                    *(f"{have.other_seconds / 60:.1f}", f"{have.other_people:,}"),
                    f"{have.noise_seconds / 60:.1f}",
                )
            )
    return header, texts


def shortfalls(sides, keyword):
    """All that is missing, as a list of texts."""
    have = [found(side, keyword) for side in sides if side is not None]
    needs = (
        ("people", f"people who say {keyword!r}", PEOPLE, SIDE_PEOPLE),
        ("clips", f"clips of {keyword!r}", CLIPS, SIDE_CLIPS),
        ("other_seconds", "seconds of other speech", SPEECH_SECONDS, SIDE_SPEECH_SECONDS),
        ("noise_seconds", "seconds of noise", NOISE_SECONDS, SIDE_NOISE_SECONDS),
    )
    texts = []
    for field, name, least, least_of_side in needs:
        amounts = [getattr(one, field) for one in have]
        if sum(amounts) < least:
            texts.append(f"at least {least} {name}: found {sum(amounts):.3g}")
            continue
        for side, amount in zip(("training", "validation"), amounts, strict=False):
            if amount < least_of_side:
                texts.append(
                    f"at least {least_of_side} {name} for {side}: found {amount:.3g} there, and "
                    f"{sum(amounts):.3g} in all. Nobody is on two sides: record more people"
                )
    return texts


def poor(sides, keyword):
    """A warning that a detector of so little will be poor, or ""."""
    have = [found(side, keyword) for side in sides if side is not None]
    clips, people, _, seconds, _, noise_seconds = map(sum, zip(*have, strict=True))
    few = []
    if clips < MANY_CLIPS or people < MANY_PEOPLE:
        few.append(f"{clips} clips of {people} people who say {keyword!r}")
    if seconds < MANY_SPEECH_SECONDS:
        few.append(f"{seconds / 60:.1f} minutes of other speech")
    if noise_seconds < MANY_NOISE_SECONDS:
        few.append(f"{noise_seconds / 60:.1f} minutes of noise")
    if not few:
        return ""
    text = f"This makes a poor detector: {', '.join(few)}."
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if "wakeword_small_f1" in results:
        text += (
            f" One of 60 clips of 20 people reached an F1 of {results['wakeword_small_f1']:.2f} on "
            "clips of others."
        )
    return text
