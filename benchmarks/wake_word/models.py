"""The detectors of the wake word's benchmark: a training, and its measurements."""

import functools
from typing import NamedTuple

import keras
import numpy as np

from benchmarks import record
from benchmarks.kept import digest
from benchmarks.wake_word import corpora
from examples.common import classifier, detection, keyword_streams, keyword_training
from examples.common.clips import Side, folds
from examples.common.keyword_evaluation import (
    DETECTOR,
    THRESHOLDS,
    best_threshold,
    clip_scores,
    f1,
    float_logits,
    int8_logits,
)

KEYWORD = "yes"
WORDS = "yes", "no", "up", "down", "left", "right", "stop", "go"
SEEDS = 3
FOLDS = 3  # of the speakers for training
ALARMS = 10  # an hour
DRAWS = 500
FILES = record.ROOT / "build" / "wake_word"
# A word of one's own: the keyword three times by each of 20 people, and two recordings of noise.
# No twelve people of the archive say it 60 times.
PEOPLE, TAKES, NOISES = 20, 3, 2


def layer(kind, units):
    """A function that makes a layer to train in place of FastGRNN, with the same dropout."""
    return lambda: kind(units, return_sequences=True, dropout=keyword_training.DROPOUT)


OURS, GRU = "FastGRNN", "GRU, 32 units"
# From a name to the arguments of the training. At FastGRNN's rate of 1e-2 GRU does not learn, or is
# worse in validation.
DETECTORS = {OURS: {}, GRU: {"layer": layer(keras.layers.GRU, 32), "learning_rate": 5e-3}}


class Thresholds(NamedTuple):
    """Logits: for the best F1 on clips, and for `ALARMS` false alarms an hour in a stream."""

    clip: float
    stream: float


class Speech:
    """The sides of the data, and the last training set, for the next model that takes the same.
    `given` is the digest of the data and of the settings that all models share."""

    def __init__(self, sides):
        self.sides = sides
        data = [(*side.clips.audio, *side.noise, *side.clips[1:]) for side in sides]
        self.given = digest(data, keyword_streams.HEARD, DETECTOR)

    @functools.lru_cache(1)  # noqa: B019, there is one object
    def training_set(self, keyword, seed):
        return keyword_streams.training_set(self.sides.train, seed=seed, often=[keyword])

    @functools.cached_property
    def fold(self):
        return folds(self.sides.train.clips, FOLDS, [KEYWORD])

    @functools.cached_property
    def validation(self):
        return keyword_streams.test_set(self.sides.validation)

    @functools.cached_property
    def test(self):
        return keyword_streams.test_set(self.sides.test)


def left_out(speech, name, fold):
    """A detector of `KEYWORD` that has not heard a fold of the speakers for training: what it hears
    of these, in the noise for validation."""
    clips, noise = speech.sides.train
    there = speech.fold == fold
    others = Side(clips.take(~there), noise)
    made = keyword_streams.training_set(others, seed=fold, often=[KEYWORD])
    model = keyword_training.train_detector(made, KEYWORD, seed=fold, **DETECTORS[name])
    logits = float_logits(model)
    if name == OURS:  # the others are not exported
        logits = int8_logits(keyword_training.to_int8(model, made.features))
    people = Side(clips.take(there), speech.sides.validation.noise)
    return _heard(logits, keyword_streams.test_set(people), KEYWORD)


def _heard(logits, side, keyword):
    """The clips' scores, and the curve of the stream."""
    scores = clip_scores(logits(side.clips), side.last)
    stream = logits(side.stream)[0, :, 0]
    return {
        "said": (side.word == keyword).tolist(),
        "scores": scores.round(3).tolist(),
        "curve": detection.curve(stream, side.spoken, keyword, THRESHOLDS, **DETECTOR),
    }


def chosen(heard):
    """`Thresholds` from what detectors heard of people that they did not know."""
    said, scores = (np.concatenate([one[key] for one in heard]) for key in ("said", "scores"))
    curves = ([detection.Counts(*counts) for counts in one["curve"]] for one in heard)
    pooled = [detection.total(counts) for counts in zip(*curves, strict=True)]
    few = [counts.false_accepts_per_hour <= ALARMS for counts in pooled]
    return Thresholds(float(best_threshold(said, scores)), float(THRESHOLDS[np.argmax(few)]))


