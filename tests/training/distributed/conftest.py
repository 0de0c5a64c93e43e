"""What several processes did together, started once for all tests that look at it."""

import subprocess
import sys
from os import environ
from pathlib import Path

import pytest
from filelock import FileLock

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def together(tmp_path_factory):
    """The folder of what the trainings of `forked.py` left, which takes one worker of pytest some time."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in environ else root
    folder = root / "together"
    with FileLock(root / "together.lock"):
        if not folder.exists():
            folder.mkdir()
            sources = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[2] / "src")}
            command = [sys.executable, HERE / "forked.py", folder]
            subprocess.run(command, env=environ | sources, timeout=300, check=True)
    return folder


@pytest.fixture(scope="session")
def said(together):
    """What a process of a group printed: said("trained", 0) -> its exit code, output and errors."""

    def of(group, rank):
        return tuple((together / f"{group}-{rank}.{what}").read_text() for what in ("code", "out", "err"))

    return of
