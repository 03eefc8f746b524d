"""The benchmark of the paper's claim, on a synthetic task."""

import contextlib
import io
import json
import types

import keras
import numpy as np
import pytest
from absl import app
from tools import TEST_ALL

from benchmarks import record
from benchmarks.paper import __main__ as command
from benchmarks.paper import plan as plan_module
from benchmarks.paper import scores, search, tasks
from benchmarks.paper.models import Model, paper_bytes
from benchmarks.paper.plan import PRESETS, plan
from examples.common import classifier
from examples.common import data as data_module
from examples.common.classifier import Data


def own_task(folder):
    """Sequences that rise, fall or stay: a task of the kind that a user adds."""
    rng = np.random.default_rng(0)
    arrays = {}
    for side in ("train", "validation", "test"):
        y = rng.integers(0, 3, 120)
        slope = (y - 1)[:, np.newaxis, np.newaxis] * np.linspace(-1, 1, 8)[:, np.newaxis]
        arrays |= {f"x_{side}": slope + rng.normal(0, 0.2, (120, 8, 2)), f"y_{side}": y}
    np.savez(folder / "slopes.npz", **arrays)


# Each kind takes the same steps: `make test-all` trains them all.
KINDS = {
    kind: layer
    for kind, layer in plan_module.KINDS.items()
    if TEST_ALL or kind in ("FastGRNN", "LSTM")
}


