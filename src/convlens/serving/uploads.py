"""From the bytes of a request to the images in it: multipart/form-data, or base64 in JSON."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from convlens.serving.refusals import RefusalError

FIELD = "file"
_HOW = "send multipart/form-data with the images in the field 'file', or application/json"
_JSON_HOW = 'send {"files": [{"file": "cat.jpg", "content": "<base64>"}]}'


@dataclass(frozen=True)
class Upload:
    """One image as it was sent."""

    name: str
    content: bytes


def media_type(content_type: str | None) -> tuple[str, dict[bytes, bytes]]:
    """The type of a body and its parameters, such as the boundary.

    Raises:
        RefusalError: 415, the type is missing or another.
    """
    kind, options = parse_options_header(content_type)
    name = kind.decode("latin-1").lower()
    if name not in ("multipart/form-data", "application/json"):
        raise RefusalError(415, f"the content type is {name or 'missing'}; {_HOW}")
    if name == "multipart/form-data" and not options.get(b"boundary"):
        raise RefusalError(400, "the multipart content type names no boundary; let the client library set the header")
    return name, options


def parse(body: bytes, content_type: str | None, *, max_files: int) -> list[Upload]:
    """Find the images in a request.

    Raises:
        RefusalError: 415 for another type; 400 for a body that is broken or has no images; 413 for too many.
    """
    kind, options = media_type(content_type)
    if kind == "application/json":
        uploads = _from_json(body, max_files)
    else:
        uploads = _from_multipart(body, options[b"boundary"], max_files)
    if not uploads:
        raise RefusalError(400, f"the request has no images; {_HOW}")
    return uploads


def _from_multipart(body: bytes, boundary: bytes, max_files: int) -> list[Upload]:
    parts = _Parts(max_files)
    try:
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        raise RefusalError(400, f"the multipart body is broken: {' '.join(str(error).split())}") from None
    if not parts.ended:
        raise RefusalError(400, "the multipart body is broken: it stops before its last boundary")
    return parts.uploads


class _Parts:
    """Collects the parts of a multipart body whose field is `file`; others are ignored."""

    def __init__(self, max_files: int) -> None:
        self.max_files = max_files
        self.uploads: list[Upload] = []
        self.ended = False
        self._name = self._value = b""
        self._disposition = b""
        self._pieces: list[bytes] = []

    def callbacks(self) -> dict[str, Any]:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._more,
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._pieces = []

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode():
            return
        if len(self.uploads) == self.max_files:
            raise _too_many(self.max_files)
        name = options.get(b"filename", b"").decode("utf-8", "replace") or f"image {len(self.uploads) + 1}"
        self.uploads.append(Upload(name, b"".join(self._pieces)))

    def _finish(self) -> None:
        self.ended = True


def _from_json(body: bytes, max_files: int) -> list[Upload]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusalError(400, f"the body is no JSON; {_JSON_HOW}") from None
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, list):
        raise RefusalError(400, f"the JSON has no list 'files'; {_JSON_HOW}")
    if len(files) > max_files:
        raise _too_many(max_files)
    return [_from_entry(entry, number) for number, entry in enumerate(files, start=1)]


def _from_entry(entry: Any, number: int) -> Upload:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise RefusalError(400, f"entry {number} of 'files' has no text 'content'; {_JSON_HOW}")
    name = entry.get("file", f"image {number}")
    if not isinstance(name, str):
        raise RefusalError(400, f"entry {number} of 'files' has a 'file' that is no text; {_JSON_HOW}")
    text = entry["content"]
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return Upload(name, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise RefusalError(400, f"entry {number} of 'files' ({name}) is no base64; {_JSON_HOW}") from None


def _too_many(max_files: int) -> RefusalError:
    return RefusalError(413, f"the request has more than {max_files} images; send them in several requests")
