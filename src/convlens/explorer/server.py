"""Starting and stopping the explorer's server on this machine."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from convlens.errors import ConvlensError
from convlens.explorer.app import create_app
from convlens.explorer.session import Session
from convlens.serving.wire import BoundedHttp

HOST = "127.0.0.1"
USUAL_PORT = 8765
WARM_UP_AFTER = 3.0  # seconds


def bind(port: int | None) -> socket.socket:
    """Take a port of this machine, before anything else is prepared.

    Args:
        port: the port; 0 for any free one; None for the usual one, or any free one when that is taken.

    Raises:
        ConvlensError: the port that was asked for is taken or may not be used.
    """
    if port is not None and not 0 <= port <= 65535:
        raise ConvlensError(f"port {port} does not exist; choose one from 1024 to 65535")
    if port is None:
        try:
            return _listen(USUAL_PORT)
        except OSError:
            return _listen(0)
    try:
        return _listen(port)
    except OSError as error:
        raise ConvlensError(
            f"port {port} cannot be used ({error.strerror}); choose another, or --port 0 for any"
        ) from None


def serve(session: Session, listening: socket.socket, *, when_ready: Callable[[str], None]) -> None:
    """Serve the pages until interrupted.

    Args:
        session: what the pages work on.
        listening: a socket from `bind`.
        when_ready: called with the address once it answers.
    """
    # after the first page is there; no daemon, for torch aborts a process that is cut off in the middle of its imports
    warming = threading.Timer(WARM_UP_AFTER, session.subjects.warm_up)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            when_ready(address(listening))
            warming.start()

    config = uvicorn.Config(
        create_app(session), http=BoundedHttp, log_level="warning", access_log=False, lifespan="off", ws="none"
    )
    # Ctrl-C is how one ends it, not a failure; uvicorn has finished its answers by then
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listening])
    warming.cancel()


def address(listening: socket.socket) -> str:
    """The address of the pages, such as `http://127.0.0.1:8765`."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
    except OSError:
        listening.close()
        raise
    return listening
