"""HTTP on one connection, within bounds of bytes and of time, before any request is known.

The parser of httptools joins the pieces of a header as they come, which costs the square of its length, and waits for
the rest for ever. Here a connection that sends more than a head may have, sends it too slowly, or asks for many things
at once gets the answers to what it asked before, then one line, and is closed.
"""

import asyncio
import json
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

MOST_HEAD = 32_768  # bytes of a request line with its headers
MOST_FRAMING = 131_072  # bytes that chunks may add to a body, besides as many as it has; a chunk of one byte adds five
MOST_HEADERS = 100
MOST_WAITING = 16  # requests that a connection sends before the first is answered
MOST_CONNECTIONS = 900  # of one worker; a process may usually open 1,024 files
HEAD_SECONDS = 10.0
_PIECE = 16_384  # bytes that the parser gets at a time
# A client that is turned down mostly still sends; to close at once would have the kernel take the answer back.
_LAST_BYTES = 256_000_000
_LAST_SECONDS = 2.0


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
        self._head = 0  # bytes of the address and the headers of this request
        self._in_head = True
        self._asked: deque[RequestResponseCycle] = deque()  # what is not answered yet
        self._refusal = b""  # the last answer on this connection
        self._thrown_away = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._last_timer: asyncio.TimerHandle | None = None

    @property
    def is_about_to_ask(self) -> bool:
        """Whether a request may be on its way: nothing was asked yet, or half a head is there."""
        return not self._refusal and (self.cycle is None or (self._in_head and self._framing > 0))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if there are not too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, "too many connections are open; try again shortly")
            return
        self._time_the_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._head_timer, self._write_timer, self._last_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._write_timer = self._last_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what came, a piece at a time, and look after each whether it is still a request."""
        if self._in_head and self._head_timer is None:
            self._time_the_head()  # what comes after an answer ends the wait for a next request
        begin = 0
        while begin < len(data) and not self.transport.is_closing() and self.parser is not None:
            if self._refusal:
                self._throw_away(len(data) - begin)
                return
            room = self._room()
            if room <= 0:
                self._refuse_long()
                continue
            piece = data[begin : begin + (min(_PIECE, room) if self._in_head else _PIECE)]
            begin += len(piece)
            self._framing += len(piece)
            super().data_received(piece)
        if self._room() < 0:
            self._refuse_long()

    def on_message_begin(self) -> None:
        """A request begins, if not too many wait."""
        super().on_message_begin()
        self._head = 0
        if len(self.pipeline) >= MOST_WAITING:
            self._stop(400, f"more than {MOST_WAITING} requests wait on this connection")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or what follows the chunks of a body."""
        self._count_head(len(name) + len(value))
        if len(self.headers) >= MOST_HEADERS:
            self._stop(431, f"the request has more than {MOST_HEADERS} headers")
        super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._count_head(len(url))
        super().on_url(url)

    def on_headers_complete(self) -> None:
        """The head is there in time."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()
        self._asked.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Count what is body."""
        self._framing -= len(body)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        super().on_message_complete()
        self._in_head, self._framing, self._body = True, 0, 0

    def on_response_complete(self) -> None:
        """A request is answered; the next one's turn, or that of the last word."""
        self._asked.popleft()
        super().on_response_complete()
        if self._refusal:
            self._give_refusal()

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

    def _count_head(self, size: int) -> None:
        self._head += size
        if self._head > MOST_HEAD:
            self._refuse_long()
            raise _TooMuchError

    def _room(self) -> int:
        """Bytes that may still come before the end of the head, or that chunks may still add."""
        return (MOST_HEAD if self._in_head else MOST_FRAMING + self._body) - self._framing

    def _refuse_long(self) -> None:
        if self._in_head:
            self._refuse(431, f"the request's head is longer than {MOST_HEAD:,} bytes")
        else:
            self._refuse(400, "what surrounds the chunks of the body is longer than the body; send larger chunks")

    def _refuse(self, status: int, message: str) -> None:
        """Take no more requests, and say why once those before are answered."""
        if self._refusal or self.transport.is_closing():
            return
        body = json.dumps({"error": message}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._refusal = STATUS_LINE[status] + head + body
        if not self._in_head:  # what is wrong is in the body of the last request, which gets this for an answer
            if self.cycle.response_started:
                self.transport.close()
                return
            self._asked.remove(self.cycle)
            if self.pipeline:
                self.pipeline.popleft()
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._give_refusal()

    def _give_refusal(self) -> None:
        if self._asked or self._last_timer is not None or self.transport.is_closing():
            return
        self.transport.write(self._refusal)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._last_timer = self.loop.call_later(_LAST_SECONDS, self.transport.close)

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > _LAST_BYTES:
            self.transport.close()
