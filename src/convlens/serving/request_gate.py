"""What every request passes: its id, the token, the counts, the log line, and the headers that every answer carries."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from convlens.serving.answers import failure
from convlens.serving.bodies import DisconnectedError, discard
from convlens.serving.journal import note
from convlens.serving.refusals import RefusalError
from convlens.serving.service import Service
from convlens.serving.tokens import allows

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

GUARDED = frozenset({"/predict", "/explain", "/info", "/metrics"})
KNOWN = GUARDED | {"/", "/health", "/ready", "/docs", "/openapi.json"}

# Asked every few seconds by whatever watches the server, so not worth a line each.
_ROUTINE = frozenset({"/health", "/ready", "/metrics"})
_FOR_BALANCERS = frozenset({"/health", "/ready"})  # which name whom they like
# Scripts, styles and pictures come from this server; nothing else is loaded, framed or sent anywhere.
FAULT = "a fault of the server; its log says more under this request id"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Gate:
    """An ASGI application around another.

    Args:
        application: what answers.
        service: what the worker knows.
        predict: answers POST /predict; FastAPI, which describes it, would take as long as the network of a small run.
    """

    def __init__(
        self, application: Application, service: Service, predict: Callable[[Request], Awaitable[Response]]
    ) -> None:
        self._application = application
        self._service = service
        self._predict = predict

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request through."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        passage = Passage(self._service, headers, receive, send)
        scope.setdefault("state", {})["passage"] = passage
        self._service.measurements.request_began()
        try:
            if sum(name == b"host" for name, _ in scope["headers"]) > 1:
                raise RefusalError(400, "the request has two Host headers; send one")
            if self._service.token is None and scope["path"] not in _FOR_BALANCERS:
                self._service.hosts.check(headers.get(b"host"))
            self._check_token(scope, headers)
            if scope["path"] == "/predict" and scope["method"] == "POST":
                response = await self._predict(Request(scope, passage.receive))
                await response(scope, receive, passage.send)
            else:
                # Whatever can be got has a head; the server leaves out the body.
                asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
                await self._application(asked, passage.receive, passage.send)
        except RefusalError as refusal:
            await (await passage.refuse(refusal))(scope, receive, passage.send)
        except DisconnectedError:
            passage.status = 499  # as nginx counts it; nobody is there to read an answer
        except Exception as error:
            note("fault", level=logging.ERROR, exc_info=error, request_id=passage.request_id, path=scope["path"])
            if not passage.status:  # FastAPI answers before it raises again
                await (await passage.refuse(RefusalError(500, FAULT)))(scope, receive, passage.send)
        finally:
            self._close(scope, passage, time.perf_counter() - began)

    def _check_token(self, scope: Any, headers: dict[bytes, bytes]) -> None:
        token = self._service.token
        if token and scope["path"] in GUARDED and not allows(token, headers.get(b"authorization")):
            raise RefusalError(
                401,
                "send the header 'Authorization: Bearer TOKEN' with the server's token",
                {"WWW-Authenticate": "Bearer"},
            )

    def _close(self, scope: Any, passage: "Passage", seconds: float) -> None:
        path = scope["path"] if scope["path"] in KNOWN else "other"
        self._service.measurements.request_ended(path, passage.status, seconds)
        note(
            "request",
            level=logging.DEBUG if path in _ROUTINE else logging.INFO,
            request_id=passage.request_id,
            method=scope["method"],
            path=scope["path"],
            code=passage.status,
            ms=round(seconds * 1000, 2),
            client=scope["client"][0] if scope.get("client") else None,
            **passage.noted,
        )


class Passage:
    """One request's way in and out: adds the headers, and remembers what the log line says.

    Attributes:
        request_id: the client's, if it sent a sensible one.
        status: of the answer; 0 before it begins.
        noted: further fields of the log line.
    """

    def __init__(self, service: Service, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        given = headers.get(b"x-request-id", b"")
        self.request_id = given.decode("ascii") if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self.noted: dict[str, Any] = {}
        self._service = service
        self._receive = receive
        self._send = send
        self._nothing_comes = b"expect" in headers  # a client that waits to be told to send
        self._ended = False

    async def receive(self) -> Message:
        """Receive for the application, remembering whether anything is still to come."""
        message = await self._receive()
        self._nothing_comes = False
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send for the application, with the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *_HEADERS, (b"x-request-id", self.request_id.encode())]
            if self._service.draining:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, refusal: RefusalError) -> Response:
        """Let the client finish sending, for a moment, so that it will read the refusal; then give it."""
        if not self._ended and not self._nothing_comes and refusal.status != 408:
            await discard(self.receive)
        return failure(refusal, self.request_id)
