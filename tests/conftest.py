"""Settings of every test."""

import os

import hypothesis
import pytest
from tools import TEST_ALL

TF_KERAS = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("true", "1")  # TensorFlow's rule
MARKERS = {
    "test_all": "runs in `make test-all` alone: in `make test`, another case covers the same code",
    "one_keras": "runs under Keras 3, and under tf_keras in `make test-all` alone",
}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:  # a worker for each core: more threads wait for each other
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")

# The same examples in each run and on each machine, however slow it is.
hypothesis.settings.register_profile(
    "fixed",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("fixed")


def pytest_configure(config):
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_collection_modifyitems(config, items):
    """Leaves to `make test-all` the tests that are marked so, and begins with the longest."""
    # At the end one worker would run them, and the other wait.
    items.sort(key=lambda item: item.path.parent.name != "tests")
    if TEST_ALL:
        return
    markers = ["test_all", *(["one_keras"] if TF_KERAS else [])]
    kept, left = [], []
    for item in items:
        (left if any(map(item.get_closest_marker, markers)) else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """One line for each reason to skip, in place of one for each test: pytest adds up those of one
    place."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        report.longrepr = (str(item.session.config.rootpath / "tests"), None, report.longrepr[2])
    return report
