"""Ctrl-C and SIGTERM: the step at hand is finished first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def requests_to_stop() -> Iterator[Callable[[], int]]:
    """Yield a function that says which signal asked to stop, 0 for none yet; a second Ctrl-C stops at once.

    Signals reach the main thread only; elsewhere nothing is changed and 0 is the answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    asked: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
