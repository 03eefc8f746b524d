"""Settings of every test."""

import os

import hypothesis
import pytest
from tools import TEST_ALL

TF_KERAS = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("true", "1")  # TensorFlow's rule
MARKERS = {
    "test_all": "runs only in `make test-all`: another case in `make test` covers the same code",
    "one_keras": "runs under Keras 3, and under tf_keras only in `make test-all`",
}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:  # one worker per core: more threads would compete
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")

# The same examples in each run and on each machine, with no limit on time.
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
    """Deselects the tests that are only for `make test-all`, and puts the longest ones first."""
    # At the end, one worker would run them while the other waits.
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
    """Moves all skips to one place: pytest then prints one line per reason, not one per test."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        report.longrepr = (str(item.session.config.rootpath / "tests"), None, report.longrepr[2])
    return report
