"""Many small tasks in threads, their results in order, and nothing left over when the caller stops."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from convlens.processors import available_processors

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None, name: str = "convlens"
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, computed a little ahead in threads.

    Decoders and array operations let go of the interpreter, so threads are enough, and no process can be orphaned. When
    the caller stops, by an error or by Ctrl-C, what has not begun is cancelled.

    Args:
        function: called once an item.
        items: taken only as fast as results are.
        workers: threads; None takes the processors that there are, 0 calls the function in this thread.
        name: of the threads.
    """
    workers = available_processors() if workers is None else workers
    if workers == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    ahead: deque[Future[Result]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
