"""What a source of images is made of: pieces of consecutive images, few enough that one is quickly answered again.

Nothing but names, offsets and row numbers is looked at, so that listing a million images takes neither long nor memory.
"""

import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from convlens.data.cifar import is_cifar
from convlens.data.dataset import DataError
from convlens.data.idx import is_idx
from convlens.data.image_files import size_of
from convlens.data.image_table import TABLE_SUFFIXES, Columns, paths_of
from convlens.data.packed import index_of, location_of, packed_records
from convlens.data.parquet import image_column_of, open_parquet
from convlens.data.reaching import explaining, file_system, is_address
from convlens.data.remote import is_remote_file
from convlens.data.sources import list_source
from convlens.data.tar_members import walk_members
from convlens.data.tree import File, Folder
from convlens.errors import ConvlensError
from convlens.images import SUFFIXES, UNREAD_SUFFIXES

Kind = Literal["files", "tar", "parquet", "packed", "arrays"]

_IMAGES = 500  # in a piece
_LISTED = SUFFIXES | UNREAD_SUFFIXES  # to its owner it is an image, and the answer says why it is not read


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive images of one source.

    Args:
        kind: how they lie there.
        location: of a container or its folder, absolute or an address; "" for files.
        names: paths of files, or keys of packed images.
        shard: of packed images.
        places: of packed images, in their shard.
        start: the offset of the first member in a tar, the row group in a Parquet file, the first record of arrays.
        count: how many images there are; None where only reading them tells.
    """

    kind: Kind
    location: str = ""
    names: tuple[str, ...] = ()
    shard: str = ""
    places: tuple[tuple[int, ...], ...] = ()
    start: int = 0
    count: int | None = None

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in ("", (), None)})

    @classmethod
    def from_line(cls, line: str) -> "Piece":
        """What `to_line` wrote."""
        fields = json.loads(line)
        fields["names"] = tuple(fields.get("names", ()))
        fields["places"] = tuple(tuple(place) for place in fields.get("places", ()))
        return cls(**fields)


def list_pieces(sources: Iterable[str]) -> Iterator[Piece]:
    """List what is to be answered, in order; an image that two sources name comes twice.

    Args:
        sources: folders, patterns, images, .tar and .parquet files that hold images, .csv and .parquet tables of
            paths, packed shards, sets of arrays such as MNIST's, `"digits"`, or the addresses of any of these.

    Raises:
        ConvlensError: there is nothing of that name, or it is of no known kind.
    """
    return _in_pieces(found for source in sources for found in _found(source))


def open_stream(location: str) -> Any:
    """Open a file of this machine or behind an address, to read and to seek."""
    if not is_address(location):
        return Path(location).open("rb")
    system, path = file_system(location)
    return system.open(path, "rb")


@contextmanager
def opened(location: str) -> Iterator[Any]:
    """`open_stream` for a `with` block.

    Raises:
        DataError: it cannot be reached or read.
    """
    try:
        with explaining(location), open_stream(location) as stream:
            yield stream
    except DataError as error:
        raise DataError(str(error).replace("cannot be reached: [Errno", "cannot be read: [Errno", 1)) from None


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its name, and not hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _LISTED and not path.name.startswith(".")


def tar_images(stream: Any, start: int, length: int) -> Iterator[tuple[int, tarfile.TarInfo, tarfile.TarFile]]:
    """The images of an uncompressed tar from an offset on: the offset of the header, the member, and the tar.

    Raises:
        As `walk_members`.
    """
    for member, tar in walk_members(stream, start, length):
        if not member.isdir() and is_image_name(member.name):
            yield member.offset, member, tar


def _in_pieces(found: Iterable["str | Piece"]) -> Iterator[Piece]:
    """Files together, as long as nothing else comes between."""
    files: list[str] = []
    for each in found:
        if isinstance(each, str):
            files.append(each)
        if files and (isinstance(each, Piece) or len(files) == _IMAGES):
            yield _of_files(files)
            files = []
        if isinstance(each, Piece):
            yield each
    if files:
        yield _of_files(files)


def _of_files(files: list[str]) -> Piece:
    return Piece(kind="files", names=tuple(files), count=len(files))


def _found(source: str) -> Iterator["str | Piece"]:
    """Image files by name, and everything else in pieces."""
    if source == "digits":
        return _arrays(source)
    if is_address(source):
        return _behind_address(source)
    path = Path(source)
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return _in_file(source, named=True)
    matches = sorted(glob(source, recursive=True)) if has_magic(source) else []  # noqa: PTH207
    if not matches:
        raise ConvlensError(f"there is nothing at {source}; give a folder, a pattern, a .tar, a .parquet or an address")
    return (each for match in matches for each in _found(match))


def _in_folder(path: Path) -> Iterator["str | Piece"]:
    if index := index_of(path):
        yield from _packed(index, str(path))
        return
    files = [File(entry.name, str(entry), size_of(entry)) for entry in sorted(path.iterdir()) if entry.is_file()]
    if is_idx(root := Folder(path.name, files=files)) or is_cifar(root):
        yield from _arrays(str(path.resolve()))
        return
    for file in _walk(path, frozenset()):
        yield from _in_file(file, named=False)


def _walk(folder: Path, above: frozenset[str]) -> Iterator[str]:
    """Files below a folder, a folder's own before those of its folders; links are followed, but not in circles."""
    above |= {os.path.realpath(folder)}
    with os.scandir(folder) as entries:
        there = sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: entry.name)
    for entry in there:
        if not entry.is_dir() and (entry.is_file() or entry.is_symlink()):
            yield entry.path
    for entry in there:
        if entry.is_dir() and os.path.realpath(entry.path) not in above:
            yield from _walk(Path(entry.path), above)


