"""Data behind an address: http(s)://, s3:// and whatever else fsspec reaches; each file is fetched once."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import DataError, Record
from convlens.data.tree import File, Folder, listed_tree
from convlens.files import cache_folder, write_bytes
from convlens.images import MAX_BYTES, ImageError, read


def is_address(source: str | Path) -> bool:
    """Whether a source is an address and not a local path."""
    return "://" in str(source)


class RemoteFileSource:
    """Reads images behind addresses."""

    raw = False

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        return read(self._local(record), channels=channels, at_least=at_least)

    def encoded(self, record: Record) -> bytes | None:
        """The bytes of the file."""
        return self._local(record).read_bytes()

    def _local(self, record: Record) -> Path:
        try:
            return fetched(record.path, record.size_bytes)
        except DataError as error:
            raise ImageError(str(error)) from None


def remote_tree(address: str) -> Folder:
    """List what lies below an address.

    Raises:
        DataError: it cannot be reached or listed, or fsspec lacks what it needs for that.
    """
    address = address.rstrip("/")
    with _explaining(address):
        system, root = _file_system(address)
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


def is_remote_file(address: str) -> bool:
    """Whether an address names a file by its suffix, such as .csv, .parquet or .tar."""
    return PurePosixPath(address).suffix.lower() in {".csv", ".tsv", ".parquet", ".tar"}


def fetched(address: str, size_bytes: int = 0) -> Path:
    """The local copy of a file, fetched when it is first asked for.

    Raises:
        DataError: it cannot be fetched.
    """
    name = hashlib.blake2b(f"{address}\0{size_bytes}".encode(), digest_size=16).hexdigest()
    # The folder is the hash and the name stays, for names say what a file is.
    local = cache_folder() / "downloads" / name[:2] / name[2:] / PurePosixPath(unquote(address)).name
    if not local.exists():
        with _explaining(address):
            system, path = _file_system(address)
            size = system.size(path) or 0
            if size > MAX_BYTES and PurePosixPath(address).suffix.lower() not in {".tar", ".parquet"}:
                raise DataError(f"{address} has {size:,} bytes, more than {MAX_BYTES:,}; shrink it")
            write_bytes(local, system.cat_file(path))
    return local


def mirrored(root: Folder) -> Folder:
    """The same tree with every file fetched."""
    files = [File(file.name, str(fetched(file.location, file.size_bytes)), file.size_bytes) for file in root.files]
    folders = {name: mirrored(folder) for name, folder in root.folders.items()}
    return Folder(root.name, root.path, folders, files, root.hidden)


def _file_system(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise DataError(f"{address} needs fsspec; run pip install 'convlens[data]'") from None
    system, path = url_to_fs(address)
    return system, path


@contextmanager
def _explaining(address: str) -> Iterator[None]:
    """Say in one line what went wrong on the way to an address."""
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"{address} needs another package: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{address} is not there; check the address") from None
    # Every protocol brings the exceptions of its own client.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{address} cannot be reached: {reason}") from None