def run(data_dir, results_dir, *names):
    """Runs the command on tasks, in this process, which has imported TensorFlow. Returns what the
    command prints."""

    def flag(value):
        return types.SimpleNamespace(value=value)

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(command, "_PRESET", flag("small"))
        patch.setattr(tasks, "_TASKS", flag(names))
        patch.setattr(data_module, "DATA_DIR", flag(data_dir))
        patch.setattr(record, "_RESULTS_DIR", flag(results_dir))
        patch.setattr(plan_module, "KINDS", KINDS)
        command.main()
    keras.config.enable_interactive_logging()  # the command disables it
    return printed.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders of data and of results, and what the command printed."""
    data, output = (tmp_path_factory.mktemp(name) for name in ("data", "results"))
    own_task(data)
    return data, output, run(data, output, "slopes", "USPS-10", "Google-12")


def test_small_preset(made):
    _, output, printed = made
    report = json.loads((output / "paper.json").read_text())
    assert list(report["tasks"]) == ["slopes"] and report["preset"] == "small"
    task = report["tasks"]["slopes"]
    for name in task["equal"] + task["stages"]:
        assert len(task["models"][name]["forms"]["float"]["test"]) == 1
    last = task["models"][task["stages"][-1]]
    assert list(last["forms"]) == ["float", "int8", "int8, QAT"]
    assert (
        last["forms"]["int8"]["bytes"]["constants"] < last["forms"]["float"]["bytes"]["constants"]
    )
    final = task["budgets"]["slopes"]["final"]
    assert report["slopes_accuracy_mean"] == final["mean"] == np.mean(final["test"])
    # Tasks without data are left out, with a line each.
    left_out = [line for line in printed.splitlines() if "is left out" in line]
    assert [line.split()[0] for line in left_out] == ["USPS-10", "Google-12"]


def test_goes_on_where_it_was_stopped(made):
    """Kept results are not computed again; a missing one is."""
    data, output, _ = made
    path = output / "paper" / "slopes.json"
    before = record.read(path)
    name, lost = next(iter(before.items()))
    record.write(path, {cell: values for cell, values in before.items() if cell != name})
    run(data, output, "slopes")
    after = record.read(path)
    assert list(after)[-1] == name and after.keys() == before.keys()
    assert after[name] == lost  # the seed determines the result
    assert all(after[cell] == before[cell] for cell in after if cell != name)


def test_unknown_task(monkeypatch):
    monkeypatch.setattr(tasks, "_TASKS", types.SimpleNamespace(value=["HAPT-7"]))
    with pytest.raises(app.UsageError, match="HAPT-7; there are HAPT-6"):
        tasks.chosen(tasks.TASKS)


def models(**forms):
    """As in paper.json: from name to `(validation, test, bytes)` of an int8 FastGRNN."""
    return {
        name: {
            "kind": "FastGRNN",
            "forms": {
                "int8": {
                    "validation": validation,
                    "mean": test,
                    "test": [test] * 5,
                    "bytes": {"constants": constants, "tflite": 2000},
                }
            },
        }
        for name, (validation, test, constants) in forms.items()
    }


def test_chosen_on_validation_and_within_the_budget():
    known = models(good=(0.9, 0.8, 500), lucky=(0.8, 0.99, 500), large=(0.99, 0.99, 601))
    assert scores.choose(known, 600, 5) == ("good", "int8")
    assert scores.choose(known, 499, 5) is None
    assert scores.choose(known, 600, 6) is None  # needs one more seed


def test_size_ratios():
    known = models(ours=(0.9, 0.9, 500))
    sizes = {"constants": 5000, "tflite": 8000}
    for name, kind, mean, size in (
        ("GRU 8", "GRU", 0.8951, sizes),
        ("GRU 4", "GRU", 0.8949, {"constants": 9, "tflite": 9}),  # more than half a point worse
        ("LSTM 8", "LSTM", 0.95, {"constants": 4000, "tflite": 9000, "int8": 1000}),
    ):
        known[name] = {"kind": kind, "forms": {"float": {"mean": mean, "bytes": size}}}
    ours = known["ours"]["forms"]["int8"]
    smallest, largest = scores.size_ratios(known, ours).values()
    assert smallest == {"float32": 8, "int8 LSTM": 2, "GRU file": 4}
    assert largest == {"float32": 10, "int8 LSTM": 2, "GRU file": 4}
    for name in "GRU 8", "LSTM 8":
        known[name]["forms"]["float"]["mean"] = 0.89
    none, same = scores.size_ratios(known, ours).values()
    assert (none, same) == (dict.fromkeys(smallest), largest)


def test_no_model_twice():
    for task in tasks.TASKS.values():
        for preset in PRESETS.values():
            planned = plan(task, preset)
            seeds = planned.seeds(preset)
            assert len({str(model) for model in seeds}) == len(seeds)
            assert all(seeds[model] == preset.seeds for model in planned.candidates)


def test_a_variant_differs_in_what_it_names_alone():
    for name, variants in search.VARIANTS.items():
        task = tasks.TASKS[name]
        last = plan(task, PRESETS["full"]).stages[-1]
        for changes in variants.values():
            varied, model = search.varied(task, **changes)
            kind = changes.get("kind")
            assert model == (Model(kind, task.units) if kind else last)
            assert varied != task
            assert varied.training.keys() == task.training.keys()
            kept = {"load": task.load, "augment": task.augment, "own": task.own}
            assert varied._replace(training={}, **kept) == task._replace(training={})


def test_each_layer_has_its_own_training():
    task = tasks.TASKS["USPS-10"]._replace(own={"GRU": {"learning_rate": 1e-3}})
    assert task.training_of("GRU") == task.training | {"learning_rate": 1e-3}
    assert task.training_of("LSTM") == task.training


def test_bytes_as_the_paper_counts():
    dense, sparse = np.ones((4, 4)), np.eye(4)
    assert paper_bytes(dense, width=1) == 16
    assert paper_bytes(sparse, width=4) == 4 * 8


def test_samples_for_the_ranges_are_cut_off_at_both_ends():
    x = np.arange(4000, dtype=np.float32).reshape(400, 10, 1)
    whole = classifier.representative(Data(x, None))
    np.testing.assert_array_equal(whole, x[::2])
    cut = classifier.representative(Data(x, None), clip=0.1)
    assert cut.dtype == np.float32 and cut.shape == whole.shape
    assert (np.mean(cut == cut.min()), np.mean(cut == cut.max())) == pytest.approx((0.1, 0.1))
    inside = (cut > cut.min()) & (cut < cut.max())
    np.testing.assert_array_equal(cut[inside], whole[inside])


def test_shifted():
    """Each copy is the image moved by a pixel at most, its edge repeated."""
    image = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4)
    moved = tasks.shifted(Data(image, np.array([7])), seed=0, copies=50)
    assert moved.x.shape == (50, 4, 4) and set(moved.y) == {7}
    np.testing.assert_array_equal(moved.x[0], image[0])
    middles = {tuple(x[1:3, 1:3].ravel()) for x in moved.x}
    assert len(middles) == 9 and (0, 1, 4, 5) in middles and (10, 11, 14, 15) in middles


def test_rotated():
    """Each copy is a window whose two sensors are turned alike, by 30 degrees at most."""
    x = np.random.default_rng(0).normal(size=(20, 4, 12)).astype(np.float32)
    turned = tasks.rotated(Data(x, np.arange(20)), seed=0, copies=3)
    np.testing.assert_array_equal(turned.x[:20], x)
    np.testing.assert_array_equal(turned.y, np.tile(np.arange(20), 3))
    angles = []
    for before, after in zip(np.tile(x, (3, 1, 1))[20:], turned.x[20:], strict=True):
        before, after = before.reshape(-1, 3), after.reshape(-1, 3)
        turn, *_ = np.linalg.lstsq(before, after, rcond=None)
        # float32 rounds each product of three.
        np.testing.assert_allclose(before @ turn, after, atol=1e-5)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(turn) > 0
        angles.append(np.degrees(np.arccos((np.trace(turn) - 1) / 2)))
    assert max(angles) <= 30.01 and min(angles) < 10 < 20 < max(angles)


def test_own_file_that_lacks_an_array(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.zeros((1, 2, 3)), y_train=np.zeros(1))
    task = tasks.tasks(tmp_path)["mine"]
    with pytest.raises(ValueError, match="mine.npz has no x_validation, y_validation, x_test"):
        task.load(tmp_path)


def test_model_text():
    assert str(Model("GRU", 8)) == "GRU 8"
    assert str(Model("FastGRNN", 16, 2, 0, 0.5)) == "FastGRNN 16, ranks 2/full, 50% zero"
