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

from convlens.data.dataset import BadFile, DataError, Record
from convlens.data.listing import SPLIT_NAMES, Listing
from convlens.data.tree import File, Folder
from convlens.images import SUFFIXES, ImageError, read

_LABELS = (".cls", ".txt", ".json")


class ShardSource:
    """Reads images at an offset of a tar file."""

    raw = False

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        try:
            return read(self.encoded(record), channels=channels, at_least=at_least)
        except ImageError as error:
            raise ImageError(str(error).replace("the image", record.key, 1)) from None

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
    """Whether a folder, or its split folders, hold tar files."""
    return any(file.suffix == ".tar" for folder in (root, *root.folders.values()) for file in folder.files)


def list_shards(root: Folder, location: str) -> Listing:
    """List the samples of every tar file in a folder and its split folders.

    The split is the folder's name, or what the tar's name begins with (`train-0003.tar`); else it is drawn.
    """
    names = _class_names(root)
    splits: dict[str, list[Record]] = {}
    bad: list[BadFile] = []
    for folder in (root, *(root.folders[name] for name in sorted(root.folders))):
        for file in folder.files:
            if file.suffix == ".tar":
                split = SPLIT_NAMES.get(folder.name.lower()) or _split_of(file.name)
                records, unusable = _list_tar(file, names)
                splits.setdefault(split, []).extend(records)
                bad += unusable
    if not any(splits.values()):
        raise DataError(f"{location} holds tar files without a labelled image; expected <name>.jpg with <name>.cls")
    members = {name: tuple(records) for name, records in splits.items() if records}
    return Listing(name=root.name, splits=members, source=ShardSource(), bad=tuple(bad), location=location)


def _split_of(name: str) -> str:
    start = name.split("-")[0].split("_")[0].split(".")[0].lower()
    return SPLIT_NAMES.get(start, "")


def _class_names(root: Folder) -> list[str]:
    for file in root.files:
        if file.name in ("classnames.txt", "classes.txt"):
            return [
                line.strip() for line in Path(file.location).read_text(encoding="utf-8").splitlines() if line.strip()
            ]
    return []


def _list_tar(file: File, names: list[str]) -> tuple[list[Record], list[BadFile]]:
    records, bad = [], []
    for stem, members in _samples(file):
        images = [suffix for suffix in members if suffix in SUFFIXES]
        if not images:
            continue
        key = f"{file.name}/{stem}{images[0]}"
        offset, length, _ = members[images[0]]
        label = _label(stem, {suffix: content for suffix, (_, _, content) in members.items()}, names)
        if label:
            place = (offset, length)
            records.append(Record(key=key, label=label, path=file.location, place=place, size_bytes=length))
        else:
            bad.append(
                BadFile(key=key, reason="has no label: no .cls, .txt or .json beside it and no folder in the tar")
            )
    return records, bad


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


def _label(stem: str, contents: dict[str, bytes], names: list[str]) -> str:
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
    return text or stem.rpartition("/")[0].rpartition("/")[2]


def _label_of_json(content: bytes) -> str:
    try:
        described = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(described, dict):
        return ""
    value = described.get("label", described.get("class", described.get("cls", "")))
    return str(value).strip()
