"""Shards that `convlens pack` wrote: listed from their index, and read where they lie, near or far.

A shard behind an address is fetched whole when the first of its images is wanted, and the next ones meanwhile. Those
that were not used for longest go when all copies take more than the cache allows.
"""

import json
import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import BadFile, DataError, Record
from convlens.data.downloads import Downloads
from convlens.data.kept_folders import budget
from convlens.data.listing import Listing
from convlens.data.packing import FORMAT, INDEX, RECORDS, sha256_of
from convlens.data.parquet import ParquetSource
from convlens.data.reaching import contents, is_address
from convlens.data.shards import ShardSource
from convlens.data.workers import Workers, done_within
from convlens.files import cache_folder
from convlens.images import ImageError, read

_PAUSES_S = (0.0, 0.5, 2.0)  # before each try to get a shard
_AHEAD = 2  # shards that are fetched while others are read
_LEAST_KEPT = 8  # shards, whatever the cache allows
_MOST_INDEX_BYTES = 2_000_000_000

log = logging.getLogger("convlens")


class ShardError(ImageError):
    """A shard that cannot be read, or is not what was packed; the message names it."""


def index_of(source: str | Path) -> dict[str, Any] | None:
    """The index of packed shards in a folder or behind an address, or None where there is none."""
    try:
        if is_address(source):
            content = contents(f"{str(source).rstrip('/')}/{INDEX}")
        else:
            content = (Path(source) / INDEX).read_bytes()
        index = json.loads(content)
    except (OSError, DataError, ValueError):
        return None
    return index if isinstance(index, dict) and index.get("format") == FORMAT else None


