"""Models that hear keywords in streams of speech: their training, their int8, their evaluation."""

from typing import NamedTuple

import keras
import numpy as np

from examples.common import classifier, detection
from examples.common.front_end import FRAMES_PER_SECOND, to_float
from examples.common.speech_commands import CLASSES, SILENCE, Clips
from examples.common.speech_streams import BEFORE, Spoken, in_noise, stream, streams
from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.micro import Interpreter

BATCH_SIZE = 64
SMOOTHING = 3  # frames

# Of the features, the same ones in all of a stream: a few hundred people say the words.
DROPOUT = 0.1

# How much the loss of a further target counts beside that of the first.
AUXILIARY = 0.3


class Sides(NamedTuple):
    """`Clips` of people for training, for validation and for testing."""

    train: Clips
    validation: Clips
    test: Clips


def sides(clips, side, fold):
    """The test is on one side of `folds()`, the validation on the next one."""
    validation = (fold + 1) % (side.max() + 1)
    return Sides(
        clips.take((side != fold) & (side != validation)),
        clips.take(side == validation),
        clips.take(side == fold),
    )


class Examples(NamedTuple):
    """`features (n, frames, 40)` int8, and where the words are in them."""

    features: np.ndarray
    spoken: Spoken


def examples(clips, *, seed, passes, often=(), count, frames):
    """Streams for training, in which every clip comes `passes` times.

    Args:
        clips: `Clips`.
        seed: integer.
        passes: how often each clip is heard, always in another way.
        often: words that come four times as often.
        count, frames: of `streams()`.
    """
    rng = np.random.default_rng(seed)
    noise = clips.audio[clips.word == SILENCE]
    (more,) = np.nonzero(np.isin(clips.word, often))
    clips = clips.take(np.concatenate([np.arange(len(clips.word)), *[more] * 3]))
    made = [streams(clips, noise, rng, count=count, frames=frames) for _ in range(passes)]
    features, spoken = zip(*made, strict=True)
    return Examples(
        np.concatenate(features), Spoken(*map(np.concatenate, zip(*spoken, strict=True)))
    )


def detector_targets(spoken, frames, keyword):
    """What the detector is to say at each frame.

    1 from the keyword's last third, since noise makes its end late, to 0.3 s after it, 0 elsewhere;
    from its start to there, and for 0.15 s behind, it may say what it will.

    Returns:
        `(y, weight)`: float32 `(n, frames, 1)` and `(n, frames)`.
    """
    said = (spoken.word == keyword)[..., np.newaxis]
    start, end = spoken.start[..., np.newaxis], spoken.end[..., np.newaxis]
    t = np.arange(frames)
    y = (said & (t > end - 0.3 * (end - start)) & (t < end + 15)).any(axis=1)
    about = (said & (t >= start - 1) & (t < end + 23)).any(axis=1)
    return y[..., np.newaxis].astype(np.float32), np.where(y, 3, ~about).astype(np.float32)


def spotter_targets(spoken, frames, late=1.0):
    """What the spotter is to say: from a word's end to that of its clip, which word it was.

    Args:
        spoken: `Spoken` of arrays `(n, count)`.
        frames: integer.
        late: float, how much each of a clip's last three frames counts; the others count 1.

    Returns:
        `(y, weight)`: float32 `(n, frames, 12)` and `(n, frames)`.
    """
    t = np.arange(frames)
    y = np.zeros((len(spoken.word), frames, len(CLASSES)), np.float32)
    last = spoken.last[..., np.newaxis]
    until = t < last
    asked = until & (t >= np.minimum(spoken.end[..., np.newaxis] + 1, last - 2))
    for i, name in enumerate(CLASSES):
        is_it = (spoken.word == name)[..., np.newaxis]
        y[..., i] = (is_it & asked).any(axis=1)
    weight = np.where((until & (t >= last - 3)).any(axis=1), late, 1)
    return y, (y.max(axis=2) * weight).astype(np.float32)


def fast_grnn(units, kernel_rank, recurrent_rank):
    return FastGRNN(
        units,
        kernel_rank=kernel_rank,
        recurrent_rank=recurrent_rank,
        return_sequences=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="glorot_uniform",
        nu_initializer=-100.0,  # nu is 0: the state stays below zeta, however long the stream
        dropout=DROPOUT,
    )


