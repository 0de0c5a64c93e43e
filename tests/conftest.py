"""What every test shares: one thread a worker, deterministic algorithms, and nothing reported to anyone."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for the tests that import ONNX Runtime themselves

import hypothesis
import pytest

hypothesis.settings.register_profile("convlens", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("convlens")


def pytest_collection_modifyitems(items):
    """A busy machine can starve a browser: a page test gets a second run, which the summary reports as a rerun."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test reads or fills the caches of the person who runs it."""
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path / "cache"))
