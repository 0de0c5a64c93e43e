"""Several workers on one socket: started, watched, started again when one dies, and stopped together."""

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from convlens.errors import ConvlensError
from convlens.serving import journal
from convlens.serving.measurements import SHARED_FOLDER
from convlens.serving.readiness import Readiness
from convlens.serving.served import Served
from convlens.serving.server_settings import Settings

USER_ERROR = 2
# A worker that dies is replaced, but not more often than this in a minute: then something is wrong that stays wrong.
_DEATHS_A_MINUTE = 5
_RELOAD_SECONDS = 300


def serve_with_workers(settings: Settings, served: Served, listeners: Sequence[socket.socket]) -> int:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT; load anew on SIGHUP, one worker after the other.

    Args:
        settings: what the server was told.
        served: gives the network, in each worker.
        listeners: the bound sockets, one a worker.

    Returns:
        0 when all workers stopped well, 2 when the network cannot be loaded, 1 when workers kept dying.
    """
    journal.begin(settings.log_level)
    with tempfile.TemporaryDirectory(prefix="convlens-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            return _Crew(settings, served, listeners).run()
        finally:
            del os.environ[SHARED_FOLDER]


class _Crew:
    def __init__(self, settings: Settings, served: Served, listeners: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._served = served
        self._listeners = listeners
        self._readiness = Readiness(settings.workers)
        self._workers: dict[BaseProcess, socket.socket] = {}
        self._deaths: list[float] = []
        self._stopping = False
        self._hung_up = False

    def run(self) -> int:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        try:
            for listener in self._listeners:
                self._start(listener)
            while self._workers and not self._stopping:
                connection.wait([worker.sentinel for worker in self._workers], timeout=0.2)
                code = self._replace_the_dead()
                if code is not None:
                    return code
                if self._hung_up and self._readiness.complete:
                    self._hung_up = False
                    self._reload()
            return 0
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._hung_up = True

    def _reload(self) -> None:
        """Have every worker load what is there now, in turns; where one cannot, all go on with what they had."""
        go_back = self._served.go_back()
        try:
            self._served.renew()
        except ConvlensError as error:
            journal.note("reload failed", level=logging.ERROR, reason=str(error))
            return
        done: list[BaseProcess] = []
        for worker in list(self._workers):
            if not self._reload_one(worker):
                go_back()
                for changed in done:
                    self._reload_one(changed)
                return
            done.append(worker)
        journal.note("reloaded", workers=len(done))

    def _reload_one(self, worker: BaseProcess) -> bool:
        """Whether the worker serves anew; one that died meanwhile is replaced, and loads it then."""
        before = self._readiness.reloads
        latest = time.monotonic() + _RELOAD_SECONDS
        if worker.pid is not None and worker.is_alive():
            os.kill(worker.pid, signal.SIGHUP)
        while worker.is_alive() and not self._stopping and time.monotonic() < latest:
            well, failed = (now - then for now, then in zip(self._readiness.reloads, before, strict=True))
            if well or failed:
                return not failed
            connection.wait([worker.sentinel], timeout=0.05)
        return not worker.is_alive()

    def _start(self, listener: socket.socket) -> None:
        context = multiprocessing.get_context("spawn")
        worker = context.Process(
            target=_work, args=(self._settings, self._served, listener, self._readiness), name="convlens-worker"
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


def _work(settings: Settings, served: Served, listener: socket.socket, readiness: Readiness) -> None:
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    from convlens.serving.worker_server import serve

    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()
    try:
        serve(settings, served.load, listener, readiness)
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
