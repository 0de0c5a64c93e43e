"""HTTP on one connection, within bounds of bytes and of time, before any request is known.

The parser of httptools joins the pieces of a header as they come, which costs the square of its length, and waits for
the rest for ever. Here a connection that sends more than a head may have, sends it too slowly, or asks for many things
at once is answered in one line and closed.
"""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MOST_HEAD = 32_768  # bytes of a request line with its headers, and of what chunks add to a body
MOST_HEADERS = 100
MOST_WAITING = 16  # requests that a connection sends before the first is answered
MOST_CONNECTIONS = 900  # of one worker; a process may usually open 1,024 files
HEAD_SECONDS = 10.0
_PIECE = 16_384  # bytes that the parser gets at a time


class _TooMuchError(Exception):
    """Raised inside the parser, which then stops."""


class BoundedHttp(HttpToolsProtocol):
    """One connection: uvicorn's, within bounds."""

    head_seconds = HEAD_SECONDS
    write_seconds = 30.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._framing = 0  # bytes since the last request ended that are no body
        self._body = 0
        self._in_head = True
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def is_about_to_ask(self) -> bool:
        """Whether a request may be on its way: nothing was asked yet, or half a head is there."""
        return self.cycle is None or (self._in_head and self._framing > 0)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if there are not too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, "too many connections are open; try again shortly")
            return
        self._time_the_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._write_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what came, a piece at a time, and look after each whether it is still a request."""
        if self._in_head and self._head_timer is None:
            self._time_the_head()  # what comes after an answer ends the wait for a next request
        for begin in range(0, len(data), _PIECE):
            if self._refused or self.parser is None or self.transport.is_closing():
                return
            piece = data[begin : begin + _PIECE]
            self._framing += len(piece)
            super().data_received(piece)
            if self._framing > MOST_HEAD + self._body:
                self._refuse(431 if self._in_head else 400, f"the request's head is longer than {MOST_HEAD:,} bytes")

    def on_message_begin(self) -> None:
        """A request begins, if not too many wait."""
        super().on_message_begin()
        if len(self.pipeline) >= MOST_WAITING:
            self._stop(400, f"more than {MOST_WAITING} requests wait on this connection")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or what follows the chunks of a body."""
        if len(self.headers) >= MOST_HEADERS:
            self._stop(431, f"the request has more than {MOST_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there in time."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what is body."""
        self._framing -= len(body)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        super().on_message_complete()
        self._in_head, self._framing, self._body = True, 0, 0

    def pause_writing(self) -> None:
        """The client does not read: not for ever."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless it was answered already."""
        self._refuse(400, "this is no HTTP request" if msg.startswith("Invalid") else msg)

    def _time_the_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self._refuse(408, f"the request's head did not arrive within {self.head_seconds:g} s")

    def _stop(self, status: int, message: str) -> None:
        self._refuse(status, message)
        raise _TooMuchError(message)

    def _refuse(self, status: int, message: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self.cycle is None or self.cycle.response_complete:  # else an answer is on its way
            body = json.dumps({"error": message}).encode()
            head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
