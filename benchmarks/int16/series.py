"""Data for which int8 activations are too coarse: generated, and a real series from PyPI."""

import pathlib
import re
import zipfile

import numpy as np

from examples.common import pypi
from examples.common.classifier import Data, Split

AHEAD = 6  # steps from the last input to the target

# J. W. Taylor, Short-term electricity demand forecasting using double seasonal exponential
# smoothing, Journal of the Operational Research Society 54, 2003. The numbers are in the
# code of the package, which is read and not run.
PACKAGE, VERSION = "pmdarima", "2.1.1"
SHA256 = "e8148ff1f4cdb9a07164247eb3e6dddc1baef6e226d38528bd3fdf5d160f8dee"
PLATFORM = "manylinux_2_28_x86_64"  # of the file, whatever the machine
DAY = 48  # half hours


def wide_range(seed=0, timesteps=20):
    """Two classes that differ in one of three features, whose values lie within 1 % of the range of
    the others: `Split` with sequences of raw values in -1..1."""
    rng = np.random.default_rng(seed)

    def side(n):
        y = rng.integers(0, 2, n, np.int32)
        x = rng.normal(0, 0.3, (n, timesteps, 3))
        x[..., 0] = rng.normal(0, 0.002, (n, timesteps)) + 0.0008 * (2 * y - 1)[:, np.newaxis]
        limits = np.array([0.01, 1, 1])
        return Data(np.clip(x, -limits, limits).astype(np.float32), y)

    return Split(*map(side, (4000, 1000, 4000)))


def mackey_glass(steps, tau=17, a_step=10):
    """Solves x' = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x by the Runge-Kutta method, in
    `a_step` parts of a step; the first 500 steps are left out: `(steps,)`."""
    h, delay = 1 / a_step, tau * a_step
    x = np.full(delay + 1 + (500 + steps) * a_step, 1.2)
    for i in range(delay, len(x) - 1):
        before, after = x[i - delay], x[i - delay + 1]

        def slope(value, delayed):
            return 0.2 * delayed / (1 + delayed**10) - 0.1 * value

        k1 = slope(x[i], before)
        k2 = slope(x[i] + h * k1 / 2, (before + after) / 2)
        k3 = slope(x[i] + h * k2 / 2, (before + after) / 2)
        k4 = slope(x[i] + h * k3, after)
        x[i + 1] = x[i] + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
    return x[delay + 500 * a_step :: a_step][:steps]


def generated(timesteps=32):
    """`Split` of 6,000 steps of `mackey_glass()`: the first 4,000 for training."""
    series = mackey_glass(6000)
    series = (series - series[:4000].mean()) / series[:4000].std()
    return windows(series[:, np.newaxis], series, (4000, 5000), timesteps)


def demand(cache_dir="build", timesteps=DAY):
    """Half-hourly demand of electricity in England and Wales, twelve weeks of the year 2000. The
    features are the demand of a day, and the demand one week before the target. The first eight
    weeks are for training, the last two for testing."""
    return split_demand(read_demand(fetch(pathlib.Path(cache_dir))), timesteps)


def split_demand(series, timesteps):
    """The `Split` of `demand()`, from more than nine weeks of half-hourly numbers."""
    train = series[: 8 * 7 * DAY]
    series = (series - train.mean()) / train.std()
    week = 7 * DAY
    x = np.stack([series[week:-AHEAD], series[AHEAD : len(series) - week]], axis=1)
    return windows(x, series[week:], (7 * week, 9 * week), timesteps)


def windows(x, y, ends, timesteps):
    """Cuts x into windows, each with the y that comes `AHEAD` steps after its last step.

    Args:
        x: `(n, features)`.
        y: `(n,)` or longer.
        ends: the ends of the steps for training, and of those for validation.

    Returns:
        `Split`; no step of x is on two sides.
    """

    def side(start, end):
        cut = np.lib.stride_tricks.sliding_window_view(x[start:end], timesteps, axis=0)
        last = np.arange(start, end)[timesteps - 1 :]
        known = last + AHEAD < min(len(y), end)
        x_side = cut.swapaxes(1, 2)[known].astype(np.float32)
        return Data(x_side, y[last[known] + AHEAD, np.newaxis].astype(np.float32))

    edges = 0, *ends, len(x)
    return Split(*map(side, edges[:-1], edges[1:]))


def fetch(cache_dir):
    """Path of the package's file, downloaded unless it is in `cache_dir`."""
    path = cache_dir / f"{PACKAGE}-{VERSION}.whl"
    return pypi.fetch(
        path,
        PACKAGE,
        VERSION,
        SHA256,
        *("--only-binary", ":all:", "--platform", PLATFORM, "--python-version", "311"),
        instead=f"its file for CPython 3.11 and {PLATFORM} from PyPI at {path}",
    )


def read_demand(path):
    """The numbers of `taylor.py`, megawatts: `(4032,)`."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read(f"{PACKAGE}/datasets/taylor.py").decode()
    _, _, code = text.partition("rslt = np.array([")
    numbers, _, _ = code.partition("]")
    return np.array(re.findall(r"\d+", numbers), np.float64)
