"""A stand-in for S3 over a local folder: what s3fs asks for to list and to fetch, a page of keys at a time."""

import hashlib
import http.server
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 10  # keys a listing gives at once, so that small tests turn pages


class S3Handler(http.server.BaseHTTPRequestHandler):
    """GET and HEAD of objects with ranges, and ListObjectsV2 with prefix, delimiter and pages."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, folder, asked, **how):
        self.folder, self.asked = folder, asked
        super().__init__(*arguments, **how)

    def do_GET(self):
        self._answer(with_body=True)

    def do_HEAD(self):
        self._answer(with_body=False)

    def log_message(self, format, *arguments):
        pass

    def _answer(self, with_body):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        self.asked.append((self.command, key or "?" + query.get("prefix", ""), self.headers.get("Authorization", "")))
        if not key:
            return self._send(200, self._listing(bucket, query), with_body)
        path = self.folder / bucket / key
        if not path.is_file():
            return self._send(404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>", with_body)
        content, status, headers = path.read_bytes(), 200, self._describing(path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        return self._send(status, content, with_body, headers)

    def _listing(self, bucket, query):
        root, prefix, delimiter = self.folder / bucket, query.get("prefix", ""), query.get("delimiter", "")
        keys = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
        entries = {}  # a key, or what several share up to the delimiter, in order
        for key in keys:
            if key.startswith(prefix):
                head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                entries[prefix + head + found if found else key] = bool(found)
        start = int(query.get("continuation-token", "0"))
        most = min(PAGE, int(query.get("max-keys", PAGE)))
        parts = []
        for name in list(entries)[start : start + most]:
            if entries[name]:
                parts.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
            else:
                tag = self._describing(root / name)
                changed = datetime.fromtimestamp((root / name).stat().st_mtime, UTC)
                parts.append(
                    f"<Contents><Key>{escape(name)}</Key><ETag>{escape(tag['ETag'])}</ETag>"
                    f"<Size>{(root / name).stat().st_size}</Size><StorageClass>STANDARD</StorageClass>"
                    f"<LastModified>{changed:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
                )
        more = start + most < len(entries)
        token = f"<NextContinuationToken>{start + most}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(parts)}</KeyCount>"
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(parts)}"
            "</ListBucketResult>"
        ).encode()

    def _describing(self, path):
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return {
            "ETag": f'"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"',
            "Last-Modified": f"{changed:%a, %d %b %Y %H:%M:%S GMT}",
            "Accept-Ranges": "bytes",
        }

    def _send(self, status, content, with_body, headers=None):
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/xml"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)


def s3_server(folder: Path, asked: list[tuple[str, str, str]]) -> http.server.ThreadingHTTPServer:
    """A server whose buckets are the folders in `folder`; what is asked for is appended to `asked`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(S3Handler, folder=folder, asked=asked))
    server.daemon_threads = True
    return server
