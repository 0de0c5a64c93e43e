"""A folder of images: `train/<class>/…` with `val` and `test`, or `<class>/…` split automatically."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convlens.data.dataset import DataError, Record
from convlens.data.files import FileSource, size_of
from convlens.data.listing import SPLIT_NAMES, Listing
from convlens.images import SUFFIXES


def list_folder(root: Path) -> Listing:
    """List the images of a folder; nothing is opened.

    Raises:
        DataError: there is no such folder, or no image in a class folder.
    """
    found = find_images(root)
    splits = {split: tuple(records) for split, records in found.splits.items() if records}
    return Listing(
        name=root.resolve().name,
        splits=splits,
        source=FileSource(),
        notes=tuple(found.notes()),
        location=str(root.resolve()),
    )


@dataclass(kw_only=True)
class Found:
    """What a walk through a folder met: records by split (`""` where the folder names none) and what it passed over."""

    splits: dict[str, list[Record]] = field(default_factory=dict)
    hidden: int = 0
    other_files: Counter[str] = field(default_factory=Counter)
    loose: int = 0
    runs: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """One sentence for each kind of thing that was ignored."""
        said = []
        if self.hidden:
            said.append(f"ignored {self.hidden} hidden file(s) and folder(s)")
        if self.other_files:
            kinds = ", ".join(sorted(self.other_files))
            said.append(f"ignored {self.other_files.total()} file(s) that are no images ({kinds})")
        if self.loose:
            said.append(f"ignored {self.loose} image(s) that lie in no class folder")
        said += [f"ignored {name}: it holds runs" for name in self.runs]
        said += [f"ignored {name}: it holds no images" for name in self.empty]
        said += [f"ignored {name}: it is beside the split folders" for name in self.unused]
        return said


def find_images(root: Path) -> Found:
    """Walk a folder and sort its images into splits and classes."""
    found = Found()
    folders = _subfolders(root, found)
    by_split = {folder: SPLIT_NAMES[folder.name.lower()] for folder in folders if _is_split(folder)}
    if by_split and (len(by_split) == len(folders) or "train" in by_split.values()):
        for folder in folders:
            if folder in by_split:
                split = found.splits.setdefault(by_split[folder], [])
                for class_folder in _subfolders(folder, found):
                    split += _records_of(class_folder, root, found)
            else:
                found.unused.append(folder.name)
    else:
        found.splits[""] = [record for folder in folders for record in _records_of(folder, root, found)]
    if not any(found.splits.values()):
        raise DataError(
            f"{root} holds no images in class folders"
            + (f" ({found.loose} lie loose in it)" if found.loose else "")
            + "; expected <class>/<image> or train/<class>/<image>"
        )
    return found


def _subfolders(folder: Path, found: Found) -> list[Path]:
    """The folders that may be classes or splits, in order; everything else is noted."""
    kept = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__MACOSX")):
            found.hidden += 1
        elif entry.is_dir():
            if _holds_runs(entry):
                found.runs.append(entry.name)
            else:
                kept.append(entry)
        elif entry.suffix.lower() in SUFFIXES:
            found.loose += 1
        else:
            found.other_files[entry.suffix.lower() or entry.name] += 1
    return kept


def _is_split(folder: Path) -> bool:
    """A split has class folders; a class that happens to be called train has images."""
    if folder.name.lower() not in SPLIT_NAMES:
        return False
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return any(entry.is_dir() for entry in entries) and not any(entry.suffix.lower() in SUFFIXES for entry in entries)


def _holds_runs(folder: Path) -> bool:
    return any(any(folder.glob(f"{depth}run.yaml")) for depth in ("", "*/", "*/*/"))


def _records_of(class_folder: Path, root: Path, found: Found) -> list[Record]:
    records = [
        Record(
            key=Path(file.path).relative_to(root).as_posix(),
            label=class_folder.name,
            path=file.path,
            size_bytes=size_of(Path(file.path)),
        )
        for file in _image_files(class_folder, found, seen=set())
    ]
    if not records:
        found.empty.append(class_folder.relative_to(root).as_posix())
    return records


def _image_files(folder: Path, found: Found, seen: set[str]) -> Iterator[os.DirEntry[str]]:
    """Every image below a folder, in order; a link back to where the walk has been is not followed."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name.startswith("."):
            found.hidden += 1
        elif entry.is_dir():
            yield from _image_files(Path(entry.path), found, seen)
        # A link to nothing is kept, so that it is reported as unreadable; a pipe is not, for it would never end.
        elif Path(entry.name).suffix.lower() in SUFFIXES and (entry.is_file() or entry.is_symlink()):
            yield entry
        else:
            found.other_files[Path(entry.name).suffix.lower() or entry.name] += 1
