"""What stops one process stops all: the cause is left where the others find it, and none waits for ever."""

import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch.distributed as dist
from torch._C._distributed_c10d import Store

from convlens.errors import ConvlensError
from convlens.training.step_memory import is_out_of_memory

_CAUSE, _HEARD, _ALIVE, _HOST, _LEFT = "trouble", "heard/{rank}", "alive/{rank}", "host/{rank}", "left/{rank}"
_LOOK_SECONDS = 0.5  # between two looks for a cause, each a sign of life
_SILENT_SECONDS = 2.5  # without a sign of life, after which a process is lost
_HEARING_SECONDS = 6.0  # until those that can hear have heard
_LEAVING_SECONDS = 20.0  # for a process that waits in a collective whose others are gone


class TeamError(ConvlensError):
    """A training of several processes that one of them stopped.

    Attributes:
        told: whether the first process says it, so that the others need not.
        exit_code: 2 for what the user can mend, 1 for what is ours.
        lost: whether a process was lost without a word, so that to start again may help.
        awaited: whether others wait in a collective for this process, and will until it ends.
    """

    def __init__(self, message: str, *, told: bool, exit_code: int, lost: bool = False, awaited: bool = False) -> None:
        super().__init__(message)
        self.told, self.exit_code, self.lost, self.awaited = told, exit_code, lost, awaited


@dataclass(frozen=True)
class Cause:
    """What stopped a process, and which."""

    rank: int
    host: str
    message: str
    exit_code: int
    lost: bool = False

    def __str__(self) -> str:
        if self.message.startswith(("rank ", "on rank ")):  # all have found it, and it names whose it is
            return self.message
        return f"rank {self.rank} on {self.host}: {self.message}"


class SharedTrouble:
    """Tells the others what stopped this process, and listens for what stopped another.

    Args:
        store: what all processes read and write.
        rank: of this process.
        size: how many there are.
        outlives: whether this process goes on after the training, so that its connections stay open.
    """

    def __init__(self, store: Store, rank: int, size: int, *, outlives: bool = False) -> None:
        self.store, self.rank, self.size, self.outlives = store, rank, size, outlives
        self.cause: Cause | None = None
        self._over = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="convlens-team", daemon=True)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Share what is raised inside.

        Raises:
            TeamError: with the first cause of all, in every process.
        """
        self.store.set(_HOST.format(rank=self.rank), platform.node())
        self._listener.start()
        try:
            yield
        except BaseException as error:
            with _undisturbed():
                told = self._tell(error)
            if told is None:
                raise
            raise told from (None if isinstance(error, ConvlensError) or _is_of_others(error) else error)
        finally:
            self._over.set()

    def _tell(self, error: BaseException) -> TeamError | None:
        """What to raise instead of an error; None for the error itself."""
        if self.cause is None and _is_of_others(error):
            self._report_lost(error)
        elif self.cause is None:
            self._publish(_cause_of(error, self.rank))
        cause = self.cause
        assert cause is not None, "published or heard"
        if cause.rank == self.rank and not isinstance(error, ConvlensError) and not _is_of_others(error):
            return None  # its traceback is of use
        told = self.rank != 0 and self._has_heard(0)
        awaited = self.outlives and not self._all_leave()
        return TeamError(str(cause), told=told, exit_code=cause.exit_code, lost=cause.lost, awaited=awaited)

    def _all_leave(self) -> bool:
        try:
            self.store.set(_LEFT.format(rank=self.rank), "1")
            left = [_LEFT.format(rank=rank) for rank in range(self.size)]
            self._wait(lambda: bool(self.store.check(left)), _LOOK_SECONDS * 4)
            return bool(self.store.check(left))
        except RuntimeError:  # the first process has left, and the store with it
            return True

    def _report_lost(self, error: BaseException) -> None:
        """Publish who ended without a word, unless a cause is heard before that is clear."""
        before = self._signs_of_life()
        self._wait(lambda: self.cause is not None, _SILENT_SECONDS)
        after = self._signs_of_life()
        if before is None or after is None:
            silent = [0] if self.rank else []  # the first process has taken the store with it
        else:
            silent = [rank for rank in range(self.size) if rank != self.rank and before[rank] == after[rank]]
        if not silent:
            self._wait(lambda: self.cause is not None)
        if self.cause is None:
            who = " and ".join(self._name(rank) for rank in silent) or "another process"
            reason = "" if silent else f" ({' '.join(str(error).split())[:120]})"
            message = f"{who} ended without a word: killed, out of memory, or its machine lost{reason}"
            self._publish(Cause(self.rank, platform.node(), message, 2, lost=True), lost=silent)

    def _signs_of_life(self) -> list[int] | None:
        """How many each process has given; None where the store is gone."""
        try:
            return [self.store.add(_ALIVE.format(rank=rank), 0) for rank in range(self.size)]
        except RuntimeError:
            return None

    def _name(self, rank: int) -> str:
        try:
            return f"rank {rank} on {self.store.get(_HOST.format(rank=rank)).decode()}"
        except RuntimeError:
            return f"rank {rank}"

    def _publish(self, cause: Cause, lost: Sequence[int] = ()) -> None:
        """Leave a cause, unless there is one, and wait until all that are not lost have heard."""
        try:
            found = self.store.compare_set(_CAUSE, "", json.dumps(vars(cause)))
            self.cause = Cause(**json.loads(found))
            self.store.set(_HEARD.format(rank=self.rank), "1")
        except (RuntimeError, ValueError):  # the first process is gone, and the store with it
            self.cause = cause
            return
        self._wait(lambda: all(self._has_heard(rank) for rank in range(self.size) if rank not in lost))

    def _has_heard(self, rank: int) -> bool:
        try:
            return bool(self.store.check([_HEARD.format(rank=rank)]))
        except RuntimeError:
            return False

    def _wait(self, done: Callable[[], bool], seconds: float = _HEARING_SECONDS) -> None:
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS / 5)

    def _listen(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            try:
                self.store.add(_ALIVE.format(rank=self.rank), 1)
                if not self.store.check([_CAUSE]):
                    continue
                self.cause = Cause(**json.loads(self.store.get(_CAUSE)))
                self.store.set(_HEARD.format(rank=self.rank), "1")
            except RuntimeError:  # the store is gone; the next collective says so
                return
            break
        if self._over.wait(_LEAVING_SECONDS) or self.cause is None:
            return
        if self.rank == 0:
            print(f"convlens: {self.cause}", file=sys.stderr, flush=True)
        os._exit(self.cause.exit_code)  # the main thread waits in a collective for processes that are gone


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a launcher's SIGTERM pass: torchrun sends it at once when another process is lost, before it is said who."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _cause_of(error: BaseException, rank: int) -> Cause:
    if isinstance(error, ConvlensError):
        message, code = str(error), error.exit_code
    elif isinstance(error, KeyboardInterrupt):
        message, code = "stopped by a second Ctrl-C", 130
    elif isinstance(error, RuntimeError) and is_out_of_memory(error):
        message, code = "out of memory; take a smaller --batch, more parts with --accumulate, or --recompute", 2
    elif isinstance(error, OSError) and error.strerror:
        message, code = f"{error.strerror} ({error.filename})", 2
    else:
        message, code = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", 1
    return Cause(rank, platform.node(), message, code)


def _is_of_others(error: BaseException) -> bool:
    """Whether an error only says that another process is gone."""
    if isinstance(error, dist.DistError):
        return True
    words = ("/gloo/", "connection closed by peer", "connection reset by peer", "broken pipe", "nccl")
    return type(error) is RuntimeError and any(word in str(error).lower() for word in words)