def detect(speech, name, keyword, seed, thresholds=None):
    """A detector of the whole training side, on the testing side.

    Args:
        speech: `Speech`.
        name: of `DETECTORS`.
        keyword: of `WORDS`.
        seed: integer.
        thresholds: `Thresholds`; by default those for the validation side.
    """
    made = speech.training_set(keyword, seed)
    model = keyword_training.train_detector(made, keyword, seed=seed, **DETECTORS[name])
    ways, values = {"float": float_logits(model)}, {}
    if name == OURS:
        tflite = keyword_training.to_int8(model, made.features)
        (FILES / f"{keyword}, seed {seed}.tflite").write_bytes(tflite)
        ways["int8"] = int8_logits(tflite)
        values["constants"] = classifier.constants(tflite)
    for way, logits in ways.items():
        at = thresholds or chosen([_heard(logits, speech.validation, keyword)])
        values[way] = measure(logits, speech.test, keyword, at)
        if keyword == KEYWORD:
            values[way]["others"] = corpora.alarms(logits, at.stream)
    return values


def measure(logits, test, keyword, thresholds):
    """The scores on the testing side, each also for `DRAWS` draws of its speakers."""
    said = test.word == keyword
    heard = clip_scores(logits(test.clips), test.last) >= thresholds.clip
    stream = logits(test.stream)[0, :, 0]
    at = [*THRESHOLDS, thresholds.stream]
    counts = detection.by_clip(stream, test.spoken, keyword, at, **DETECTOR)
    *curve, found = map(detection.summed, counts)
    clips, streams = draws(test.speaker), draws(test.speaker[test.order])
    return {
        "thresholds": thresholds,
        "f1": f1(said, heard),
        "f1_drawn": np.round([f1(said[i], heard[i]) for i in clips], 4).tolist(),
        "found": found,
        "missed": detection.missed_at(curve, ALARMS),
        "missed_drawn": np.round(_missed_drawn(counts[:-1], streams), 4).tolist(),
        "curve": curve,
    }


def draws(speaker):
    """Draws of as many speakers as there are, with their clips: arrays of indices."""
    _, person = np.unique(speaker, return_inverse=True)
    of_person = np.split(np.argsort(person, kind="stable"), np.cumsum(np.bincount(person))[:-1])
    rng = np.random.default_rng(0)
    return [
        np.concatenate([of_person[i] for i in rng.integers(0, len(of_person), len(of_person))])
        for _ in range(DRAWS)
    ]


def _missed_drawn(counts, streams):
    by_clip = np.array(counts)  # (thresholds, 4, clips)
    missed = []
    for i in streams:
        times = np.bincount(i, minlength=by_clip.shape[-1])
        missed.append(
            detection.missed_at([detection.Counts(*row) for row in by_clip @ times], ALARMS)
        )
    return missed


def small(speech, seed, others):
    """A detector from as few recordings as one person can collect.

    Args:
        speech: `Speech`.
        seed: integer, which people and recordings.
        others: boolean. Whether the other words of the archive's other people train too.
    """
    rng = np.random.default_rng(seed)
    clips, noise = speech.sides.train
    says_it = clips.word == KEYWORD
    names, takes = np.unique(clips.speaker[says_it], return_counts=True)
    people = rng.choice(names[takes >= TAKES], PEOPLE, replace=False)
    said = [np.flatnonzero(says_it & (clips.speaker == who)) for who in people]
    keyword = np.concatenate([rng.choice(takes, TAKES, replace=False) for takes in said])
    more = ~says_it & (others | np.isin(clips.speaker, people))
    # A third of the people choose the threshold.
    choose = np.isin(clips.speaker, people[: PEOPLE // 3])
    noise = [noise[i] for i in rng.choice(len(noise), NOISES, replace=False)]
    kept = np.zeros(len(clips.word), bool)
    kept[keyword] = True
    train, validation = (
        Side(clips.take((kept | more) & here), noise) for here in (~choose, choose)
    )
    made = keyword_streams.training_set(train, seed=seed, often=[KEYWORD])
    model = keyword_training.train_detector(made, KEYWORD, seed=seed)
    logits = int8_logits(keyword_training.to_int8(model, made.features))
    at = chosen([_heard(logits, keyword_streams.test_set(validation), KEYWORD)])
    return measure(logits, speech.test, KEYWORD, at) | {"clips": int(len(train.clips.word))}
