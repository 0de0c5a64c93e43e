"""Tar shards in WebDataset's layout: files that share a name up to the first dot are one sample.

`000017.jpg` with `000017.cls` (a number or a name), `000017.txt` or `000017.json` (with a "label"); without these the
folder inside the tar names the class. A file classnames.txt or classes.txt beside the shards names numbered classes.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlens.data.arranging import Entry, arrange
from convlens.data.dataset import DataError, Record
from convlens.data.listing import Listing
from convlens.data.tree import File, Folder
from convlens.images import SUFFIXES, UNREAD_SUFFIXES, ImageError, read

_LISTED = SUFFIXES | UNREAD_SUFFIXES
_LABELS = (".cls", ".txt", ".json")


class ShardSource:
    """Reads images at an offset of a tar file."""

    raw = False

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        try:
            return read(self.encoded(record), channels=channels, at_least=at_least)
        except ImageError as error:
            raise ImageError(str(error).replace("the file", record.key, 1)) from None

    def encoded(self, record: Record) -> bytes:
        """The bytes of the member."""
        offset, length = record.place
        try:
            with Path(record.path).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise ImageError(f"{record.key} cannot be read: {error.strerror}") from None


def is_shards(root: Folder) -> bool:
    """Whether tar files lie anywhere in a folder."""
    return any(file.suffix == ".tar" for folder in root.walk() for file in folder.files)


def list_shards(root: Folder, location: str) -> Listing:
    """List the samples of every tar file in a folder and its subfolders; `arrange` finds their splits and classes."""
    names = _class_names(root)
    entries = [
        entry
        for folder in root.walk()
        for file in folder.files
        if file.suffix == ".tar"
        for entry in _list_tar(folder.parts, file, names)
    ]
    arranged = arrange(entries, root=location)
    if not any(arranged.splits.values()):
        raise DataError(f"{location} holds tar files without a labelled image; expected <name>.jpg with <name>.cls")
    return Listing(
        name=root.name,
        splits={name: tuple(records) for name, records in arranged.splits.items() if records},
        source=ShardSource(),
        faults=tuple(arranged.faults),
        bad=tuple(arranged.bad),
        location=location,
    )


def _class_names(root: Folder) -> list[str]:
    for file in root.files:
        if file.name in ("classnames.txt", "classes.txt"):
            return [
                line.strip() for line in Path(file.location).read_text(encoding="utf-8").splitlines() if line.strip()
            ]
    return []


def _list_tar(folders: tuple[str, ...], file: File, names: list[str]) -> Iterator[Entry]:
    for stem, members in _samples(file):
        images = [suffix for suffix in members if suffix in _LISTED]
        if not images:
            continue
        offset, length, _ = members[images[0]]
        *inside, base = stem.split("/")
        yield Entry(
            folders=folders,
            container=file.name,
            inside=tuple(inside),
            name=f"{base}{images[0]}",
            label=_label({suffix: content for suffix, (_, _, content) in members.items()}, names),
            path=file.location,
            place=(offset, length),
            size_bytes=length,
        )


def _samples(file: File) -> Iterator[tuple[str, dict[str, tuple[int, int, bytes]]]]:
    """Each sample's name and its members: suffix -> offset, length, and the content of labels."""
    current, members = "", dict[str, tuple[int, int, bytes]]()
    try:
        length = Path(file.location).stat().st_size
        with tarfile.open(file.location, "r:") as tar:
            for member in tar:
                if not 0 <= member.size <= length - member.offset_data or member.issparse():
                    raise DataError(
                        f"{file.location} is damaged: its member {member.name[:80]!r} has {member.size:,} bytes, "
                        "which are not there; copy it again"
                    )
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                if not member.isfile() or name.startswith("."):
                    continue
                base, _, rest = name.partition(".")
                stem, suffix = f"{folder}/{base}" if folder else base, f".{rest.lower()}"
                if stem != current and members:
                    yield current, members
                    members = {}
                current = stem
                content = b""
                if suffix in _LABELS and member.size < 1_000_000:
                    extracted = tar.extractfile(member)
                    content = extracted.read() if extracted else b""
                members[suffix] = (member.offset_data, member.size, content)
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{file.location} cannot be read as an uncompressed tar: {error}") from None
    if members:
        yield current, members


def _label(contents: dict[str, bytes], names: list[str]) -> str | None:
    """The label that a sample states, or None where it states none."""
    text = ""
    for suffix in (".cls", ".txt"):
        if suffix in contents:
            text = contents[suffix].decode("utf-8", "replace").strip()
            break
    else:
        if ".json" in contents:
            text = _label_of_json(contents[".json"])
    if text.isdigit() and int(text) < len(names):
        return names[int(text)]
    return text or None


def _label_of_json(content: bytes) -> str:
    try:
        described = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(described, dict):
        return ""
    value = described.get("label", described.get("class", described.get("cls", "")))
    return str(value).strip()
