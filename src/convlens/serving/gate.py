"""What every request passes: its id, the token, the counts, the log line, and the headers that every answer carries."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

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

# Scripts, styles and pictures come from this server; nothing else is loaded, framed or sent anywhere.
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
    """

    def __init__(self, application: Application, service: Service) -> None:
        self._application = application
        self._service = service

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request through."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        passage = _Passage(self._service, headers, send)
        scope.setdefault("state", {})["request_id"] = passage.request_id
        self._service.measurements.request_began()
        try:
            self._check_token(scope, headers)
            await self._application(scope, receive, passage.send)
        except RefusalError as refusal:
            await discard(receive, {name.decode("latin-1"): "" for name in headers})
            await failure(refusal, passage.request_id)(scope, receive, passage.send)
        except DisconnectedError:
            passage.status = passage.status or 499  # as nginx counts it; nobody is there to read it
        except Exception as error:
            note("fault", level=logging.ERROR, exc_info=error, request_id=passage.request_id, path=scope["path"])
            if not passage.status:
                fault = RefusalError(500, "a fault of the server; its log has the details under this request id")
                await failure(fault, passage.request_id)(scope, receive, passage.send)
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

    def _close(self, scope: Any, passage: "_Passage", seconds: float) -> None:
        path = scope["path"] if scope["path"] in KNOWN else "other"
        self._service.measurements.request_ended(path, passage.status, seconds)
        note(
            "request",
            request_id=passage.request_id,
            method=scope["method"],
            path=scope["path"],
            code=passage.status,
            ms=round(seconds * 1000, 2),
            client=scope["client"][0] if scope.get("client") else None,
            **scope["state"].get("noted", {}),
        )


class _Passage:
    """One request's way out: adds the headers, and remembers the status."""

    def __init__(self, service: Service, headers: dict[bytes, bytes], send: Send) -> None:
        given = headers.get(b"x-request-id", b"")
        self.request_id = given.decode("ascii") if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self._service = service
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *_HEADERS, (b"x-request-id", self.request_id.encode())]
            if self._service.draining:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)
