"""From the bytes of a request to the images in it: multipart/form-data, base64 in JSON, or an image as it is."""

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from python_multipart.multipart import parse_options_header

from convlens.serving.refusals import RefusalError

FIELD = "file"
_LONGEST_BOUNDARY = 70  # RFC 2046, section 5.1.1
_LONGEST_PART_HEAD = 8_192
_OTHER_FIELDS = 32  # parts of a body that are not images
_MOST_MARKS = 20_000
_MOST_SKELETON = 500_000
_LONG_TEXT = 1_000
_BACKSLASH = ord("\\")
_PIECE = 1 << 20  # a multiple of 4
_HOW = "send multipart/form-data with the images in the field 'file', application/json, or one image as image/jpeg"
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
    if name not in ("multipart/form-data", "application/json") and not name.startswith("image/"):
        raise RefusalError(415, f"the content type is {name or 'missing'}; {_HOW}")
    if name == "multipart/form-data" and not options.get(b"boundary"):
        raise RefusalError(400, "the multipart content type names no boundary; let the client library set the header")
    return name, options


def refuse_encoded(headers: Mapping[str, str]) -> None:
    """Stop at a body that is compressed on its way: a few bytes of it could stand for any number.

    Raises:
        RefusalError: 415.
    """
    for name, plain in (("content-encoding", ("", "identity")), ("transfer-encoding", ("", "chunked"))):
        if headers.get(name, "").strip().lower() not in plain:
            raise RefusalError(415, f"{name} is {headers[name][:40]!r}; send the body as it is")


def parse(body: bytes, content_type: str | None, *, max_files: int) -> list[Upload]:
    """Find the images in a request.

    Raises:
        RefusalError: 415 for another type; 400 for a body that is broken or has no images; 413 for too many.
    """
    kind, options = media_type(content_type)
    if kind == "application/json":
        uploads = _from_json(body, max_files)
    elif kind == "multipart/form-data":
        uploads = _from_multipart(body, options[b"boundary"], max_files)
    else:
        uploads = [Upload("image", body)]
    if not uploads:
        raise RefusalError(400, f"the request has no images; {_HOW}")
    return uploads


def _from_multipart(body: bytes, boundary: bytes, max_files: int) -> list[Upload]:
    """Find the parts of a body by searching it for its boundary, so that its length decides what it costs."""
    if len(boundary) > _LONGEST_BOUNDARY:
        raise RefusalError(400, f"the boundary has {len(boundary)} bytes; at most {_LONGEST_BOUNDARY} are allowed")
    mark = b"--" + boundary
    begin = 0 if body.startswith(mark) else _find(body, b"\r\n" + mark, 0) + 2
    if begin == 1:
        raise _broken("it does not hold its boundary")
    uploads: list[Upload] = []
    for _ in range(max_files + _OTHER_FIELDS):
        begin += len(mark)
        if body[begin : begin + 2] == b"--":
            return uploads
        end = _find(body, b"\r\n" + mark, begin)
        if end < 0:
            raise _broken("it stops before its last boundary")
        upload = _from_part(body, begin, end, len(uploads) + 1)
        if upload is not None:
            if len(uploads) == max_files:
                raise _too_many(max_files)
            uploads.append(upload)
        begin = end + 2
    raise RefusalError(413, f"the request has more than {max_files + _OTHER_FIELDS} parts; send only images")


def _from_part(body: bytes, begin: int, end: int, number: int) -> Upload | None:
    """The image in a part between its boundaries; None for another field."""
    start = body.find(b"\r\n", begin, begin + 80)
    blank = body.find(b"\r\n\r\n", start, min(start + _LONGEST_PART_HEAD, end)) if start >= 0 else -1
    if blank < 0 or body[begin:start].strip(b" \t"):
        raise _broken(f"part {number} has no headers, or some longer than {_LONGEST_PART_HEAD:,} bytes")
    options: dict[bytes, bytes] = {}
    for line in body[start:blank].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value.strip())
    if options.get(b"name") != FIELD.encode():
        return None
    filename = options.get(b"filename", b"").decode("utf-8", "replace") or f"image {number}"
    return Upload(filename, body[blank + 4 : end])


def _broken(reason: str) -> RefusalError:
    return RefusalError(400, f"the multipart body is broken: {reason}")


