"""How /openapi.json describes what FastAPI cannot derive: the two kinds of body, the answer, the refusals."""

from typing import Any

_CLASS = {
    "type": "object",
    "required": ["label", "probability"],
    "properties": {
        "label": {"type": "string"},
        "probability": {"type": "number", "description": "To four digits."},
    },
}
_PREDICTION = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "description": "The name as sent."},
        "classes": {"type": "array", "items": _CLASS, "description": "Likeliest first."},
        "error": {"type": "string", "description": "Instead of classes, why this image cannot be read."},
    },
}
_PREDICTIONS = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"type": "array", "items": _PREDICTION}},
}
_FAILURE = {
    "type": "object",
    "required": ["error", "request_id"],
    "properties": {"error": {"type": "string"}, "request_id": {"type": "string"}},
}

ANSWER: dict[str, Any] = {
    "description": "The classes of each image; one that cannot be read has an error instead.",
    "content": {"application/json": {"schema": _PREDICTIONS}},
}

PICTURE: dict[str, Any] = {"description": "The image with its heat, as a PNG.", "content": {"image/png": {}}}


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _FAILURE}}}


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "The body is broken or holds no image that can be read.",
        "content": {"application/json": {"schema": {"anyOf": [_PREDICTIONS, _FAILURE]}}},
    },
    401: _refusal("The bearer token is missing or another."),
    408: _refusal("The body took too long to arrive."),
    413: _refusal("The body is too large, or has too many images."),
    415: _refusal("The body is neither multipart/form-data nor application/json nor an image."),
    429: _refusal("The server is full; Retry-After says in how many seconds to try again."),
    503: _refusal("The network is not warm yet, or the server is being stopped."),
    504: _refusal("The answer took too long."),
}

PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "description": "One image or many.",
                    }
                },
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary", "description": "One image, as its file is."}},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["content"],
                            "properties": {
                                "file": {"type": "string", "description": "A name, given back in the answer."},
                                "content": {"type": "string", "format": "byte", "description": "The image in base64."},
                            },
                        },
                    }
                },
            }
        },
    },
}
