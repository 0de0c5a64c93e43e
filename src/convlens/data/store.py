"""Decoded images on disk, so that a file is decoded once and not in every epoch.

A store is a folder. Every process that writes appends to two files of its own: `*.pixels`, the images one after
another, and `*.index`, one fixed-size row an image, written after its pixels. Nobody ever writes into another's file,
so processes need not wait for each other; and whoever is killed leaves at worst pixels without a row, or part of a row,
which readers pass over. A checksum in the row is compared when an image is first read.
"""

import hashlib
import mmap
import os
import secrets
import struct
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import Record

_ROW = struct.Struct("<16sQIIIxxxxQ")  # key, offset, height, width, channels, sum of the pixels


@dataclass(eq=False)
class _Segment:
    """A file of pixels, mapped as far as it had grown when it was last needed."""

    path: Path
    rows_read: int = 0
    mapped: mmap.mmap | None = field(default=None, repr=False)

    def bytes_at(self, offset: int, size: int) -> NDArray[np.uint8]:
        """A window into the file; arrays may be written to, the file never is."""
        if self.mapped is None or len(self.mapped) < offset + size:
            with self.path.open("rb") as file:
                self.mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            if len(self.mapped) < offset + size:
                raise ValueError("the file of pixels is shorter than its index says")
        return np.frombuffer(self.mapped, np.uint8, size, offset)


class _Entry(NamedTuple):
    segment: _Segment
    offset: int
    shape: tuple[int, int, int]
    checksum: int

    def view(self) -> NDArray[np.uint8]:
        height, width, channels = self.shape
        return self.segment.bytes_at(self.offset, height * width * channels).reshape(self.shape)


def entry_key(record: Record) -> bytes:
    """What identifies the file behind a record as it is now: path, place, size and time of change; 16 bytes."""
    changed = 0
    if record.path:
        try:
            changed = os.stat(record.path).st_mtime_ns  # noqa: PTH116 - asked for each image: a Path costs more
        except OSError:  # reading it will say why
            changed = -1
    where = os.path.abspath(record.path) if record.path else record.key  # noqa: PTH100
    name = f"{where}\0{record.place}\0{record.size_bytes}\0{changed}"
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def settings_key(settings: Mapping[str, Any]) -> str:
    """The name of the folder for images that were decoded with these settings."""
    return hashlib.blake2b(repr(sorted(settings.items())).encode(), digest_size=10).hexdigest()


class Store:
    """Images by key, uint8 (H, W, C), in a folder that several processes may share.

    Args:
        folder: made if it is missing.
        max_bytes: what this folder may grow to; then nothing more is added.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store(Path(folder), max_bytes=1000) as store:
    ...     store.put(b"k" * 16, np.zeros((2, 3, 1), np.uint8))
    ...     store.get(b"k" * 16).shape, store.get(b"x" * 16)
    True
    ((2, 3, 1), None)
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self.stopped = ""  # why nothing more is added
        folder.mkdir(parents=True, exist_ok=True)
        self._segments: dict[Path, _Segment] = {}
        self._entries: dict[bytes, _Entry] = {}
        self._sound: set[bytes] = set()  # written by us, or compared with their checksum
        self._lock = threading.Lock()
        self._own: tuple[int, int, _Segment] | None = None  # descriptors of our pixels and index
        self._open: list[int] = []  # descriptors to close, at the latest when nobody holds the store any more
        weakref.finalize(self, _close_all, self._open)
        self._written = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def refresh(self) -> None:
        """Take in what other processes have added."""
        with self._lock:
            for index in sorted(self.folder.glob("*.index")):
                segment = self._segments.setdefault(index, _Segment(index.with_suffix(".pixels")))
                self._read_rows(index, segment)
            self._size = sum(_size(segment.path) for segment in self._segments.values())

    def get(self, key: bytes) -> NDArray[np.uint8] | None:
        """The image, or None where there is none or its pixels do not fit its checksum."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            with self._lock:
                image = entry.view()
        except (OSError, ValueError):  # somebody removed or cut the file
            self._entries.pop(key, None)
            return None
        if key not in self._sound:
            if _checksum(image) != entry.checksum:
                self._entries.pop(key, None)
                return None
            self._sound.add(key)
        return image

    def put(self, key: bytes, image_HWC: NDArray[np.uint8]) -> bool:
        """Add an image; returns whether it is there now. A full disk or a full store stops adding, never the caller."""
        with self._lock:
            if key in self._entries:
                return True
            if self.stopped:
                return False
            if self._size + image_HWC.nbytes > self.max_bytes:
                self.stopped = f"the store has reached its {self.max_bytes / 1e9:.1f} GB"
                return False
            try:
                self._append(key, np.ascontiguousarray(image_HWC))
            except OSError as error:
                self.stopped = f"{self.folder} cannot be written: {error.strerror}"
                return False
            return True

    def close(self) -> None:
        """Close what this process writes; what it mapped stays valid for the arrays that look into it."""
        with self._lock:
            self._own = None
            _close_all(self._open)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _append(self, key: bytes, image_HWC: NDArray[np.uint8]) -> None:
        if self._own is None:
            path = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}.pixels"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            index_path = path.with_suffix(".index")
            self._segments[index_path] = _Segment(path)
            self._own = os.open(path, flags, 0o666), os.open(index_path, flags, 0o666), self._segments[index_path]
            self._open += self._own[:2]
        pixels, index, segment = self._own
        height, width, channels = image_HWC.shape
        entry = _Entry(segment, self._written, (height, width, channels), _checksum(image_HWC))
        _write_all(pixels, image_HWC.data.cast("B"))
        _write_all(index, memoryview(_ROW.pack(key, entry.offset, height, width, channels, entry.checksum)))
        segment.rows_read += 1
        self._written += image_HWC.nbytes
        self._size += image_HWC.nbytes
        self._entries[key] = entry
        self._sound.add(key)

    def _read_rows(self, index: Path, segment: _Segment) -> None:
        try:
            with index.open("rb") as file:
                file.seek(segment.rows_read * _ROW.size)
                content = file.read()
        except OSError:  # removed by whoever needed the space
            return
        whole = len(content) // _ROW.size * _ROW.size
        for key, offset, height, width, channels, checksum in _ROW.iter_unpack(content[:whole]):
            self._entries[key] = _Entry(segment, offset, (height, width, channels), checksum)
        segment.rows_read += whole // _ROW.size


def _checksum(image_HWC: NDArray[np.uint8]) -> int:
    """The sum of the bytes as 64-bit words: pages that were never written show, at a tenth of the time of a CRC."""
    flat = image_HWC.reshape(-1)
    whole = len(flat) // 8 * 8
    return (int(flat[:whole].view(np.uint64).sum()) + int(flat[whole:].sum())) % 2**64


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _write_all(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