def _behind_address(address: str) -> Iterator["str | Piece"]:
    if index := index_of(address):
        yield from _packed(index, address)
        return
    with explaining(address):
        system, root = file_system(address)
        if is_remote_file(address) or is_image_name(address):  # stores know no folders, and web servers answer for any
            yield from _in_file(address, named=True)
            return
        scheme = address.split("://")[0]
        nothing = True
        for name in _walk_store(system, root):
            nothing = False
            yield from _in_file(name if is_address(name) else f"{scheme}://{name}", named=False)
        if nothing:
            system.ls(root)  # says why, where it can
            raise DataError(f"{address} holds nothing; check the address")


def _walk_store(system: Any, folder: str) -> Iterator[str]:
    """Files below a folder of a store, a folder at a time, so that there may be millions."""
    there = sorted(system.ls(folder, detail=True), key=lambda entry: str(entry["name"]))
    system.dircache.pop(system._strip_protocol(folder), None)  # it would keep all of them
    shown = [entry for entry in there if not _is_hidden(PurePosixPath(entry["name"].rstrip("/")).name)]
    yield from (entry["name"] for entry in shown if entry["type"] == "file")
    for entry in shown:
        if entry["type"] == "directory" and entry["name"].rstrip("/") != folder.rstrip("/"):
            yield from _walk_store(system, entry["name"])


def _in_file(location: str, *, named: bool) -> Iterator["str | Piece"]:
    """What one file is; those that were `named`, and not met in a folder, are images if they are nothing else."""
    suffix = PurePosixPath(location).suffix.lower()
    absolute = location if is_address(location) else str(Path(location).absolute())
    if suffix == ".tar":
        yield from _tar(absolute)
    elif suffix == ".parquet":
        yield from _parquet(absolute, named=named)
    elif named and suffix in TABLE_SUFFIXES:
        yield from paths_of(absolute, Columns())
    elif named or is_image_name(location):
        yield location


def _tar(location: str) -> Iterator[Piece]:
    """A tar of this machine in pieces of so many images; one behind an address, which would have to be read, whole."""
    if is_address(location):
        yield Piece(kind="tar", location=location)
        return
    start, count = 0, 0
    try:
        with opened(location) as stream:
            for offset, _, _ in tar_images(stream, 0, Path(location).stat().st_size):
                if count == 0:
                    start = offset
                count += 1
                if count == _IMAGES:
                    yield Piece(kind="tar", location=location, start=start, count=count)
                    count = 0
    except (DataError, tarfile.TarError, OSError, ValueError, OverflowError):
        yield Piece(kind="tar", location=location, start=start)  # to read it says why, after what there is
    else:
        if count:
            yield Piece(kind="tar", location=location, start=start, count=count)


def _parquet(location: str, *, named: bool) -> Iterator["str | Piece"]:
    """A row group is a piece. Without a column of images it is a table of paths, if it was named."""
    with opened(location) as stream:
        try:
            file = open_parquet(location, stream)
        except DataError:
            yield Piece(kind="parquet", location=location)  # to read it says why
            return
        if image_column_of(file):
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                yield Piece(kind="parquet", location=location, start=group, count=rows)
            return
    if named:
        yield from paths_of(location, Columns())


def _packed(index: dict[str, Any], source: str) -> Iterator[Piece]:
    location = location_of(source)
    try:
        rows = packed_records(index, location)
        for row in rows:
            for start in range(0, len(row["keys"]), _IMAGES):
                names = tuple(map(str, row["keys"][start : start + _IMAGES]))
                places = tuple(tuple(place) for place in row["places"][start : start + _IMAGES])
                yield Piece(
                    kind="packed", location=location, names=names, shard=row["file"], places=places, count=len(names)
                )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"the index of {location} is damaged ({error!r}); pack the data again") from None


def _arrays(source: str) -> Iterator[Piece]:
    total = sum(map(len, list_source(source, Columns()).splits.values()))
    for start in range(0, total, _IMAGES):
        yield Piece(kind="arrays", location=source, start=start, count=min(_IMAGES, total - start))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
