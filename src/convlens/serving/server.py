"""One worker: uvicorn around the application, a socket bound before loading, and a stop that loses nothing."""

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from convlens.serving import journal
from convlens.serving.application import build
from convlens.serving.readiness import Readiness
from convlens.serving.service import Loaded, Service
from convlens.serving.settings import Settings
from convlens.serving.wire import BoundedHttp

# How long connections that are open but silent may still send a request, once no new ones are taken.
_LINGER_SECONDS = 0.5
# How long the connections that are in the backlog are still accepted.
_LAST_ACCEPTED_SECONDS = 0.05
# Threads hand the interpreter over this often; at Python's 5 ms the event loop would wait long for decoding threads.
_SWITCH_SECONDS = 0.0005


def serve(
    settings: Settings, load: Callable[[], Loaded], listener: socket.socket, readiness: Readiness | None = None
) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then answer what was accepted and return.

    Raises:
        ConvlensError: the network cannot be loaded.
    """
    journal.begin(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    server = make_server(settings, load, readiness)
    server.run(sockets=[listener])
    if server.service.failure:
        raise server.service.failure


def make_server(settings: Settings, load: Callable[[], Loaded], readiness: Readiness | None = None) -> "DrainingServer":
    """Make a server that loads the network once it runs.

    It listens at once and answers 503 until it is warm; but where other workers answer already, only once it is warm.

    Raises:
        TokenError: the token file cannot be used.
    """
    readiness = readiness or Readiness(1)
    service = Service(settings, load, readiness)
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
    `drain_delay_s`; then it takes no new connections, lets silent ones speak for half a second, and ends when the last
    request is answered.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as the class says."""
        journal.note("draining", delay_s=self.service.settings.drain_delay_s)
        self.service.draining = True
        if not self.service.failure:
            await asyncio.sleep(self.service.settings.drain_delay_s)
        # With no backlog, a client that comes now is refused at once or later, but never accepted and then dropped.
        for listener in sockets or []:
            listener.listen(0)
        await asyncio.sleep(_LAST_ACCEPTED_SECONDS)
        for server in self.servers:
            server.close()
        if self.server_state.connections:
            await asyncio.sleep(_LINGER_SECONDS)
        await super().shutdown(sockets)
        journal.note("stopped")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while serving; unlike uvicorn, do not raise them again: stopping was a success."""
        if not _in_main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
