"""Several workers on one socket: started, watched, started again when one dies, and stopped together."""

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from convlens.errors import ConvlensError
from convlens.serving import journal
from convlens.serving.measurements import SHARED_FOLDER
from convlens.serving.readiness import Readiness
from convlens.serving.service import Loaded
from convlens.serving.settings import Settings

USER_ERROR = 2
# A worker that dies is replaced, but not more often than this in a minute: then something is wrong that stays wrong.
_DEATHS_A_MINUTE = 5


def serve_with_workers(settings: Settings, load: Callable[[], Loaded], listeners: Sequence[socket.socket]) -> int:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT.

    Args:
        settings: what the server was told.
        load: gives the network, in each worker; must be importable there.
        listeners: the bound sockets, one a worker.

    Returns:
        0 when all workers stopped well, 2 when the network cannot be loaded, 1 when workers kept dying.
    """
    journal.begin(settings.log_level)
    with tempfile.TemporaryDirectory(prefix="convlens-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            return _Crew(settings, load, listeners).run()
        finally:
            del os.environ[SHARED_FOLDER]


class _Crew:
    def __init__(self, settings: Settings, load: Callable[[], Loaded], listeners: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._load = load
        self._listeners = listeners
        self._readiness = Readiness(settings.workers)
        self._workers: dict[BaseProcess, socket.socket] = {}
        self._deaths: list[float] = []
        self._stopping = False

    def run(self) -> int:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for listener in self._listeners:
                self._start(listener)
            while self._workers and not self._stopping:
                connection.wait([worker.sentinel for worker in self._workers], timeout=0.2)
                code = self._replace_the_dead()
                if code is not None:
                    return code
            return 0
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, listener: socket.socket) -> None:
        context = multiprocessing.get_context("spawn")
        worker = context.Process(
            target=_work, args=(self._settings, self._load, listener, self._readiness), name="convlens-worker"
        )
        worker.start()
        self._workers[worker] = listener

    def _replace_the_dead(self) -> int | None:
        for worker in [worker for worker in self._workers if not worker.is_alive()]:
            listener = self._workers.pop(worker)
            mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
            if worker.exitcode == USER_ERROR:
                return USER_ERROR
            now = time.monotonic()
            self._deaths = [*(death for death in self._deaths if now - death < 60), now]
            journal.note("worker died", pid=worker.pid, exit_code=worker.exitcode)
            if len(self._deaths) > _DEATHS_A_MINUTE:
                journal.note("workers keep dying; stopping")
                return 1
            self._start(listener)  # with the connections that wait there
        return None

    def _end(self) -> None:
        """Close the sockets first, so that no connection is accepted that nobody will answer."""
        for listener in self._listeners:
            listener.close()
        for worker in self._workers:
            worker.terminate()
        settings = self._settings
        latest = time.monotonic() + settings.drain_delay_s + settings.timeout_s + settings.upload_timeout_s + 15
        for worker in self._workers:
            worker.join(max(0.1, latest - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()


def _work(settings: Settings, load: Callable[[], Loaded], listener: socket.socket, readiness: Readiness) -> None:
    from convlens.serving.server import serve

    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()
    try:
        serve(settings, load, listener, readiness)
    except ConvlensError as error:
        _say(error)
        raise SystemExit(USER_ERROR) from None


def _say(error: Any) -> None:
    os.write(2, f"convlens: {error}\n".encode())


def _stop_with_parent() -> None:
    """A worker whose parent was killed must not go on alone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
