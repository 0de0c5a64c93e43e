"""Ctrl-C and SIGTERM: the step at hand is finished first."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def requests_to_stop(*, patience: float = 0.0) -> Iterator[Callable[[], int]]:
    """Yield a function that says which signal asked to stop, 0 for none yet; a second Ctrl-C stops at once.

    Signals reach the main thread only; elsewhere nothing is changed and 0 is the answer.

    Args:
        patience: seconds in which a second signal is taken for the first one, come another way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    asked: list[int] = []
    first: list[float] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        if not asked:
            asked.append(number)
            first.append(time.monotonic())
        elif time.monotonic() - first[0] >= patience:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
