"""One training at a time in a run folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from convlens.runs.description import RunError


@contextmanager
def trained_by_us_alone(folder: Path) -> Iterator[None]:
    """Hold a run folder for the length of a training; the lock goes with the process, however that ends.

    Raises:
        RunError: another process trains in it.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder} is being trained by another process; wait for it, or stop it and run the command again"
        ) from None
    try:
        yield
    finally:
        lock.release()
