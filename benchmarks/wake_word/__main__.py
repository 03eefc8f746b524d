"""What a wake word in 1 KB hears of people who never trained it.

    make bench-wake-word

Five-fold cross-validation over speakers, of the detector beside a keras GRU, and of the keyword
spotter beside keras GRU and LSTM; the detector on emulated chips. It takes hours, and goes on where
it was stopped: what is computed is kept beside wake_word.json. Prints the figures, writes
benchmarks/results/wake_word.json, and the tables and the picture of docs/wake_word.md.
"""

import functools
import itertools
import operator

import keras
import numpy as np
from absl import app, flags
from rich.progress import Progress
from tensorflow.lite.tools import flatbuffer_utils

from benchmarks import record
from benchmarks.paper import __main__ as paper
from benchmarks.paper import models as paper_models
from benchmarks.paper.tasks import TASKS
from benchmarks.wake_word import chips as wake_word_chips
from examples import wake_word
from examples.common import classifier, command, detection, spotting
from examples.common.front_end import BANDS, FRAMES_PER_SECOND
from examples.common.speech_commands import CLASSES, folds, load
from examples.common.spotting import say_float, say_int8
from examples.listen import Listener
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.micro.verify import seal

KEYWORD = "yes"
FOLDS = 5
# The training was chosen on the speakers for validation of folds 0 and 2, who are those for testing
# of folds 1 and 3. Nothing was chosen on the speakers for testing of these:
UNSEEN = 0, 2, 4
STATEFUL = 8  # of the options block's flags (docs/format.md)
CELLS = record.FOLDER / "wake_word_cells.json"
MODELS = record.ROOT / "build" / "wake_word"
PAGE = record.ROOT / "docs" / "wake_word.md"
PASSES = 36


def layer(kind, units):
    """What to train in place of FastGRNN, with the same dropout."""
    return lambda: kind(units, return_sequences=True, dropout=spotting.DROPOUT)


# Of GRU and LSTM. At FastGRNN's rate of 1e-2 GRU hears less on the speakers for validation, or does
# not learn; more epochs give it nothing.
THEIRS = {"epochs": 6, "learning_rate": 5e-3}

# From name to arguments of the training, and to what it is trained on.
DETECTORS = {
    "FastGRNN": ({}, spotting.STREAMS),
    "GRU, 32 units": ({"layer": layer(keras.layers.GRU, 32)} | THEIRS, spotting.STREAMS),
    "FastGRNN, trained on clips": ({}, spotting.ALONE),
}
# The spotter's accuracy is beside the two largest; with the others it is how many times smaller.
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
# One for each fold; two of those whose difference decides how many times smaller FastGRNN is.
SEEDS = dict.fromkeys(SPOTTERS, FOLDS) | {"FastGRNN": 2 * FOLDS, "GRU, 64 units": 2 * FOLDS}
TARGETS = {
    "wakeword_bytes": ("<=", 1024),
    "wakeword_f1": (">=", 0.90),
    "wakeword_f1_less_than_gru": ("<=", 0.01),
    "kws12_bytes": ("<=", 5632),
    "kws12_less_than_best_rnn": ("<=", 0.01),
    "kws12_int8_loss": ("<=", 0.003),
    "m0_instructions_per_step": ("<=", 10000),
}


class Speech:
    """The clips, each fold's sides, and what is trained on: kept for the next model of the fold.
    `given` is the digest of what all models are made of."""

    def __init__(self, clips):
        self._clips, self._side = clips, folds(clips, FOLDS)
        self.given = record.digest(clips, FOLDS, PASSES, KEYWORD)

    def sides(self, fold):
        return spotting.sides(self._clips, self._side, fold)

    @functools.lru_cache(1)  # noqa: B019, there is one object
    def examples(self, fold, often, count, frames):
        return spotting.examples(
            self.sides(fold).train,
            seed=fold,
            passes=PASSES,
            often=often,
            count=count,
            frames=frames,
        )


