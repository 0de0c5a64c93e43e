"""How many workers are warm, known to all of them: none answers before all do; and how many serve anew."""

import multiprocessing


class Readiness:
    """A count shared by processes.

    Without it, a client that one worker told that it is ready would be told by the next that it is not.

    Args:
        workers: how many have to be warm.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        context = multiprocessing.get_context("spawn")
        self._warm = context.Value("i", 0)
        self._reloads = context.Value("i", 0)
        self._failures = context.Value("i", 0)

    def count(self) -> None:
        """Count a worker that is warm."""
        with self._warm.get_lock():
            self._warm.value += 1

    def reloaded(self, *, well: bool) -> None:
        """Count a worker that serves anew, or one that could not."""
        count = self._reloads if well else self._failures
        with count.get_lock():
            count.value += 1

    @property
    def reloads(self) -> tuple[int, int]:
        """How often workers have served anew, and how often they could not."""
        return self._reloads.value, self._failures.value

    @property
    def complete(self) -> bool:
        """Whether all were warm once; a worker that replaces another does not change that."""
        return bool(self._warm.value >= self._workers)
