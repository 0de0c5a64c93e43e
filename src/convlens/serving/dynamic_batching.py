"""Dynamic batching: one thread runs the network on what has been decoded, and waits only for what is about to be."""

import queue
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from convlens.predicting.finite import NotFiniteError
from convlens.predicting.settled import Settled
from convlens.serving.jobs import Answer, Job


class Batcher:
    """A thread that runs the network.

    While the network is busy, images gather by themselves. When it is idle, an image waits for companions only if some
    are being decoded, or if the last batch was larger, since those clients will ask again; and never longer than
    `max_delay_s` or than a pass takes. So a lone client never waits.

    Args:
        settled: the network.
        batch: most images in one pass.
        max_delay_s: longest that the first image of a batch waits for the others.
        under_way: how many images are about to be decoded.
        on_answers: called, in this thread, with jobs and their answers.
        on_batch: called, in this thread, with the jobs of a batch and the seconds that it took.
    """

    def __init__(
        self,
        settled: Settled,
        *,
        batch: int,
        max_delay_s: float,
        under_way: Callable[[], int],
        on_answers: Callable[[Sequence[Job], Sequence[Answer | Exception]], None],
        on_batch: Callable[[Sequence[Job], float], None],
    ) -> None:
        self._settled = settled
        self._batch = batch
        self._max_delay_s = max_delay_s
        self._under_way = under_way
        self._on_answers = on_answers
        self._on_batch = on_batch
        self._last_size = 1
        self._last_seconds = 0.0
        self._ready: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Take a decoded image."""
        self._ready.put(job)

    def close(self) -> None:
        """Answer what was submitted, then end the thread."""
        self._ready.put(None)
        self._thread.join()

    def _work(self) -> None:
        going_on = True
        while going_on:
            jobs, going_on = self._gather()
            wanted = [job for job in jobs if not job.ticket.abandoned]
            given_up = [job for job in jobs if job.ticket.abandoned]
            if given_up:
                self._on_answers(given_up, [{"file": job.upload.name, "error": "given up"} for job in given_up])
            if wanted:
                self._on_answers(wanted, self._answers(wanted))

    def _gather(self) -> tuple[list[Job], bool]:
        """Wait for an image, then for its companions; False with the last batch before the end."""
        job = self._ready.get()
        jobs: list[Job] = []
        latest = time.monotonic() + min(self._max_delay_s, self._last_seconds)
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._batch:
                return jobs, True
            try:
                job = self._next(latest, len(jobs))
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _next(self, latest: float, gathered: int) -> Job | None:
        try:
            return self._ready.get_nowait()
        except queue.Empty:
            remaining = latest - time.monotonic()
            if remaining <= 0 or not (self._under_way() or gathered < self._last_size):
                raise
            return self._ready.get(timeout=remaining)

    def _answers(self, jobs: Sequence[Job]) -> Sequence[Answer | Exception]:
        began = time.perf_counter()
        try:
            tensors = [job.x_CHW for job in jobs if job.x_CHW is not None]
            rows = self._settled.guesses(np.stack(tensors), max(job.ticket.top for job in jobs))
        except NotFiniteError as error:  # whoever sent the image, the others get their answers
            return [error] if len(jobs) == 1 else [answer for job in jobs for answer in self._answers([job])]
        except Exception as error:  # the requests get 500, and the thread lives on
            return [error] * len(jobs)
        self._last_size, self._last_seconds = len(jobs), time.perf_counter() - began
        self._on_batch(jobs, self._last_seconds)
        return [
            {"file": job.upload.name, "classes": [vars(guess) for guess in row[: job.ticket.top]]}
            for job, row in zip(jobs, rows, strict=True)
        ]
