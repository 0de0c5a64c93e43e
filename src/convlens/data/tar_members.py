"""The members of an uncompressed tar, walked to its end mark: a walk that ends before has lost what follows."""

import tarfile
from collections.abc import Iterator
from typing import Any

from convlens.data.dataset import DataError

_BLOCK = 512  # of a tar
_PIECE = 1 << 20


def walk_members(stream: Any, start: int, length: int) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Walk the members of a tar.

    Args:
        stream: the opened file, which can be sought.
        start: the offset of the header to begin at.
        length: bytes of the file.

    Raises:
        DataError: a member is longer than the file, a header is cut or changed, the end mark is missing, or something
            follows it.
        tarfile.TarError, OSError, ValueError, OverflowError, RecursionError: it is damaged or cannot be read.
    """
    stream.seek(start)
    name = ""
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while (member := tar.next()) is not None:
            vars(tar)["members"] = []  # otherwise it remembers each, and there may be millions
            name = member.name[:80]
            if not 0 <= member.size <= length - member.offset_data or member.issparse():
                raise DataError(f"its member {name!r} has {member.size:,} bytes, which are not there")
            yield member, tar
        # A header that is cut or changed ends that walk as the mark does.
        _check_end(stream, tar.offset, name)


def _check_end(stream: Any, offset: int, last: str) -> None:
    stream.seek(offset)
    mark = stream.read(_BLOCK)
    if mark != bytes(_BLOCK):
        what = "is cut" if len(mark) < _BLOCK else "is neither a header nor the end mark"
        raise DataError(f"what follows its member {last!r} at byte {offset:,} {what}")
    while piece := stream.read(_PIECE):
        if piece.strip(b"\0"):
            raise DataError(f"it goes on after the end mark behind {last!r}, as tars that were joined do")
