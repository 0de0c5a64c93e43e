"""Many small tasks, their results in order, and nothing left over when the caller stops."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from convlens.data.workers import Workers, done_within
from convlens.processors import available_processors

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    ahead: int | None = None,
    name: str = "convlens",
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, computed ahead in threads.

    Args:
        function: called once an item.
        items: taken only as fast as results are.
        workers: threads; None takes the processors that there are, 0 calls the function in this thread.
        ahead: results that may wait for the caller; None takes four a worker.
        name: of the threads.
    """
    workers = available_processors() if workers is None else workers
    if workers == 0:
        yield from map(function, items)
        return
    most = 4 * workers if ahead is None else ahead
    begun: deque[Future[Result]] = deque()
    with Workers(function, count=workers, name=name) as pool:
        for item in items:
            begun.append(pool.submit(item))
            if len(begun) > most:
                yield _result(begun.popleft())
        while begun:
            yield _result(begun.popleft())


def _result(future: "Future[Result]") -> Result:
    done_within(future)
    return future.result()
