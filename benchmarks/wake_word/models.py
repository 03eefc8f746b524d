"""The models of the wake word's benchmark: a training, and its measurements."""

import functools

import keras

from benchmarks import record
from benchmarks.kept import digest
from benchmarks.paper.models import lstm_int8_bytes
from examples.common import classifier, keyword_evaluation, keyword_streams, keyword_training
from examples.common.classifier import Split
from examples.common.clips import Side, folds
from examples.common.front_end import BANDS, FRAMES_PER_SECOND
from examples.common.keyword_evaluation import float_logits, int8_logits
from examples.common.keyword_streams import ALONE, STREAMS
from examples.common.speech_commands import CLASSES, SILENCE

KEYWORD = "yes"
FOLDS = 5
PASSES = 36
FILES = record.ROOT / "build" / "wake_word"


def layer(kind, units):
    """A function that makes a layer to train in place of FastGRNN, with the same dropout."""
    return lambda: kind(units, return_sequences=True, dropout=keyword_training.DROPOUT)


# The training of GRU and LSTM: at FastGRNN's rate of 1e-2 GRU is worse in validation, or does not
# learn; more epochs do not improve it.
THEIRS = {"epochs": 6, "learning_rate": 5e-3}

# From a name to the arguments of the training, and to the shape of its streams.
DETECTORS = {
    "FastGRNN": ({}, STREAMS),
    "GRU, 32 units": ({"layer": layer(keras.layers.GRU, 32)} | THEIRS, STREAMS),
    "FastGRNN, trained on clips": ({}, ALONE),
}
# The two largest show the accuracy beside the spotter's; the others are for the size ratios.
RNNS = {
    f"{kind.__name__}, {units} units": (kind, units)
    for kind, units in (
        (keras.layers.GRU, 100),
        (keras.layers.LSTM, 100),
        (keras.layers.GRU, 80),
        (keras.layers.LSTM, 64),
        (keras.layers.GRU, 64),
    )
}
SPOTTERS = {"FastGRNN": {}} | {
    name: {"layer": layer(*rnn), "sparsity": 0.0} | THEIRS for name, rnn in RNNS.items()
}
LARGEST = "GRU, 100 units", "LSTM, 100 units"
# One for each fold; two for the models whose difference decides the size ratio.
SEEDS = dict.fromkeys(SPOTTERS, FOLDS) | {"FastGRNN": 2 * FOLDS, "GRU, 64 units": 2 * FOLDS}


class Speech:
    """The clips, the sides of each fold, and its training set, cached for the next model of the
    fold. `given` is the digest of the data and settings that all models share."""

    def __init__(self, clips):
        self._clips, self._side = clips, folds(clips, FOLDS)
        self.given = digest(clips, FOLDS, PASSES, KEYWORD)

    def sides(self, fold):
        validation = (fold + 1) % FOLDS
        here = [
            (self._side != fold) & (self._side != validation),
            self._side == validation,
            self._side == fold,
        ]
        parts = map(self._clips.take, here)
        return Split(*(Side(clips, clips.audio[clips.word == SILENCE]) for clips in parts))

    @functools.lru_cache(1)  # noqa: B019, there is one object
    def training_set(self, fold, often, frames):
        return keyword_streams.training_set(
            self.sides(fold).train,
            seed=fold,
            passes=PASSES,
            often=often,
            frames=frames,
        )


def detect(speech, fold, name):
    """A detector of one fold: its results in float, and in int8 in TFLite Micro."""
    training, shape = DETECTORS[name]
    people = speech.sides(fold)
    validation, test = map(keyword_streams.test_set, (people.validation, people.test))
    made = speech.training_set(fold, (KEYWORD,), **shape)
    model = keyword_training.train_detector(made, KEYWORD, seed=fold, **training)
    ways = {"float": float_logits(model)}
    values = {"speaker": test.speaker.tolist(), "said": (test.word == KEYWORD).tolist()}
    if name.startswith("FastGRNN"):
        tflite = keyword_training.to_int8(model, made.features)
        (FILES / f"{name}, fold {fold}.tflite").write_bytes(tflite)
        ways["int8"] = int8_logits(tflite)
        values["constants"] = classifier.constants(tflite)
    for way, logits in ways.items():
        result = keyword_evaluation.evaluate(logits, validation, test, KEYWORD)
        values[way] = result._asdict() | {"heard": result.heard.tolist()}
    return values


def spot(speech, seed, name):
    """A spotter of the fold `seed % FOLDS`: its accuracy."""
    fold = seed % FOLDS
    test = keyword_streams.test_set(speech.sides(fold).test)
    made = speech.training_set(fold, (), **STREAMS)
    model = keyword_training.train_spotter(made, seed=seed, **SPOTTERS[name])
    values = {"float": keyword_evaluation.accuracy(float_logits(model), test)}
    if name == "FastGRNN":
        tflite = keyword_training.to_int8(model, made.features)
        (FILES / f"{name}, seed {seed}.tflite").write_bytes(tflite)
        values["int8"] = keyword_evaluation.accuracy(int8_logits(tflite), test)
        values["constants"], values["tflite"] = classifier.constants(tflite), len(tflite)
    return values


def float_bytes(name):
    """The bytes of one of the `RNNS` in float with its head, as in paper.json; the training does
    not change them."""
    kind, units = RNNS[name]
    inputs = keras.Input((FRAMES_PER_SECOND, BANDS))
    head = keras.layers.Dense(len(CLASSES))
    model = keras.Sequential([inputs, kind(units, return_sequences=True), head])
    found = {"constants": 4 * model.count_params(), "tflite": len(classifier.to_float(model))}
    if kind is keras.layers.LSTM:
        found["int8"] = lstm_int8_bytes(units, BANDS, len(CLASSES))
    return found
