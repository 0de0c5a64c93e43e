"""Threads that load, can be watched, and never outlive their user."""

import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

Result = TypeVar("Result")


_LOOK_UP = 0.5  # seconds after which a thread that waits looks up


def done_within(future: "Future[Any]", seconds: float = math.inf) -> bool:
    """Wait for a result; returns whether it is there.

    A signal that arrives in the instant before the main thread goes to sleep, or in another thread, does not wake it,
    and Ctrl-C would have to wait for the result. So it looks up now and then.
    """
    end = time.monotonic() + seconds
    while not future.done():
        left = end - time.monotonic()
        if left <= 0:
            return False
        with suppress(TimeoutError):
            future.exception(timeout=min(left, _LOOK_UP))
    return True


class Task(NamedTuple):
    """What a worker is at: the thread's name, what it works on, and for how many seconds."""

    worker: str
    subject: str
    seconds: float


class Workers(Generic[Result]):
    """A few threads that call one function each on what is submitted.

    Unlike the standard executor's they are daemons: a read that hangs on a dead network disk keeps neither Ctrl-C nor
    the end of the process waiting. Decoders and array operations let go of the interpreter, so threads are enough.

    >>> with Workers(lambda x: x * x, count=2, name="square") as workers:
    ...     workers.submit(7).result()
    49
    """

    def __init__(self, function: Callable[..., Result], *, count: int, name: str) -> None:
        self._function = function
        self._waiting: queue.SimpleQueue[tuple[Future[Result], tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._at_work: dict[int, tuple[str, float]] = {}  # by the thread's number
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, *arguments: Any) -> "Future[Result]":
        """Queue one call."""
        future: Future[Result] = Future()
        self._waiting.put((future, arguments))
        return future

    def report(self, subject: str) -> None:
        """Note, from within a worker, what it is at now; costs one dictionary entry."""
        self._at_work[threading.get_ident()] = (subject, time.monotonic())

    def longest(self) -> Task | None:
        """The task that has been worked on longest."""
        now, names = time.monotonic(), {thread.ident: thread.name for thread in self._threads}
        tasks = [Task(names.get(at, "?"), subject, now - since) for at, (subject, since) in list(self._at_work.items())]
        return max(tasks, key=lambda task: task.seconds, default=None)

    def close(self) -> None:
        """Drop what waits and let each worker end after what it is at; does not wait for a stuck one."""
        self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(timeout=0.5)

    def __enter__(self) -> "Workers[Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        at = threading.get_ident()
        while (job := self._waiting.get()) is not None and not self._closed:
            future, arguments = job
            try:
                future.set_result(self._function(*arguments))
            except BaseException as error:  # whoever waits for the result gets it
                future.set_exception(error)
            finally:
                self._at_work.pop(at, None)
