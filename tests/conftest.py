"""What every test shares: one thread a worker, and deterministic algorithms."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("convlens", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("convlens")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test reads or fills the caches of the person who runs it."""
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path / "cache"))
