"""Data behind an address: http(s)://, s3:// and whatever else fsspec reaches."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import DataError, ImageSource, Record
from convlens.data.downloads import Downloads
from convlens.data.reaching import explaining, file_system
from convlens.data.tree import Folder, listed_tree
from convlens.images import ImageError, read

_AT_ONCE = 16  # files that are asked for while the first is on its way


@dataclass(frozen=True)
class RemoteFileSource:
    """Reads images behind addresses."""

    downloads: Downloads
    raw = False

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        return read(self._local(record), channels=channels, at_least=at_least)

    def encoded(self, record: Record) -> bytes | None:
        """The bytes of the file."""
        return self._local(record).read_bytes()

    def _local(self, record: Record) -> Path:
        try:
            return self.downloads.fetched(record.path, record.size_bytes)
        except DataError as error:
            raise ImageError(str(error)) from None


def remote_tree(address: str) -> Folder:
    """List what lies below an address.

    Raises:
        DataError: it cannot be reached or listed, or fsspec lacks what it needs for that.
    """
    address = address.rstrip("/")
    with explaining(address):
        system, root = file_system(address)
        scheme = address.split("://")[0]
        files = []
        for name, details in system.find(root, detail=True).items():
            relative = str(name).removeprefix(str(root)).lstrip("/")
            location = str(name) if "://" in str(name) else f"{scheme}://{name}"
            if relative:  # what holds nothing is listed as a file itself
                relative = unquote(relative) if scheme.startswith("http") else relative
                files.append((relative, location, details.get("size") or 0))
        if not files:
            system.ls(root)  # over http an empty listing may also mean that nobody answered: this says so
        return listed_tree(PurePosixPath(address).name or address, files)


def readers(source: ImageSource) -> int | None:
    """How many threads should read at once: behind an address they mostly wait; None for one a processor."""
    return _AT_ONCE if isinstance(source, RemoteFileSource) else None


def is_remote_file(address: str) -> bool:
    """Whether an address names a file by its suffix, such as .csv, .parquet or .tar."""
    return PurePosixPath(address).suffix.lower() in {".csv", ".tsv", ".parquet", ".tar"}