def detect(speech, fold, name):
    """A detector of one fold: its results in float, and in int8 in TFLite Micro."""
    training, shape = DETECTORS[name]
    people = speech.sides(fold)
    validation, test = map(spotting.listen_to, (people.validation, people.test))
    made = speech.examples(fold, (KEYWORD,), **shape)
    model = spotting.train_detector(made, KEYWORD, seed=fold, **training)
    ways = {"float": lambda x: say_float(model, x)}
    values = {"speaker": test.speaker.tolist(), "said": (test.word == KEYWORD).tolist()}
    if name.startswith("FastGRNN"):
        tflite = spotting.to_int8(model, made.features)
        (MODELS / f"{name}, fold {fold}.tflite").write_bytes(tflite)
        ways["int8"] = lambda x: say_int8(tflite, x)
        values["constants"] = classifier.constants(tflite)
        values["streaming_equal"] = streaming_equal(tflite, test.clips[:100])
    for way, say in ways.items():
        result = spotting.evaluate(say, validation, test, KEYWORD)
        values[way] = {
            "heard": result.heard.tolist(),
            "at": result.at,
            "found": result.found,
            "curve": result.curve,
        }
    return values


def streaming_equal(tflite, clips):
    """Whether the stream says the same bytes at the end of each clip as the operator that reads
    the clip at once, of `clips (n, frames, 40)`."""
    at_once, stream = Interpreter(whole_clip(tflite, clips.shape[1])), Interpreter(tflite)
    for clip in clips:
        stream.reset()
        for frame in clip:
            last = stream.invoke(frame.reshape(stream.inputs[0].shape))
        if not np.array_equal(at_once.invoke(clip[np.newaxis])[:, -1:], last):
            return False
    return True


def whole_clip(tflite, frames):
    """The same operators, weights and formats for sequences, each from a state of zero."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        if list(tensor.shape[:2]) == [1, 1]:
            tensor.shape = tensor.shape.copy()
            tensor.shape[1] = frames
    options = bytearray(graph.operators[0].customOptions)
    options[4] &= ~STATEFUL
    graph.operators[0].customOptions = options
    return seal(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))


def spot(speech, seed, name):
    """A spotter of the fold `seed % FOLDS`: its accuracy."""
    fold = seed % FOLDS
    test = spotting.listen_to(speech.sides(fold).test)
    made = speech.examples(fold, (), **spotting.STREAMS)
    model = spotting.train_spotter(made, seed=seed, **SPOTTERS[name])
    values = {"float": spotting.accuracy(lambda x: say_float(model, x), test)}
    if name == "FastGRNN":
        tflite = spotting.to_int8(model, made.features)
        (MODELS / f"{name}, seed {seed}.tflite").write_bytes(tflite)
        values["int8"] = spotting.accuracy(lambda x: say_int8(tflite, x), test)
        values["constants"], values["tflite"] = classifier.constants(tflite), len(tflite)
    return values


def float_bytes(name):
    """Bytes of one of the `RNNS` in float with its head, which no training changes; as in
    paper.json."""
    kind, units = RNNS[name]
    inputs = keras.Input((FRAMES_PER_SECOND, BANDS))
    head = keras.layers.Dense(len(CLASSES))
    model = keras.Sequential([inputs, kind(units, return_sequences=True), head])
    found = {"constants": 4 * model.count_params(), "tflite": len(classifier.to_float(model))}
    if kind is keras.layers.LSTM:
        found["int8"] = paper_models.lstm_int8_bytes(units, BANDS, len(CLASSES))
    return found


def mean(cells, key):
    return np.mean([cell[key] for cell in cells])


def pooled_f1(cells, way):
    """F1 over the clips of all folds."""
    return spotting.f1(*_said_and_heard(cells, way))


def interval(cells, way, draws=1000):
    """Of the `pooled_f1()`, 95 % over draws of speakers."""
    said, heard = _said_and_heard(cells, way)
    _, person = np.unique(np.concatenate([c["speaker"] for c in cells]), return_inverse=True)
    of_person = [np.flatnonzero(person == i) for i in range(person.max() + 1)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        i = np.concatenate([of_person[p] for p in rng.integers(0, len(of_person), len(of_person))])
        drawn.append(spotting.f1(said[i], heard[i]))
    return np.percentile(drawn, [2.5, 97.5]).tolist()


def _said_and_heard(cells, way):
    said, heard = [c["said"] for c in cells], [c[way]["heard"] for c in cells]
    return np.concatenate(said), np.concatenate(heard)


def pooled(cells, way):
    """`(Counts at the chosen thresholds, list of Counts at each threshold)` of all folds."""

    def total(counts):
        return functools.reduce(operator.add, (detection.Counts(*c) for c in counts))

    return (
        total(c[way]["found"] for c in cells),
        [total(counts) for counts in zip(*(c[way]["curve"] for c in cells), strict=True)],
    )


def chips(speech):
    """Figures of fold 0's detector on emulated chips, which hear ten seconds of its stream."""
    tflite = (MODELS / "FastGRNN, fold 0.tflite").read_bytes()
    test = spotting.listen_to(speech.sides(0).test)
    # Four of the ten go before the first keyword, so that there is something to detect.
    start = max(test.spoken.start[test.spoken.word == KEYWORD][0] - 200, 0)
    heard = test.stream[0, start : start + 500]
    threshold = Listener(tflite).quantize(0.5)
    return wake_word_chips.measure(tflite, heard, threshold, **spotting.DETECTOR)