def train(layer, features, targets, *, seed, epochs, learning_rate, sparsity=0.0):
    """Trains a recurrent layer and a Dense one to say at each frame what they are to say.

    Args:
        layer: function that makes the recurrent layer, which returns sequences.
        features: int8 `(n, frames, 40)`.
        targets: list of `(y, weight)`, a Dense layer for each. `y` is float32 `(n, frames, 1)`, 0
            or 1, or `(n, frames, classes)`, one-hot; `weight`, float32 `(n, frames)`, is how much
            the frame counts.
        seed, epochs: integers.
        learning_rate: float, the highest one.
        sparsity: float, the fraction of the recurrent layer's weights that is taken away, in the
            paper's three phases.

    Returns:
        The model, which gives the logits of the first target.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None, features.shape[-1]))  # as long as a clip, or as a stream
    recurrent = layer()
    heads = [keras.layers.Dense(y.shape[-1]) for y, _ in targets]
    hidden = recurrent(inputs)
    model = keras.Model(inputs, [head(hidden) for head in heads])
    batches = Batches(features, targets, seed)
    steps = epochs * len(batches)
    model.compile(
        classifier.adam(learning_rate, steps),
        [
            keras.losses.BinaryCrossentropy(from_logits=True)
            if head.units == 1
            else keras.losses.CategoricalCrossentropy(from_logits=True)
            for head in heads
        ],
        loss_weights=[1.0, *[AUXILIARY] * (len(heads) - 1)],
        jit_compile=True,
    )
    callbacks = classifier.callbacks(sparsity, steps)
    model.fit(batches, epochs=epochs, callbacks=callbacks, verbose=0)
    return keras.Sequential([inputs, recurrent, heads[0]])


class Batches(keras.utils.PyDataset):
    """Shuffled batches of equal size: float features, a quarter of the memory in int8.

    In every batch the people have other vocal tracts (N. Jaitly and G. Hinton, Vocal Tract Length
    Perturbation improves speech recognition, ICML 2013 workshop).
    """

    def __init__(self, features, targets, seed):
        super().__init__()
        self._features, self._targets = features, targets
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self._order) // BATCH_SIZE

    def __getitem__(self, index):
        i = self._order[index * BATCH_SIZE :][:BATCH_SIZE]
        x = warp(to_float(self._features[i]), self._rng)
        y, weight = zip(*((y[i], weight[i]) for y, weight in self._targets), strict=True)
        return x, y, weight

    def on_epoch_end(self):
        self._order = self._rng.permutation(len(self._features))


def warp(features, rng):
    """Bands moved up or down, each stream by a factor of its own: `(n, frames, bands)`."""
    n, _, bands = features.shape
    factor, shift = rng.uniform(0.88, 1.12, (n, 1)), rng.uniform(-0.5, 0.5, (n, 1))
    source = np.clip(np.arange(bands) * factor + shift, 0, bands - 1)[:, np.newaxis]
    # Between two bands, by how near they are: (n, bands from, bands to).
    share = np.maximum(1 - np.abs(source - np.arange(bands)[:, np.newaxis]), 0)
    return np.matmul(features, share.astype(np.float32))


def to_int8(model, features):
    """The streaming model as a .tflite file: features of one frame in, logits out, int8 both.

    Args:
        model: what `train()` returned.
        features: int8 `(n, frames, 40)`, of the people for training, for the ranges.
    """
    features = features[:: max(len(features) // 100, 1)].copy()
    features[0, 0], features[0, 1] = -128, 127  # so that the model reads the front end's integers
    return convert(
        model,
        representative_dataset=to_float(features),
        streaming=True,
        reset="never",  # it listens without end
        **classifier.INT8,
    )


def say_float(model, features):
    """Logits of the float model at each frame: `(n, frames, 40)` int8 -> `(n, frames, outputs)`."""
    return classifier.predict(model, to_float(features))


def say_int8(tflite, features):
    """Logits as `say_float()`, of the streaming model in TFLite Micro, reset for each of the n."""
    interpreter = Interpreter(tflite)
    logits = []
    for x in features:
        interpreter.reset()
        logits.append(interpreter.predict(to_float(x)[:, np.newaxis])[:, 0])
    return np.array(logits)


class Test(NamedTuple):
    """What people who did not train are heard to say: each clip in noise, and all as one stream."""

    word: np.ndarray
    speaker: np.ndarray
    clips: np.ndarray
    stream: np.ndarray
    spoken: Spoken


def listen_to(clips, seed=0):
    """`Test` of `Clips`."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(clips.word))
    features, spoken = stream(clips.take(order), clips.audio[clips.word == SILENCE], rng)
    return Test(clips.word, clips.speaker, in_noise(clips, rng), features[np.newaxis], spoken)


