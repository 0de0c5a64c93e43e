"""Tar shards in WebDataset's layout: files that share a name up to the first dot are one sample.

`000017.jpg` with `000017.cls` (a number or a name), `000017.txt` or `000017.json` (with a "label"); without these the
folder inside the tar names the class. A file classnames.txt or classes.txt beside the shards names numbered classes.
"""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data.arranging import Entry, arrange
from convlens.data.class_labels import class_of, read_class_names
from convlens.data.dataset import BadFile, DataError, Record
from convlens.data.listing import Listing
from convlens.data.tar_members import walk_members
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
    """List the samples of every tar file in a folder and its subfolders; `arrange` finds their splits and classes.

    What a damaged tar holds up to the damage is listed; the rest counts as so many bad files as its bytes tell.
    """
    names = _class_names(root)
    entries: list[Entry] = []
    damaged: list[BadFile] = []
    usual = 0.0  # bytes of a tar for each of its images
    for folder in root.walk():
        for file in folder.files:
            if file.suffix != ".tar":
                continue
            before = len(entries)
            try:
                for entry in _list_tar(folder.parts, file, names):
                    entries.append(entry)
            except DataError as error:
                usual, lost = _lost(file, entries[before:], usual)
                damaged.append(BadFile(key="/".join((*folder.parts, file.name)), reason=str(error), images=lost))
            else:
                usual = file.size_bytes / max(1, len(entries) - before)
    arranged = arrange(entries, root=location)
    if not any(arranged.splits.values()):
        why = damaged[0].reason if damaged else "expected <name>.jpg with <name>.cls"
        raise DataError(f"{location} holds tar files without a labelled image; {why}")
    return Listing(
        name=root.name,
        splits={name: tuple(records) for name, records in arranged.splits.items() if records},
        source=ShardSource(),
        faults=tuple(arranged.faults),
        bad=(*damaged, *arranged.bad),
        location=location,
    )


def _class_names(root: Folder) -> list[str]:
    for file in root.files:
        if file.name in ("classnames.txt", "classes.txt"):
            return list(read_class_names(Path(file.location)))
    return []


def _lost(file: File, listed: Sequence[Entry], usual: float) -> tuple[float, int]:
    """Bytes of a damaged tar for each image that was listed, or the usual ones, and how many images the rest may be."""
    read = sum(listed[-1].place) if listed else 0
    image = read / len(listed) if listed else usual
    return image, max(1, round((file.size_bytes - read) / image)) if image else 1


def _list_tar(folders: tuple[str, ...], file: File, names: list[str]) -> Iterator[Entry]:
    for stem, members in _samples(file):
        label = _label({suffix: content for suffix, (_, _, content) in members.items()}, names)
        images = [suffix for suffix in members if f".{suffix.rpartition('.')[2]}".lower() in _LISTED]
        if label is not None:  # of a sample with more pictures, such as masks, the one with the shortest name
            images = sorted(images, key=lambda suffix: suffix.count("."))[:1]
        *inside, base = (part for part in stem.split("/") if part not in ("", ".", ".."))
        for suffix in images:
            offset, length, _ = members[suffix]
            yield Entry(
                folders=folders,
                container=file.name,
                inside=tuple(inside),
                name=f"{base}{suffix}",
                label=label,
                path=file.location,
                place=(offset, length),
                size_bytes=length,
            )


def _samples(file: File) -> Iterator[tuple[str, dict[str, tuple[int, int, bytes]]]]:
    """Each sample's name and its members: suffix -> offset, length, and the content of labels."""
    current, members = "", dict[str, tuple[int, int, bytes]]()
    try:
        length = Path(file.location).stat().st_size
        with Path(file.location).open("rb") as stream:
            for member, tar in walk_members(stream, 0, length):
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                if member.isdir() or name.startswith("."):
                    continue
                base, _, rest = name.partition(".")
                stem, suffix = f"{folder}/{base}" if folder else base, f".{rest}"
                if stem != current and members:
                    yield current, members
                    members = {}
                current = stem
                content = b""
                if suffix.lower() in _LABELS and member.isfile() and member.size < 1_000_000:
                    extracted = tar.extractfile(member)
                    suffix, content = suffix.lower(), extracted.read() if extracted else b""
                # A link has no bytes of its own, and is read as the empty file that it is here.
                members[suffix] = (member.offset_data, member.size if member.isfile() else 0, content)
    except DataError as error:
        raise DataError(f"{file.location} is damaged: {error}; copy it again") from None
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{file.location} cannot be read as an uncompressed tar: {error}") from None
    if members:
        yield current, members


def _label(contents: Mapping[str, bytes], names: list[str]) -> str | None:
    """The label that a sample states, "" if that names no class, or None where it states none."""
    for suffix in (".cls", ".txt", ".json"):
        content = contents.get(suffix, b"").strip()
        if content:
            value = _label_of_json(content) if suffix == ".json" else content
            several = isinstance(value, bytes) and b"\n" in value  # a description
            return None if value is None else "" if several else class_of(value, names)
    return None


def _label_of_json(content: bytes) -> Any:
    try:
        described = json.loads(content)
    except (ValueError, RecursionError):
        return None
    keys = ("label", "class", "cls")
    return next((described[key] for key in keys if key in described), None) if isinstance(described, dict) else None