def list_packed(index: dict[str, Any], source: str | Path) -> Listing:
    """List packed shards from their index, without opening any.

    Shards of this machine that are missing or have another size than they were written with are bad files.

    Raises:
        DataError: the index is damaged, or does not belong to the list of records beside it.
    """
    location = location_of(source)
    try:
        lines = packed_records(index, location)
        shards = {str(shard["file"]): shard for shard in index["shards"]}
        classes = [str(name) for name in index["classes"]]
        splits: dict[str, list[Record]] = {}
        bad: list[BadFile] = []
        for row in lines:
            shard = shards[row["file"]]
            path = f"{location}/{row['file']}"
            fault = "" if is_address(location) else _fault_of(Path(path), int(shard["bytes"]))
            if fault:
                bad += [BadFile(key=str(key), reason=f"{path} {fault}") for key in row["keys"]]
                log.warning("%s %s; its %d images are left out", path, fault, len(row["keys"]))
                continue
            columns = zip(row["keys"], row["labels"], row["places"], row["sizes"], strict=True)
            splits.setdefault(str(shard["split"]), []).extend(
                Record(key=str(key), label=classes[label], path=path, place=tuple(place), size_bytes=int(size))
                for key, label, place, size in columns
            )
        return Listing(
            name=str(index["name"]),
            splits={split: tuple(records) for split, records in splits.items()},
            source=packed_source(index, location),
            channels=int(index["channels"]),
            bad=tuple(bad),
            mirrors=bool(index["mirrors"]),
            location=location,
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{location}/{INDEX} is damaged ({error!r}); pack the data again") from None


def location_of(source: str | Path) -> str:
    """The absolute path or the address of packed shards."""
    return str(source).rstrip("/") if is_address(source) else str(Path(source).resolve())


def packed_source(index: Mapping[str, Any], location: str) -> "PackedSource":
    """What reads the images of packed shards.

    Raises:
        KeyError, TypeError, ValueError: the index is damaged.
    """
    shards = {str(shard["file"]): (int(shard["bytes"]), str(shard["sha256"])) for shard in index["shards"]}
    return PackedSource(str(index["kind"]), location, {f"{location}/{name}": facts for name, facts in shards.items()})


def packed_records(index: Mapping[str, Any], location: str) -> list[dict[str, Any]]:
    """A row a shard: its file, and of each of its images the key, the label's number, the place and the size.

    Raises:
        DataError: the list does not belong to the index, or cannot be read.
        KeyError, TypeError, ValueError: it is damaged.
    """
    rows = _records(location, str(index["records_sha256"]))
    for row in rows:
        if PurePosixPath(row["file"]).name != row["file"]:
            raise ValueError(f"the shard {row['file']!r} lies elsewhere")
    return rows


def _records(location: str, digest: str) -> list[dict[str, Any]]:
    try:
        if is_address(location):
            content = contents(f"{location}/{RECORDS}", most=_MOST_INDEX_BYTES)
        else:
            content = (Path(location) / RECORDS).read_bytes()
    except OSError as error:
        raise DataError(
            f"{location}/{RECORDS} cannot be read: {error.strerror}; copy all files of the shards"
        ) from None
    if sha256(content).hexdigest() != digest:
        raise DataError(f"{location}/{RECORDS} is not the one that {INDEX} was written with; copy both again")
    return [json.loads(line) for line in content.splitlines()]


def _fault_of(path: Path, size: int) -> str:
    try:
        there = path.stat().st_size
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if there == size else f"has {there:,} bytes and was written with {size:,}"


class PackedSource:
    """Reads images of packed shards, each of which is checked against its SHA-256 when it is first used.

    Args:
        kind: `"tar"` or `"parquet"`.
        location: the folder or address of the shards.
        shards: location -> bytes and SHA-256.
    """

    raw = False

    def __init__(self, kind: str, location: str, shards: dict[str, tuple[int, str]]) -> None:
        self.kind, self.location, self.shards = kind, location, shards
        self._inner = ShardSource() if kind == "tar" else ParquetSource("image")
        self._files: OrderedDict[str, Future[Path]] = OrderedDict()  # the last ones used at the end
        self._next: dict[str, str] = {}
        self._lock = threading.Lock()
        self._fetchers: Workers[Path] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"kind": self.kind, "location": self.location, "shards": self.shards}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        try:
            return read(self.encoded(record), channels=channels, at_least=at_least)
        except ShardError:
            raise
        except ImageError as error:
            raise ImageError(str(error).replace("the file", record.key, 1)) from None

    def encoded(self, record: Record) -> bytes:
        """The bytes of the image's file.

        Raises:
            ShardError: its shard cannot be had, after several tries.
        """
        path = self._local(record.path)
        try:
            content = self._inner.encoded(replace(record, path=str(path)))
        except ImageError:
            if path.exists():
                raise
            with self._lock:  # it made room for others just then
                self._files.pop(record.path, None)
            content = self._inner.encoded(replace(record, path=str(self._local(record.path))))
        if self.kind == "tar" and len(content) != record.place[1]:
            raise ShardError(f"{record.path} ends within {record.key}")
        return content

    def expect(self, shards: Sequence[str]) -> None:
        """Say in which order shards will be read, so that the next ones are fetched ahead."""
        self._next = dict(pairwise(shards))

    def _local(self, shard: str) -> Path:
        """A checked file of this machine; waits for it if it must be fetched."""
        with self._lock:
            future = self._begin(shard)
            following = shard
            for _ in range(_AHEAD if is_address(self.location) else 0):
                following = self._next.get(following, "")
                if following and following not in self._files:
                    self._begin(following)
            self._files.move_to_end(shard)
            self._let_go()
        done_within(future)  # and not result(), which Ctrl-C could not interrupt
        return future.result()

    def _begin(self, shard: str) -> "Future[Path]":
        if shard not in self._files:
            if self._fetchers is None:
                fetch = partial(_checked, self.location, self.shards)  # holds no source, so that one can end
                self._fetchers = Workers(fetch, count=1 + _AHEAD, name="convlens-shards")
                weakref.finalize(self, self._fetchers.close)
            self._files[shard] = self._fetchers.submit(shard)
        return self._files[shard]

    def _let_go(self) -> None:
        """Remove the copies that were not used for longest, where all take more than allowed."""
        if not is_address(self.location):
            return
        allowed = budget(cache_folder() / "downloads", "*")
        taken = sum(self.shards[shard][0] for shard in self._files)
        for shard in list(self._files):
            if taken <= allowed or len(self._files) <= _LEAST_KEPT:
                return
            future = self._files[shard]
            if future.done() and not future.exception():
                future.result().unlink(missing_ok=True)
                taken -= self.shards[shard][0]
                del self._files[shard]


def _checked(location: str, shards: dict[str, tuple[int, str]], shard: str) -> Path:
    """A file of this machine that is the shard that was packed, after several tries."""
    size, digest = shards[shard]
    reason = ""
    for pause in _PAUSES_S:
        time.sleep(pause)
        try:
            path = Downloads(location).fetched(shard, size) if is_address(shard) else Path(shard)
            if sha256_of(path) == digest:
                return path
            reason = "is not what was packed: its SHA-256 is another"
            if is_address(shard):
                path.unlink(missing_ok=True)
        except DataError as error:
            reason = f"cannot be fetched: {error}"
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
    raise ShardError(f"{shard} {reason}")
