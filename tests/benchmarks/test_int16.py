"""The benchmark of 16-bit activations, on little data and with trainings of one epoch."""

import json
import pathlib
import zipfile

import keras
import numpy as np
import pytest
from tools import require

from benchmarks.int16 import chips, measure, series
from benchmarks.int16.figures import figures
from benchmarks.int16.tasks import TASKS
from benchmarks.pages import int16 as pages
from examples.common.classifier import Data, Split
from keras_fastgrnn import FastGRNN
from tests.boards import TARGETS


def model_and_split(outputs):
    """A model with random weights, and random sequences for it."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    recurrent = FastGRNN(6, kernel_rank=1, nu_initializer=0.0)
    model = keras.Sequential([keras.Input((9, 2)), recurrent, keras.layers.Dense(outputs)])

    def side(n):
        return Data(rng.normal(0, 1, (n, 9, 2)).astype(np.float32), np.arange(n) % 3)

    return model, Split(side(40), side(30), side(50))


def test_regression():
    """Against the float model with the weights of the file, only the rounding of activations
    remains, which is small in int16."""
    model, split = model_and_split(outputs=1)
    data = split.train._replace(y=split.train.y[:, np.newaxis])
    run = measure.regression(model, {"int8": model, "int16": model}, data.x, data)
    assert run["int16"]["difference"] < 0.3 * run["int8"]["difference"]
    assert run["int16"]["difference"] < 0.3 * run["int16"]["weights_alone"]
    assert run["float"]["nrmse"] > 0.5  # the model is not trained
    runs = [run | {f"{dtype}, QAT": run[dtype] for dtype in measure.DTYPES}] * 2
    found = figures({"Mackey-Glass": runs, "electricity": runs})
    ratio = run["int16"]["difference"] / run["int8"]["difference"]
    assert found["regression_error_ratio"] == found["regression_error_ratio_untrained"] == ratio
    assert found["electricity_nrmse_ratio"] == pytest.approx(1, abs=0.05)


def test_classification():
    """The least agreement is over tasks and seeds, and each type has its own."""
    model, split = model_and_split(outputs=3)
    run = measure.classification(model, split.train.x, split, lambda y, logits: len(logits))
    assert {form: values["score"] for form, values in run.items()} == dict.fromkeys(run, 50)
    assert 95 < run["int16"]["agreement"] <= 100
    worse = run | {"int16": run["int16"] | {"agreement": 90.0, "agreement_original": 80.0}}
    found = figures({"HAPT-6": [run], "keywords": [run, worse]})
    assert (found["agreement_int16_min"], found["agreement_int16_original"]) == (90, 80)
    assert found["agreement_int8_min"] == run["int8"]["agreement"]
    assert found["tflite_bytes_int16"] == run["int16"]["tflite_bytes"]


@pytest.mark.test_all
@pytest.mark.parametrize("name", ["wide range", "Mackey-Glass"])
def test_whole_tasks(name):
    """From training to the figures; test_regression covers the same without training."""
    short = {"units": 4, "epochs": 1, "aware_epochs": 1, "batch_size": 20, "run_eagerly": True}
    split = Split(*(Data(side.x[:60, :8], side.y[:60]) for side in TASKS[name].load(None)))
    run = TASKS[name].run(split, 0, TASKS[name].settings | short)
    assert len(figures({name: [run]})) == (1 if name == "wide range" else 3)
    assert json.loads(json.dumps(run, default=float)) == run


def test_mackey_glass():
    """The series solves the equation, by central differences."""
    fine = series.mackey_glass(2000, tau=17, a_step=10)
    assert 0.2 < fine.min() < 0.6 < 1.2 < fine.max() < 1.5
    # A central difference over steps of 1 is off by x''' / 6, at most 0.01.
    now, delayed = fine[18:-1], fine[1:-18]
    slope = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    assert np.abs((fine[19:] - fine[17:-2]) / 2 - slope).max() < 0.02


def test_windows():
    """The target lies `AHEAD` steps after the last input, on the same side."""
    time = np.arange(100.0)
    split = series.windows(time[:90, np.newaxis], time, (50, 70), timesteps=5)
    for side, (start, end) in zip(split, ((0, 50), (50, 70), (70, 90)), strict=True):
        np.testing.assert_array_equal(side.y[:, 0], side.x[:, -1, 0] + series.AHEAD)
        assert side.x[0, 0, 0] == start and side.y[-1, 0] == end - 1
        assert side.x.shape[1:] == (5, 1)


def test_demand(tmp_path):
    """Numbers come from the package's code; the features are known before the target."""
    week = 7 * series.DAY
    numbers = np.arange(20000, 20000 + 12 * week)
    path = tmp_path / "demand.whl"
    with zipfile.ZipFile(path, "w") as archive:
        text = f"x = 1\n    rslt = np.array([{', '.join(map(str, numbers))}]).astype(dtype)\n"
        archive.writestr("pmdarima/datasets/taylor.py", text)
    np.testing.assert_array_equal(series.read_demand(path), numbers)
    split = series.split_demand(numbers.astype(float), timesteps=series.DAY)
    step = split.train.x[0, 1, 0] - split.train.x[0, 0, 0]
    for side in split:
        ahead, since = side.y[:, 0] - side.x[:, -1, 0], side.y[:, 0] - side.x[:, -1, 1]
        # A straight line, in float32 of values up to 4.
        np.testing.assert_allclose(ahead, series.AHEAD * step, atol=1e-4)
        np.testing.assert_allclose(since, week * step, atol=1e-3)


def test_damaged_package(tmp_path):
    path = tmp_path / f"{series.PACKAGE}-{series.VERSION}.whl"
    path.write_bytes(b"cut off")
    with pytest.raises(ValueError, match=f"{path.name} is damaged .*: delete it"):
        series.fetch(pathlib.Path(tmp_path))


@pytest.mark.parametrize("way", [chips.at_run_time, chips.as_c])
def test_a_step_on_a_chip(way):
    """The chip gives the same bytes; a step in int16 costs about as much as in int8."""
    m4 = next(target for target in TARGETS if target.name == "Cortex-M4")
    require(m4.packages, *m4.tools)
    shape = {"units": 8, "features": 3, "kernel_rank": 2, "recurrent_rank": 4}
    counts = [way(m4, shape, dtype) for dtype in chips.DTYPES]
    assert 0.9 < counts[1] / counts[0] < 1.1
    rows = [
        {
            "target": "Cortex-M4",
            **shape,
            "way": "as C",
            "instructions": dict(zip(chips.DTYPES, counts, strict=True)),
        }
    ]
    assert pages.chips({"chips": rows}).count("\n") == 2
