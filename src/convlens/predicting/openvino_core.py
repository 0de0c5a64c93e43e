"""OpenVINO's core, made once: every one gives its thread a stack for signal handlers, and two can leave a freed one.

The processor's plugin sets an alternate signal stack when a core first uses it and restores the one before when it is
destroyed, but only if its own is still in place. Two cores destroyed in the order in which they were made leave the
thread with memory that was given back, and the next Ctrl-C or SIGTERM ends the process without a word.
"""

import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convlens.predicting.untracked import untracked

_making = threading.Lock()


class _SignalStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def openvino_core() -> Any:
    """The `openvino.Core` of this process; it lives as long as the process does."""
    with _making:  # a cache alone would let two threads make one each
        return _core()


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Give the thread back the signal stack that it had, whatever cores are made and dropped within."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


@functools.cache
def _core() -> Any:
    return untracked("openvino").Core()
