"""Threads, forks, and many conversions and interpreters in one process."""

import concurrent.futures
import gc
import os

import keras
import numpy as np
import pytest
from random_cells import Shape, integer_cell
from tflite_models import fastgrnn_model
from tools import TEST_ALL

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import convert
from keras_fastgrnn.export.cell import blocks as options
from keras_fastgrnn.export.cell import reference
from keras_fastgrnn.micro import Interpreter

CELL = integer_cell(Shape())[0]  # 16 units, 3 features
X = np.random.default_rng(0).integers(-128, 128, (40, 20, 3), np.int8)


@pytest.fixture(scope="module")
def model():
    return fastgrnn_model(options.pack(CELL), timesteps=20)


@pytest.fixture(scope="module")
def expected():
    return reference.run(CELL, X)[0]


def invoke(model):
    interpreter = Interpreter(model)
    return np.concatenate([interpreter.invoke(x[None]) for x in X])


def test_an_interpreter_in_each_thread(model, expected):
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for y in threads.map(invoke, [model] * 12):
            np.testing.assert_array_equal(y, expected)


# Python 3.12 warns of every fork beside threads, as TensorFlow has; the child runs none of them.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forked_processes(model, expected):
    used = Interpreter(model)
    used.invoke(X[:1])
    reads = []
    for _ in range(3):
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            y = np.concatenate([invoke(model), used.invoke(X[-1:])])
            os.write(write, y.tobytes())
            os._exit(0)
        os.close(write)
        reads.append((child, read))
    for child, read in reads:
        with open(read, "rb") as pipe:
            y = np.frombuffer(pipe.read(), np.int8).reshape(41, -1)
        assert os.waitpid(child, 0) == (child, 0)
        np.testing.assert_array_equal(y, np.concatenate([expected, expected[-1:]]))


def megabytes():
    """The memory that the process holds."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(action, count):
    """The megabytes that each of `count` actions leaves behind, after a few to fill caches."""
    for _ in range(count // 4):
        action()
    before = megabytes()
    for _ in range(count):
        action()
    return (megabytes() - before) / count


def test_conversions_leave_nothing_behind():
    x = np.random.default_rng(0).normal(size=(20, 12, 3)).astype("float32")
    model = keras.Sequential([keras.Input((12, 3)), FastGRNN(8), keras.layers.Dense(4)])
    # Measured: 0.01 MB for each of thirty, all of it in the first ten. The rest of the limit is for
    # the allocator.
    assert growth(lambda: convert(model, representative_dataset=x), 120 if TEST_ALL else 16) < 0.1


def test_interpreters_leave_nothing_behind(model):
    kept, count = [], 400 if TEST_ALL else 30
    left = growth(lambda: Interpreter(model).invoke(X[:1]), count)
    held = growth(lambda: kept.append(Interpreter(model)), count)
    # Measured: 0.001 MB for each of 400. A leaking interpreter would leave a tenth of its size.
    assert left < held / 10, (left, held)