def _from_json(body: bytes, max_files: int) -> list[Upload]:
    skeleton, texts = _without_long_texts(body)
    try:
        content = json.loads(skeleton)
    except (ValueError, RecursionError):
        raise RefusalError(400, f"the body is no JSON; {_JSON_HOW}") from None
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, list):
        raise RefusalError(400, f"the JSON has no list 'files'; {_JSON_HOW}")
    if len(files) > max_files:
        raise _too_many(max_files)
    return [_from_entry(entry, number, texts) for number, entry in enumerate(files, start=1)]


def _without_long_texts(body: bytes) -> tuple[bytes, dict[str, bytes]]:
    """A JSON body with a short name in place of each long text, and the texts by these names.

    Parsing takes time and memory by the value, and holds the interpreter while it does; base64 is no work for it. What
    makes a value is counted before: base64 has none of it.

    Raises:
        RefusalError: 400, it has more values, or more outside of its texts, than such a body needs.
    """
    if body.count(b"\\") > _MOST_MARKS:
        # some write every slash of base64 in this way, and others break its lines
        body = body.replace(b"\\/", b"/").replace(b"\\n", b"").replace(b"\\r", b"")
    if sum(body.count(mark) for mark in (b"[", b"{", b",", b":", b'"', b"\\")) > _MOST_MARKS:
        raise RefusalError(400, f"the JSON has more than {_MOST_MARKS:,} values; {_JSON_HOW}")
    mark = secrets.token_hex(8)
    kept: list[bytes] = []
    texts: dict[str, bytes] = {}
    begin = 0
    while (quote := _find(body, b'"', begin)) >= 0 and (end := _end_of_text(body, quote + 1)) >= 0:
        kept.append(body[begin : quote + 1])
        if end - quote > _LONG_TEXT:
            name = f"{mark}{len(texts)}"
            texts[name] = body[quote + 1 : end]
            kept.append(name.encode())
        else:
            kept.append(body[quote + 1 : end])
        kept.append(b'"')
        begin = end + 1
    kept.append(body[begin:])
    skeleton = b"".join(kept)
    if len(skeleton) > _MOST_SKELETON:
        raise RefusalError(400, f"the JSON has more than {_MOST_SKELETON:,} bytes besides its images; {_JSON_HOW}")
    return skeleton, texts


def _end_of_text(body: bytes, begin: int) -> int:
    """Where the quote is that ends a text; -1 if none does."""
    quote = _find(body, b'"', begin)
    while quote >= 0:
        before = quote - 1
        while before >= begin and body[before] == _BACKSLASH:
            before -= 1
        if (quote - before) % 2:  # an even number of them
            return quote
        quote = _find(body, b'"', quote + 1)
    return -1


def _find(body: bytes, wanted: bytes, begin: int) -> int:
    """`body.find`, a stretch at a time, so that other threads get their turn."""
    while begin < len(body):
        place = body.find(wanted, begin, begin + _PIECE + len(wanted))
        if place >= 0:
            return place
        begin += _PIECE
    return -1


def _from_entry(entry: Any, number: int, texts: Mapping[str, bytes]) -> Upload:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise RefusalError(400, f"entry {number} of 'files' has no text 'content'; {_JSON_HOW}")
    name = entry.get("file", f"image {number}")
    if not isinstance(name, str):
        raise RefusalError(400, f"entry {number} of 'files' has a 'file' that is not text; {_JSON_HOW}")
    if name in texts:
        name = texts[name].decode("utf-8", "replace")
    given = entry["content"]
    try:
        return Upload(name, _decoded(texts.get(given) or given.encode("ascii")))
    except (binascii.Error, ValueError):
        raise RefusalError(400, f"entry {number} of 'files' ({name}) is not base64; {_JSON_HOW}") from None


def _decoded(text: bytes) -> bytes:
    """Decode base64 a piece at a time, so that other threads get their turn."""
    if text.startswith(b"data:"):
        text = text[text.find(b",", 0, 200) + 1 :]
    if b"\\" in text:
        text = text.replace(b"\\/", b"/")
    for end in (b"\\r", b"\\n", b"\r", b"\n"):  # tools break lines of 76 characters
        text = text.replace(end, b"")
    if text.find(b"=", 0, max(0, len(text) - 2)) >= 0:
        raise binascii.Error
    pieces = range(0, len(text), _PIECE)
    return b"".join(base64.b64decode(text[begin : begin + _PIECE], validate=True) for begin in pieces)


def _too_many(max_files: int) -> RefusalError:
    return RefusalError(413, f"the request has more than {max_files} images; send them in several requests")