def main(argv):
    speech = Speech(command.start(argv, load, flags.FLAGS.data_dir))
    MODELS.mkdir(parents=True, exist_ok=True)
    cells = record.Cells(CELLS)
    keras.config.disable_interactive_logging()  # a bar of each training
    detectors, spotters = {name: [] for name in DETECTORS}, {name: [] for name in SPOTTERS}
    # Fold by fold: what was made for one model serves the next.
    todo = [
        (detectors, f"{name}, fold {fold}", detect, fold, name, DETECTORS[name])
        for fold, name in itertools.product(range(FOLDS), DETECTORS)
    ] + [
        (spotters, f"{name}, seed {seed}", spot, seed, name, SPOTTERS[name])
        for seed, name in itertools.product(range(max(SEEDS.values())), SPOTTERS)
        if seed < SEEDS[name]
    ]
    with Progress() as progress:
        bar = progress.add_task("", total=len(todo))
        for found, cell, function, seed, name, settings in todo:
            progress.update(bar, description=cell)
            compute = functools.partial(function, speech, seed, name)
            found[name].append(cells(cell, compute, speech.given, seed, settings))
            progress.advance(bar)
    given = speech.given, DETECTORS["FastGRNN"], spotting.DETECTOR
    on_chips = cells("chips", functools.partial(chips, speech), *given)
    sizes = {
        name: cells(f"{name}, bytes", functools.partial(float_bytes, name), rnn)
        for name, rnn in RNNS.items()
    }

    values = figures(detectors, spotters) | on_chips
    for name, value in values.items():
        goal = " ".join(map(str, TARGETS.get(name, ())))
        print(f"{name:<36} {value} {goal}")
    spotter = as_task(spotters, sizes)
    record.figures("wake_word.json", values | {"spotter": spotter})
    parts = {"streams": streams_table(detectors), "words": words_table(spotters, spotter)}
    record.page(PAGE, parts | {"clips": clips_table(detectors), "figures": figures_table(values)})
    curves = {
        "FastGRNN, float": pooled(detectors["FastGRNN"], "float")[1],
        "FastGRNN, int8, streaming": pooled(detectors["FastGRNN"], "int8")[1],
        "GRU, 32 units, float": pooled(detectors["GRU, 32 units"], "float")[1],
    }
    wake_word.picture(curves, record.ROOT / "docs" / "wake_word.png")


def figures(detectors, spotters):
    """The figures of wake_word.json but for the chips, from the cells of each name."""
    ours, gru, alone = detectors.values()
    f1, gru_f1 = pooled_f1(ours, "int8"), pooled_f1(gru, "float")
    found, _ = pooled(ours, "int8")
    kws12, best_rnn = beside_best_rnn(spotters)
    kws12_unseen, best_rnn_unseen = beside_best_rnn(spotters, UNSEEN)
    kws12_float = mean(spotters["FastGRNN"], "float")
    return {
        "wakeword_bytes": max(sum(c["constants"].values()) for c in ours),
        "wakeword_f1": f1,
        "wakeword_f1_interval": interval(ours, "int8"),
        "wakeword_f1_float": pooled_f1(ours, "float"),
        "gru_f1": gru_f1,
        "wakeword_f1_less_than_gru": gru_f1 - f1,
        "wakeword_f1_unseen": pooled_f1([ours[fold] for fold in UNSEEN], "int8"),
        "gru_f1_unseen": pooled_f1([gru[fold] for fold in UNSEEN], "float"),
        "streaming_trained_f1": found.f1,
        "gru_streaming_f1": pooled(gru, "float")[0].f1,
        "clip_trained_f1": pooled(alone, "int8")[0].f1,
        "streaming_equal": all(c["streaming_equal"] for c in ours),
        "negative_hours": found.negative_hours,
        "kws12_bytes": max(sum(c["constants"].values()) for c in spotters["FastGRNN"]),
        "kws12_accuracy": kws12,
        "kws12_accuracy_float": kws12_float,
        "best_rnn_accuracy": best_rnn,
        "kws12_less_than_best_rnn": best_rnn - kws12,
        "kws12_accuracy_unseen": kws12_unseen,
        "best_rnn_accuracy_unseen": best_rnn_unseen,
        "kws12_int8_loss": kws12_float - kws12,
    }


