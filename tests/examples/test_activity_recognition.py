"""The parts of the example, on data that a few epochs learn."""

import numpy as np
import pytest

from examples import activity_recognition as example
from examples.common import activity, classifier, hapt
from keras_fastgrnn.micro import Interpreter
from keras_fastgrnn.pruning import sparsity

EPOCHS = 9


@pytest.fixture(scope="module")
def data():
    """Constant windows in noise: the direction tells the activity, one of six in a plane."""
    rng = np.random.default_rng(0)
    angles = np.arange(6) * np.pi / 3
    directions = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    y = rng.permutation(1200).astype(np.int32) % 6
    x = directions[y][:, None] + rng.normal(0, 0.2, (1200, 8, 3))
    return classifier.Data(x.astype(np.float32), y)


@pytest.fixture(scope="module")
def trained(data):
    return activity.train(activity.low_rank, data, data, seed=0, epochs=EPOCHS, sparse=True)


def test_training(data, trained):
    model, history = trained
    assert set(sparsity(model).values()) == {0.5}
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ("accuracy", "loss", "val_accuracy", "val_loss"), EPOCHS
    )
    assert (
        classifier.accuracy(classifier.confusion(data.y, classifier.predict(model, data.x))) > 0.9
    )


def test_int8(data, trained):
    model, _ = trained
    tflite = classifier.to_int8(model, data)
    expected, logits = classifier.predict(model, data.x), Interpreter(tflite).predict(data.x)
    assert np.mean(expected.argmax(axis=-1) == logits.argmax(axis=-1)) > 0.95
    weights, n_bytes = classifier.int8_weights(tflite)
    float_weights = model.get_weights()
    assert sum(w.size for w in weights) == sum(w.size for w in float_weights)
    nonzero = sum(np.count_nonzero(w) for w in float_weights)
    # Rounding makes some weights zero, and none nonzero.
    assert 0.9 * nonzero <= sum(np.count_nonzero(w) for w in weights) <= nonzero
    assert nonzero < n_bytes < len(tflite)
    assert len(tflite) < len(classifier.to_float(model)) / 4


def test_scores():
    counts = classifier.confusion(np.array([0, 0, 1, 1, 2]), np.eye(6)[[0, 1, 1, 1, 0]])
    assert counts.shape == (6, 6)
    np.testing.assert_array_equal(counts[:3, :3], [[1, 1, 0], [0, 2, 0], [1, 0, 0]])
    assert classifier.accuracy(counts) == 3 / 5
    # 2 hits / (windows + taken for it): 2/4, 4/5, 0/1, and 0 for the three that never come.
    assert classifier.macro_f1(counts) == pytest.approx((2 / 4 + 4 / 5 + 0) / 6)


def test_people_are_in_one_group_each(monkeypatch):
    users = np.repeat(np.arange(1, 31), 2)
    windows = np.zeros((60, 128, 3)), users, users  # the label tells the person
    monkeypatch.setattr(hapt, "load", lambda data_dir, sensors: windows)
    train, validation, test = (set(group.y) for group in activity.load())
    assert (len(train), len(validation), len(test)) == (17, 4, 9)
    assert not (train & validation or train & test or validation & test)
    assert test == set(range(22, 31))


def test_picture(tmp_path, trained):
    path = tmp_path / "picture.png"
    example.picture(trained[1], np.full((6, 6), 7), path)
    assert path.read_bytes().startswith(b"\x89PNG")
