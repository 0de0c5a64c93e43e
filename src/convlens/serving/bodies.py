"""Reading request bodies: within limits of size, of time, and of what all clients together may keep in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from convlens.serving.refusals import RefusalError, overloaded

Given = TypeVar("Given")
Receive = Callable[[], Awaitable[Any]]

# A client that is turned down mostly still sends; that is thrown away for a moment, so that it reads the answer.
_DISCARD_BYTES = 64_000_000
_DISCARD_SECONDS = 2.0


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


class Bodies:
    """Reads request bodies.

    Args:
        max_body: bytes of one body.
        max_together: bytes of all the bodies in memory at one time.
        timeout_s: seconds one body may take to arrive.
    """

    def __init__(self, *, max_body: int, max_together: int, timeout_s: float) -> None:
        self.max_body = max_body
        self.max_together = max_together
        self.timeout_s = timeout_s
        self.in_memory = 0

    @contextmanager
    def reserving(self) -> Iterator["Reservation"]:
        """Count what a request keeps in memory while the block lasts."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.in_memory -= reservation.size

    async def read(self, receive: Receive, headers: Mapping[str, str], reservation: "Reservation") -> list[bytes]:
        """Read a body to its end; the pieces, as they came.

        Raises:
            RefusalError: 413 too large, 408 too slow, 429 too much together, 400 a false length.
            DisconnectedError: the client went away.
        """
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_body:
            raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.timeout_s):
                async for piece in _pieces(receive):
                    size += len(piece)
                    if size > self.max_body:
                        raise self._too_large()
                    reservation.grow(len(piece))
                    pieces.append(piece)
        except TimeoutError:
            raise RefusalError(
                408,
                f"the body did not arrive within {self.timeout_s:g} s; send smaller images, or fewer at a time",
                {"Connection": "close"},
            ) from None
        return pieces

    def _too_large(self) -> RefusalError:
        limit = f"{self.max_body / 1_000_000:g} MB"
        return RefusalError(413, f"the body is larger than {limit}; send smaller images, or fewer at a time")


async def while_wanted(work: Coroutine[Any, Any, Given], receive: Receive) -> Given:
    """Await `work` for as long as its client is there.

    Raises:
        DisconnectedError: the client went away; the work is cancelled.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise DisconnectedError
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()


async def _gone(receive: Receive) -> None:
    """Wait until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Reservation:
    """What one request keeps in memory."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    def grow(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            RefusalError: 429, all requests together keep too much.
        """
        if self._bodies.in_memory + size > self._bodies.max_together:
            raise overloaded("the server holds as many bytes of images as it may; try again shortly", 1)
        self._bodies.in_memory += size
        self.size += size


async def discard(receive: Receive) -> None:
    """Throw away what a client that is turned down still sends, for a moment."""
    size = 0
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for piece in _pieces(receive):
                size += len(piece)
                if size > _DISCARD_BYTES:
                    return
    except (TimeoutError, DisconnectedError):
        return


async def _pieces(receive: Receive) -> Any:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
