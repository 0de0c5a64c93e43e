"""How many workers are warm, known to all of them: none answers before all do."""

import multiprocessing


class Readiness:
    """A count shared by processes.

    Without it, a client that one worker told that it is ready would be told by the next that it is not.

    Args:
        workers: how many have to be warm.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._warm = multiprocessing.get_context("spawn").Value("i", 0)

    def count(self) -> None:
        """Count a worker that is warm."""
        with self._warm.get_lock():
            self._warm.value += 1

    @property
    def complete(self) -> bool:
        """Whether all were warm once; a worker that replaces another does not change that."""
        return bool(self._warm.value >= self._workers)
