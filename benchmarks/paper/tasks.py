"""The tasks of the paper's claim: their data, and the figures that others published on them.

A task of your own is one file in the folder of the data, `<name>.npz`, with the arrays `x_train`,
`x_validation` and `x_test`, float32 `(n, timesteps, features)`, and `y_train`, `y_validation` and
`y_test`, integers from 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from absl import app, flags
from scipy.spatial.transform import Rotation

from benchmarks.paper import google12
from benchmarks.paper.models import KINDS
from examples.common import activity, hapt
from examples.common.activity import TRAINING
from examples.common.classifier import Data, Split

_TASKS = flags.DEFINE_list("tasks", None, "Names of tasks; all by default.")


class Published(NamedTuple):
    """A figure of somebody else, in percent, and the size of the model."""

    who: str
    score: float
    size: str


class Task(NamedTuple):
    """Attributes:
    load: function from the data's folder to `Split`; a ValueError if the data is missing. In the
        tasks of benchmarks/paper/search.py it takes a fold too, for other people in validation.
    units, ranks: of the FastGRNN whose stages are shown; a rank of 0 is the full one.
    sizes: tuple, units of further GRUs and LSTMs, and of FastGRNNs if the task is swept.
    candidates: tuple of `(units, kernel_rank, recurrent_rank, sparsity)`, of FastGRNNs.
    budgets: dict from the key of a figure to the most bytes of constants. The FastGRNN for it is
        chosen in validation.
    training: arguments of `classifier.train()`.
    score: "macro-F1" or "accuracy".
    augment: function from the `Data` for training and a seed to augmented `Data`, or to a
        `PyDataset` for `classifier.train()`; or `None`.
    published: list of `Published`.
    own: dict from the kind of a layer to the arguments of its own training.
    clip: the fraction of the inputs that saturates at either end in int8.
    kinds: tuple, the layers of the same size to show.
    also: dict from a name to the `load` of one more `Data` to test on.
    seeds: integer, the most seeds of a model.
    swept: boolean. Whether to vary the units, the rank and the sparsity of the FastGRNN.
    """

    load: Callable
    units: int
    ranks: tuple
    sizes: tuple
    candidates: tuple
    budgets: dict
    training: dict
    score: str = "accuracy"
    published: tuple = ()
    augment: Callable | None = None
    own: dict = {}  # noqa: RUF012, nobody writes into it
    clip: float = 0.0
    kinds: tuple = tuple(KINDS)
    also: dict = {}  # noqa: RUF012
    seeds: int = 5
    swept: bool = True

    def examples(self, split, seed):
        """What `classifier.train()` takes."""
        return self.augment(split.train, seed) if self.augment else split.train

    def training_of(self, kind):
        """Arguments of `classifier.train()` for a layer."""
        return self.training | self.own.get(kind, {})


def load_hapt(sensors, merge=None, together=2):
    """Makes a `load` of windows of 2.56 s of HAPT. A step has `together` samples. The activities in
    `merge` become class 0 of two."""

    def load(folder, fold=0):
        split = activity.load(hapt.raw_data(folder), sensors, fold)
        merged = [hapt.ACTIVITIES.index(name) for name in merge or ()]

        def side(x, y):
            x = x.reshape(len(x), hapt.TIMESTEPS // together, -1)
            return Data(x, (~np.isin(y, merged)).astype(y.dtype) if merge else y)

        return Split(*(side(*data) for data in split))

    return load


def with_copies(data, seed, copies, vary):
    """`Data` with all copies of each sequence: the original, the others from `vary(x, rng)`."""
    rng = np.random.default_rng(seed)
    x = [data.x, *(vary(data.x, rng) for _ in range(copies - 1))]
    return Data(np.concatenate(x), np.tile(data.y, copies))


def rotated(data, seed, copies=6, degrees=30):
    """Adds copies of the windows in which the phone is turned about any axis."""

    def turn(x, rng):
        axes = rng.normal(size=(len(x), 3))
        angles = np.radians(rng.uniform(0, degrees, len(x)))
        axes *= (angles / np.linalg.norm(axes, axis=1))[:, np.newaxis]
        turns = Rotation.from_rotvec(axes).as_matrix().astype(np.float32)
        return (x.reshape(len(x), -1, 3) @ turns).reshape(x.shape)

    return with_copies(data, seed, copies, turn)


def load_usps(folder, fold=0):
    """16 rows of 16 pixels; a tenth of the training set is for validation."""
    path = folder / "usps10.npz"
    if not path.is_file():
        raise ValueError(f"No usps10.npz in {str(folder)!r}: x and y of USPS, train and test.")
    with np.load(path) as data:
        x, y = data["x_train"], data["y_train"].astype(np.int32)
        test = Data(data["x_test"], data["y_test"].astype(np.int32))
    validation = np.random.default_rng(fold).permutation(len(x)) < len(x) // 10
    return Split(Data(x[~validation], y[~validation]), Data(x[validation], y[validation]), test)


def shifted(data, seed, copies=10):
    """Adds copies of the images that are moved by at most a pixel."""
    padded = np.pad(data.x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = np.lib.stride_tricks.sliding_window_view(padded, data.x.shape[1:], axis=(1, 2))

    def move(x, rng):
        return moved[np.arange(len(x)), *rng.integers(0, 3, (2, len(x)))]

    return with_copies(data, seed, copies, move)


def load_file(path):
    """The `Split` of a task of your own; the top of this file has its format."""
    arrays = [(f"x_{side}", f"y_{side}") for side in Split._fields]
    with np.load(path) as data:
        missing = [name for pair in arrays for name in pair if name not in data]
        if missing:
            raise ValueError(f"{path} has no {', '.join(missing)}.")
        return Split(*(Data(data[x].astype(np.float32), data[y]) for x, y in arrays))


# One of the two classes of the paper's HAR-2.
HAPT_2 = "sitting", "laying", "upstairs"
# The learning rate of layers for which another one is better in validation (search.py).
HAPT_OWN = dict.fromkeys(("GRU", "SimpleRNN"), {"learning_rate": 1e-2})
PEER = "emre1998/fastgrnn-har"
TASKS = {
    "HAPT-6 accelerometer": Task(
        load=load_hapt(("acc",)),
        score="macro-F1",
        units=16,
        ranks=(2, 8),
        sizes=(4, 8, 11),
        candidates=(
            # For 600 bytes, and for 400.
            *((24, 2, 8, 0.6), (20, 3, 8, 0.5), (20, 2, 6, 0.0)),
            *((16, 2, 8, 0.65), (14, 2, 6, 0.5), (14, 2, 4, 0.0), (16, 2, 2, 0.0)),
        ),
        budgets={"hapt6": 600, "hapt6_small": 400},
        training=TRAINING,
        own=HAPT_OWN,
        published=(
            Published(f"{PEER}, mean of 5 seeds", 85.3, "566 bytes"),
            Published(f"{PEER}, best of 5 on the test set", 91.8, "566 bytes"),
        ),
    ),
    "HAPT-6": Task(
        load=load_hapt(hapt.SENSORS),
        score="macro-F1",
        units=16,
        ranks=(4, 8),
        sizes=(4, 8, 12),
        candidates=((24, 4, 8, 0.5), (32, 4, 12, 0.6)),
        budgets={"hapt6_both": 1024},
        training=TRAINING,
        own=HAPT_OWN,
    ),
    "HAPT-2": Task(
        load=load_hapt(hapt.SENSORS, HAPT_2, together=4),
        units=32,
        ranks=(8, 16),
        sizes=(4, 8, 12, 16),
        candidates=((48, 8, 20, 0.0), (48, 0, 0, 0.5), (64, 8, 24, 0.6), (32, 8, 8, 0.5)),
        budgets={"hapt2": 3072, "hapt2_small": 1024},
        # Jerks are rare, and far larger than the gravity that shows how the phone is worn: with
        # their whole range, int8 loses half a point.
        clip=0.001,
        # The orientation of the phone tells sitting from standing, and few people wear it:
        # rotation varies the orientation.
        training=TRAINING | {"epochs": 12, "learning_rate": 1e-2},
        own={
            "FastRNN": {"learning_rate": 0.02},
            "GRU": {"learning_rate": 0.005},
            "SimpleRNN": {"learning_rate": 0.005},
        },
        augment=rotated,
        published=(
            Published("paper, FastGRNN", 95.59, "3 KB"),
            Published("paper, GRU", 93.62, "71 KB"),
            Published("paper, LSTM", 93.65, "74 KB"),
        ),
    ),
    "USPS-10": Task(
        load=load_usps,
        units=32,
        ranks=(8, 16),
        sizes=(8, 16),
        candidates=(
            *((32, 0, 0, 0.5), (40, 0, 0, 0.6), (32, 8, 16, 0.0)),
            *((32, 8, 8, 0.6), (24, 0, 0, 0.55)),
        ),
        budgets={"usps": 2048, "usps_small": 1024},
        training=TRAINING | {"epochs": 15},
        own={
            "GRU": {"learning_rate": 0.005},
            "LSTM": {"learning_rate": 0.01},
            "SimpleRNN": {"learning_rate": 0.005},
        },
        augment=shifted,
        published=(
            Published("EdgeML, last epoch", 93.72, "7.5 KB"),
            Published("EdgeML, best epoch on the test set", 94.07, "7.5 KB"),
        ),
    ),
    "Google-12": Task(
        load=google12.load,
        also={"audio": google12.sound_of_test},
        units=64,
        kinds=("FastRNN", "FastGRNN", "GRU", "LSTM"),
        ranks=(12, 16),
        sizes=(32,),
        swept=False,
        seeds=3,
        candidates=((72, 14, 18, 0.0), (17, 7, 6, 0.0)),
        budgets={"google12": 5632, "google12_small": 1024},
        training={
            "epochs": 24,
            "batch_size": google12.BATCH_SIZE,
            "learning_rate": 2e-2,
            "label_smoothing": 0.1,
        },
        own=dict.fromkeys(("FastRNN", "GRU", "LSTM"), {"learning_rate": 5e-3}),
        augment=google12.Epochs,
        published=(
            Published("paper, FastGRNN", 92.10, "5.5 KB"),
            Published("paper, GRU", 93.15, "248 KB"),
            Published("paper, LSTM", 92.30, "212 KB"),
        ),
    ),
}


def tasks(folder):
    """Dict from name to `Task`: `TASKS`, and one for each further .npz file of the folder."""
    known = {google12.SOUND, google12.IMAGES, "usps10.npz", "fsdd.npz"}
    own = {
        path.stem: Task(
            load=lambda _, path=path: load_file(path),
            units=16,
            ranks=(0, 8),
            sizes=(4, 8),
            candidates=(),
            budgets={path.stem: 1024},
            training=TRAINING,
        )
        for path in sorted(folder.glob("*.npz"))
        if path.name not in known
    }
    return TASKS | own


def chosen(known):
    """The entries of a dict that --tasks names, by default all."""
    names = _TASKS.value or list(known)
    if unknown := set(names) - set(known):
        raise app.UsageError(f"--tasks: {', '.join(unknown)}; there are {', '.join(known)}.")
    return {name: known[name] for name in names}
