"""What goes back: JSON bodies, and the one shape that every refusal has."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from convlens.serving.jobs import Answer
from convlens.serving.refusals import RefusalError


def to_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Give content as JSON, as `--json` would print it."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    body = text.encode("utf-8", "replace")  # a name may hold half a surrogate pair
    return Response(body, status, headers, media_type="application/json")


def predictions(answers: Sequence[Answer]) -> Response:
    """Give the answers of a request: 400 if no image could be read, else 200, each bad image with its own error."""
    readable = any("classes" in answer for answer in answers)
    return to_json({"predictions": answers}, 200 if readable else 400)


def failure(refusal: RefusalError, request_id: str) -> Response:
    """Give a refusal: {"error": what was wrong and what to do, "request_id": for the log}."""
    return to_json({"error": refusal.message, "request_id": request_id}, refusal.status, refusal.headers)
