"""The tasks of the benchmark: their data, their models, and the measurements of a seed."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from benchmarks.int16 import measure, series
from benchmarks.paper import models
from benchmarks.paper.models import Model
from benchmarks.paper.tasks import TASKS as PAPER
from examples.common import activity, classifier, hapt, training
from keras_fastgrnn import FastGRNN


class Task(NamedTuple):
    """Attributes:
    load: function from the data's folder to `Split`.
    run: function from the `Split`, a seed and `settings` to a dict of measurements.
    settings: dict, of the model and its training.
    """

    load: Callable
    run: Callable
    settings: dict


FIT = "epochs", "batch_size", "learning_rate", "run_eagerly"


def fit(layers, loss, train, seed, settings):
    """A trained model of the layers that `layers()` makes."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(train.x.shape[1:]), *layers()])
    arguments = {name: settings[name] for name in FIT if name in settings}
    training.fit(model, train.x, train.y, loss=loss, **arguments)
    return model


def wide_range(split, seed, settings):
    """Raw numbers of a sensor go in, as int8 or as int16; the model normalises them first."""

    def layers():
        normalization = keras.layers.Normalization()
        normalization.adapt(split.train.x)
        return normalization, FastGRNN(settings["units"]), keras.layers.Dense(2)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fit(layers, loss, split.train, seed, settings)
    samples = classifier.representative(split.train)

    def score(logits):
        return {"score": np.mean(logits.argmax(axis=-1) == split.test.y)}

    return {"float": score(classifier.predict(model, split.test.x))} | {
        dtype: score(measure.run(measure.to_integers(model, samples, dtype), split.test.x))
        for dtype in measure.DTYPES
    }


def regression(split, seed, settings):
    """Measures float, and integers before and after quantisation-aware training."""

    def layers():
        recurrent = FastGRNN(settings["units"], nu_initializer=activity.NU, **training.GLOROT)
        return recurrent, keras.layers.Dense(1)

    model = fit(layers, "mse", split.train, seed, settings)
    # Values beyond the ranges saturate, and 200 windows would lack the extremes. Windows overlap:
    # every fourth has them.
    samples = split.train.x[::4]
    trained = dict.fromkeys(measure.DTYPES, model)
    for dtype in measure.DTYPES:
        trained[f"{dtype}, QAT"] = classifier.train_aware(
            model,
            split.train,
            seed=seed,
            epochs=settings["aware_epochs"],
            batch_size=settings["batch_size"],
            learning_rate=settings["aware_learning_rate"],
            run_eagerly=settings.get("run_eagerly", False),
            representative_dataset=samples,
            activations=dtype,
        )
    values = measure.regression(model, trained, samples, split.test)
    error = classifier.predict(model, split.validation.x) - split.validation.y
    values["float"]["validation"] = measure.rms(error) / np.std(split.validation.y)
    return values


def hapt_6(split, seed, settings):
    """The model of examples/activity_recognition.py."""
    model, _ = activity.train(
        activity.low_rank, split.train, split.validation, seed=seed, **settings
    )
    samples = classifier.representative(split.train)
    return measure.classification(model, samples, split, classifier.f1)


def paper_task(name):
    """`run` of a task of benchmarks/paper: one of its models, on inputs that are not clipped."""

    def run(split, seed, settings):
        task = PAPER[name]._replace(training=settings["training"])
        model = models.train(task, split, Model(*settings["model"]), seed)
        samples = classifier.representative(split.train)
        return measure.classification(model, samples, split, _accuracy)

    return run


def _accuracy(y, logits):
    return classifier.accuracy(classifier.confusion(y, logits))


TRAINING = {"batch_size": 100, "learning_rate": 2e-2}
AWARE = {"aware_epochs": 12, "aware_learning_rate": 1e-3}
TASKS = {
    "wide range": Task(
        lambda _: series.wide_range(), wide_range, {"units": 8, "epochs": 10} | TRAINING
    ),
    "Mackey-Glass": Task(
        lambda _: series.generated(), regression, {"units": 32, "epochs": 60} | TRAINING | AWARE
    ),
    "HAPT-6": Task(
        lambda folder: activity.load(hapt.raw_data(folder)),
        hapt_6,
        activity.TRAINING | {"sparse": True},
    ),
    "electricity": Task(
        lambda _: series.demand(), regression, {"units": 16, "epochs": 60} | TRAINING | AWARE
    ),
    "HAPT-2": Task(
        PAPER["HAPT-2"].load,
        paper_task("HAPT-2"),
        {"model": ("FastGRNN", 32, 8, 8, 0.5), "training": PAPER["HAPT-2"].training},
    ),
    "keywords": Task(
        PAPER["Google-12"].load,
        paper_task("Google-12"),
        {
            "model": ("FastGRNN", 72, 14, 18),
            "training": PAPER["Google-12"].training | {"epochs": 10},
        },
    ),
}