def beside_best_rnn(spotters, folds=range(FOLDS)):
    """Accuracy of the spotter in int8, and of the better of the largest others in float."""
    ours, *others = (
        [cell for fold in folds for cell in spotters[name][fold::FOLDS]]
        for name in ("FastGRNN", *LARGEST)
    )
    return mean(ours, "int8"), max(mean(cells, "float") for cells in others)


def as_task(spotters, sizes):
    """The spotters as paper.json has a task, for how many times smaller FastGRNN is.

    Args:
        spotters: dict from name to cells, of which seed i is that of the fold `i % FOLDS`.
        sizes: dict from name to `float_bytes()`, of all but FastGRNN.
    """

    ours = paper.tested(
        [
            {
                "test": cell["int8"],
                "bytes": {
                    "constants": sum(cell["constants"].values()),
                    "tflite": cell["tflite"],
                },
            }
            for cell in spotters["FastGRNN"]
        ]
    )
    models = {"FastGRNN": {"kind": "FastGRNN", "forms": {"int8": ours}}} | {
        name: {
            "kind": kind.__name__,
            "units": units,
            "forms": {
                "float": paper.tested(
                    [{"test": cell["float"], "bytes": sizes[name]} for cell in spotters[name]]
                )
            },
        }
        for name, (kind, units) in RNNS.items()
    }
    smallest, largest = paper.size_ratios(models, ours)
    return {
        "score": "accuracy",
        "published": [published._asdict() for published in TASKS["Keywords-12"].published],
        "models": models,
        "equal": LARGEST,
        "budgets": {
            "kws12": {
                "limit": TARGETS["kws12_bytes"][1],
                "model": "FastGRNN",
                "form": "int8",
                "size_ratios": smallest,
                "largest_ratios": largest,
            }
        },
    }


WAYS = {
    "FastGRNN, float": ("FastGRNN", "float"),
    "FastGRNN, int8 in TFLM": ("FastGRNN", "int8"),
    "FastGRNN, int8, trained on clips": ("FastGRNN, trained on clips", "int8"),
    "GRU, 32 units, float": ("GRU, 32 units", "float"),
}


def clips_table(detectors):
    rows = []
    for title, (name, way) in WAYS.items():
        f1, (low, high) = pooled_f1(detectors[name], way), interval(detectors[name], way)
        folds = " ".join(f"{pooled_f1([cell], way):.3f}" for cell in detectors[name])
        rows.append([title, f"{f1:.3f}", f"{low:.3f} to {high:.3f}", folds])
    return record.table(["one clip at a time", "F1", "95 %", "of each fold"], rows)


def streams_table(detectors):
    rows = []
    for title, (name, way) in WAYS.items():
        found, _ = pooled(detectors[name], way)
        missed, alarms = found.false_reject_rate, found.false_accepts_per_hour
        rows.append([title, f"{found.f1:.3f}", f"{missed:.1%}", f"{alarms:.1f}"])
    return record.table(["one long stream", "F1", "missed", "false alarms an hour"], rows)


def words_table(spotters, task):
    """Of the spotters, and of `as_task()` of them, which counts their bytes."""
    rows = []
    for name, cells in spotters.items():
        forms = task["models"][name]["forms"]
        for way in ("float", "int8"):
            if way in cells[0]:
                size = f"{forms[way]['bytes']['constants']:,}" if way in forms else "–"
                each = [mean(cells[fold::FOLDS], way) for fold in range(FOLDS)]
                accuracies = (f"{of:.1%}" for of in (*each, mean(cells, way)))
                rows.append([f"{name}, {way}", size, len(cells), *accuracies])
    folds = [f"fold {fold}" for fold in range(FOLDS)]
    return record.table(["12 classes, accuracy", "bytes", "seeds", *folds, "mean"], rows)


def figures_table(values):
    rows = [
        [
            f"`{name}`",
            f"{values[name]:,.4g}" if values[name] < 100 else f"{values[name]:,.0f}",
            goal,
        ]
        for name, goal in ((name, " ".join(map(str, goal))) for name, goal in TARGETS.items())
    ]
    return record.table(["figure", "reached", "asked"], rows)


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "Of the clips; see speech_commands.load().")
    app.run(main)
