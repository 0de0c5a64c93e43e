"""One worker: uvicorn around the application, a socket bound before loading, and a stop that loses nothing."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType

import uvicorn

from convlens.serving import journal
from convlens.serving.application import build
from convlens.serving.listening import refuse_new
from convlens.serving.readiness import Readiness
from convlens.serving.server_settings import Settings
from convlens.serving.service import Loaded, Service
from convlens.serving.wire import BoundedHttp

# How long connections that were answered before may still send a request, once no new ones are taken.
_LINGER_SECONDS = 0.5
# How long those may that have not yet sent all of their first one.
_FIRST_WORD_SECONDS = 3.0
# How long a client may take to complete a connection that the kernel has begun.
_LAST_ACCEPTED_SECONDS = 0.25
# Threads hand the interpreter over this often; at Python's 5 ms the event loop would wait long for decoding threads.
_SWITCH_SECONDS = 0.0005


def serve(
    settings: Settings,
    load: Callable[[], Loaded],
    listener: socket.socket,
    readiness: Readiness | None = None,
    renew: Callable[[], None] | None = None,
) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then answer what was accepted and return; reload on SIGHUP.

    Raises:
        ConvlensError: the network cannot be loaded.
    """
    journal.begin(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    server = make_server(settings, lambda: _set_aside(load()), readiness, renew)
    server.run(sockets=[listener])
    if server.service.failure:
        raise server.service.failure


def _set_aside(loaded: Loaded) -> Loaded:
    """Leave what the process holds before it answers out of garbage collections.

    A collection of all of it stops every answer for 0.1 s; what a reload brings later is a small part.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
    return loaded


def make_server(
    settings: Settings,
    load: Callable[[], Loaded],
    readiness: Readiness | None = None,
    renew: Callable[[], None] | None = None,
) -> "DrainingServer":
    """Make a server that loads the network once it runs.

    It listens at once and answers 503 until it is warm; but where other workers answer already, only once it is warm.

    Raises:
        TokenError: the token file cannot be used.
    """
    readiness = readiness or Readiness(1)
    service = Service(settings, load, readiness, renew)
    server: DrainingServer
    tasks: set[asyncio.Task[None]] = set()

    async def prepare() -> None:
        try:
            await service.prepare()
        except Exception as error:
            service.failure = error
            server.should_exit = True

    async def on_start() -> None:
        task = asyncio.get_running_loop().create_task(prepare())
        tasks.add(task)
        if readiness.complete:
            await task

    server = DrainingServer(_configuration(settings, service, on_start), service)
    return server


def _configuration(settings: Settings, service: Service, on_start: Callable[[], Awaitable[None]]) -> uvicorn.Config:
    return uvicorn.Config(
        build(service, on_start),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http=BoundedHttp,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.timeout_s + settings.upload_timeout_s) + 5,
    )


class DrainingServer(uvicorn.Server):
    """A server that loses no accepted request when it is stopped.

    Args:
        config: uvicorn's configuration.
        service: what the worker knows.

    On SIGTERM it turns /ready to 503 and closes connections with their next answer, but still accepts for
    `drain_delay_s`; then the kernel begins no new connections, those that it has begun are accepted, clients that were
    answered before may speak for half a second and new ones for three, and it ends when the last request is answered.
    On SIGHUP it loads anew what it serves.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self._hung_up = False
        self._reloading: set[asyncio.Task[None]] = set()

    async def on_tick(self, counter: int) -> bool:
        """Look whether somebody asked for a reload, or a stop."""
        if self._hung_up and self.service.pipeline is not None:
            self._hung_up = False
            task = asyncio.get_running_loop().create_task(self.service.reload())
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as the class says."""
        journal.note("draining", delay_s=self.service.settings.drain_delay_s)
        self.service.draining = True
        if not self.service.failure:
            await asyncio.sleep(self.service.settings.drain_delay_s)
        for listener in sockets or []:
            refuse_new(listener)
        await asyncio.sleep(_LAST_ACCEPTED_SECONDS)
        await self._accept_the_last(sockets or [])
        if self.server_state.connections:
            await asyncio.sleep(_LINGER_SECONDS)
        latest = time.monotonic() + _FIRST_WORD_SECONDS
        while any(connection.is_about_to_ask for connection in self._connections()) and time.monotonic() < latest:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
        journal.note("stopped")

    async def _accept_the_last(self, sockets: list[socket.socket]) -> None:
        """Take over what the kernel has accepted by the moment at which nobody listens any more."""
        spares = [listener.dup() for listener in sockets]
        for server in self.servers:
            server.close()
        for spare in spares:
            spare.setblocking(False)
            with contextlib.suppress(OSError):  # BlockingIOError: there are no more
                while True:
                    accepted, _ = spare.accept()
                    await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)
            spare.close()

    def _protocol(self) -> BoundedHttp:
        return BoundedHttp(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _connections(self) -> list[BoundedHttp]:
        return [connection for connection in self.server_state.connections if isinstance(connection, BoundedHttp)]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while serving; unlike uvicorn, do not raise them again: stopping was a success."""
        if not _in_main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._hung_up = True


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
