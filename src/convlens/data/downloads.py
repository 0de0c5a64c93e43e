"""Local copies of what lies behind addresses: each file is fetched once, and all copies together are bounded.

The copies of one source lie in one folder, which a process holds from its first look into it to its end. Where all
folders take more than allowed, those that nobody holds are removed whole, the longest unused first.
"""

import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from convlens.data.dataset import DataError
from convlens.data.kept_folders import budget, hold, make_room
from convlens.data.reaching import explaining, file_system
from convlens.data.tree import File, Folder
from convlens.files import cache_folder, replacing
from convlens.images import MAX_BYTES

CONTAINERS = frozenset({".tar", ".parquet"})  # which may be larger than any image
_PARTS = CONTAINERS | {"", ".bin", ".meta", ".txt"}  # CIFAR's and class names; MNIST's say ubyte
_LOOK_AGAIN = 500_000_000  # bytes; when so many have been fetched, room is made again

_guard = threading.Lock()
_held: dict[Path, int | None] = {}  # folders that this process uses, with the descriptors that say so
_fetched: dict[Path, int] = {}  # bytes since room was made last


@dataclass(frozen=True)
class Downloads:
    """The local copies of one source, a folder or a file behind an address."""

    source: str

    def fetched(self, address: str, size_bytes: int = 0, version: str = "") -> Path:
        """The local copy of a file, fetched when it is first asked for.

        Args:
            address: where the file is.
            size_bytes: as it was listed; another size is another file.
            version: what else tells one state of the file from another.

        Raises:
            DataError: it cannot be fetched.
        """
        name = _digest(f"{address}\0{size_bytes}\0{version}")
        # The folder is the hash and the name stays, for names say what a file is.
        folder = _folder_in_use(self.source)
        local = folder / name[:2] / name[2:] / PurePosixPath(unquote(address)).name
        if not local.exists():
            with explaining(address):
                system, path = file_system(address)
                size = system.size(path) or 0
                if size > MAX_BYTES and PurePosixPath(address).suffix.lower() not in CONTAINERS:
                    raise DataError(f"{address} has {size:,} bytes, more than {MAX_BYTES:,}; shrink it")
                with replacing(local) as temporary:
                    system.get_file(path, str(temporary))
            _make_room_after(folder, local.stat().st_size)
        return local

    def mirrored(self, root: Folder) -> Folder:
        """The same tree with every file fetched that may be part of a container or name its classes."""
        files = [
            File(file.name, str(self.fetched(file.location, file.size_bytes)), file.size_bytes)
            for file in root.files
            if file.suffix in _PARTS or "ubyte" in file.name
        ]
        folders = {name: self.mirrored(folder) for name, folder in root.folders.items()}
        return Folder(root.name, root.path, folders, files, root.hidden)


def version_of(address: str) -> str:
    """What a server says that tells one state of a file from another: its size, and a tag or a time.

    Raises:
        DataError: it is not there, or cannot be reached.
    """
    with explaining(address):
        system, path = file_system(address)
        details = system.info(path)
    return " ".join(str(details.get(name, "")) for name in ("size", "ETag", "LastModified", "Last-Modified", "mtime"))


def _folder_in_use(source: str) -> Path:
    root = cache_folder() / "downloads"
    folder = root / _digest(source)
    with _guard:
        if folder not in _held:
            try:
                _held[folder] = hold(folder)
            except OSError as error:
                raise DataError(
                    f"{root} cannot be written: {error.strerror}; set CONVLENS_CACHE to a folder that can"
                ) from None
            make_room(root, keep=folder, allowed=budget(root, "*"), pattern="*")
    return folder


def _make_room_after(folder: Path, size: int) -> None:
    with _guard:
        _fetched[folder] = _fetched.get(folder, 0) + size
        if _fetched[folder] < _LOOK_AGAIN:
            return
        _fetched[folder] = 0
    make_room(folder.parent, keep=folder, allowed=budget(folder.parent, "*"), pattern="*")


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