def smoothed(logits):
    """The mean of the last `SMOOTHING` logits: `(n, frames, 1)` -> `(n, frames - 2)`."""
    sums = np.cumsum(np.pad(logits[..., 0], ((0, 0), (1, 0))), axis=1)
    return (sums[:, SMOOTHING:] - sums[:, :-SMOOTHING]) / SMOOTHING


def clip_scores(logits):
    """The largest smoothed logit from each clip's start on: `(n, frames, 1)` -> `(n,)`."""
    return smoothed(logits[:, BEFORE:]).max(axis=1)


def f1(said, heard):
    """F1 of two bool arrays."""
    return 2 * np.sum(said & heard) / max(np.sum(said) + np.sum(heard), 1)


def best_threshold(said, scores):
    """The score from which on a clip is to count as the keyword, for the best F1."""
    thresholds = np.unique(scores)
    best = np.argmax([f1(said, scores >= threshold) for threshold in thresholds])
    # Between it and the next lower one: of all that give this F1 the middle.
    return (thresholds[best] + thresholds[max(best - 1, 0)]) / 2


DETECTOR = {"smoothing": SMOOTHING, "refractory": 50}
# Of a logit: probabilities of 0.002 to 0.9975.
THRESHOLDS = np.arange(-6.0, 6.01, 0.25)


class Result(NamedTuple):
    """Of a detector on people for testing: thresholds are chosen on those for validation.

    `heard (n,)` bool, in which clips it hears the keyword; `at` and `found`, from which logit on it
    detects it in the stream, and the `detection.Counts` there; `curve`, those at all `THRESHOLDS`.
    """

    heard: np.ndarray
    at: float
    found: detection.Counts
    curve: list


def evaluate(say, validation, test, keyword):
    """Result of a function from features to logits (`say_float()`, `say_int8()`)."""
    threshold = best_threshold(validation.word == keyword, clip_scores(say(validation.clips)))
    heard = clip_scores(say(test.clips)) >= threshold
    curves = [
        detection.curve(say(side.stream)[0, :, 0], side.spoken, keyword, THRESHOLDS, **DETECTOR)
        for side in (validation, test)
    ]
    f1s = np.array([counts.f1 for counts in curves[0]])
    (best,) = np.nonzero(f1s == f1s.max())
    best = best[len(best) // 2]  # on a small set many are
    return Result(heard, THRESHOLDS[best], curves[1][best], curves[1])


def accuracy(say, test):
    """Of the spotter, by what it says at the end of each clip."""
    last = say(test.clips)[:, BEFORE + FRAMES_PER_SECOND - 1]
    return np.mean(np.array(CLASSES)[last.argmax(axis=-1)] == test.word)


# What the detector hears in training, and, to show what that is good for, clips alone.
STREAMS = {"count": 3, "frames": 160}
ALONE = {"count": 1, "frames": FRAMES_PER_SECOND}


def train_detector(made, keyword, layer=None, *, seed, epochs=8, learning_rate=1e-2):
    """Trains a detector on `Examples`."""
    frames = made.features.shape[1]
    # Which of all the words it was is asked too, of a layer that is then left out.
    targets = detector_targets(made.spoken, frames, keyword), spotter_targets(made.spoken, frames)
    layer = layer or (lambda: fast_grnn(24, 7, 8))
    training = {"seed": seed, "epochs": epochs, "learning_rate": learning_rate}
    return train(layer, made.features, targets, **training)


def train_spotter(made, layer=None, *, seed, epochs=16, learning_rate=1e-2, sparsity=0.5):
    """Trains a spotter on `Examples`."""
    # It is asked at its clip's end, and most words end long before: those frames are few.
    targets = [spotter_targets(made.spoken, made.features.shape[1], late=4.0)]
    # In 5 KB: of Keywords-12 (benchmarks/paper_tasks.py) the best of its candidates in validation.
    layer = layer or (lambda: fast_grnn(80, 16, 24))
    training = {"seed": seed, "epochs": epochs, "learning_rate": learning_rate}
    return train(layer, made.features, targets, sparsity=sparsity, **training)
