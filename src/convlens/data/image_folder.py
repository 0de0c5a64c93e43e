"""A folder of image files: `train/<class>/…` with `val` and `test`, or `<class>/…` split automatically."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from convlens.data.arranging import Arranged, Entry, arrange
from convlens.data.dataset import DataError, Fault, ImageSource, Record
from convlens.data.listing import Listing
from convlens.data.tree import Folder
from convlens.images import SUFFIXES, UNREAD_SUFFIXES

_PACKED = frozenset({".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"})
_LISTED = SUFFIXES | UNREAD_SUFFIXES  # what is not an image to us is still one to its owner: reading it says why


@dataclass(kw_only=True)
class _PassedOver:
    """What lies in a folder and is not an image."""

    hidden: int = 0
    other_files: Counter[str] = field(default_factory=Counter)
    runs: list[str] = field(default_factory=list)
    imageless: list[Folder] = field(default_factory=list)

    def notes(self) -> list[str]:
        """One sentence for each kind of thing that was ignored."""
        said = []
        if self.hidden:
            said.append(f"ignored {self.hidden} hidden file(s) and folder(s)")
        if self.other_files:
            kinds = ", ".join(sorted(self.other_files))
            said.append(f"ignored {self.other_files.total()} file(s) that are not images ({kinds})")
        said += [f"ignored {name}: it holds runs" for name in self.runs]
        return said

    def lost_classes(self, records: Iterable[Record]) -> list[Fault]:
        """Folders without an image where the folders of classes lie: what they name would be lost."""
        beside = {
            tuple(parts[: parts.index(each.label)]) for each in records if each.label in (parts := _folders(each))
        }
        return [_lost(folder) for folder in self.imageless if folder.parts[:-1] in beside]


def _folders(record: Record) -> list[str]:
    return record.key.split("/")[:-1]


def _lost(folder: Folder) -> Fault:
    files = [file for each in folder.walk() for file in each.files]
    if not files:
        return Fault(kind="missing_class", detail=f"{folder.path} is empty; add its images, or remove it")
    kinds = ", ".join(sorted({file.suffix or file.name for file in files})[:5])
    return Fault(
        kind="lost_class",
        detail=f"{folder.path} lies where the classes do and holds {len(files)} file(s), none of them an image "
        f"({kinds}): put its images there, or move it out of the data",
    )


def holds_images(root: Folder) -> bool:
    """Whether image files lie anywhere in a folder."""
    return any(file.suffix in _LISTED for folder in root.walk() for file in folder.files)


def list_images(root: Folder, source: ImageSource, location: str, given: str) -> Listing:
    """List the images of a folder, local or remote.

    Args:
        root: the folder.
        source: reads its images.
        location: its absolute path or address.
        given: as the user named it, for remedies.

    Raises:
        DataError: no image lies in a class folder.
    """
    passed = _PassedOver()
    arranged = arrange(list(_entries(root, passed)), root=given)
    if not any(arranged.splits.values()):
        raise DataError(f"{given} holds no images in class folders{_why(arranged, root)}")
    notes = passed.notes()
    lost = passed.lost_classes(record for records in arranged.splits.values() for record in records)
    if arranged.loose:
        notes.append(f"ignored {arranged.loose} image(s) that lie in no class folder")
    return Listing(
        name=root.name,
        splits={split: tuple(records) for split, records in arranged.splits.items() if records},
        source=source,
        notes=tuple(notes),
        faults=(*arranged.faults, *lost),
        location=location,
    )


def _why(arranged: Arranged, root: Folder) -> str:
    """What to do about a folder in which no image has a class."""
    unlabelled = [fault.detail for fault in arranged.faults if fault.kind == "unlabelled"]
    if unlabelled:
        return f": {unlabelled[0]}"
    loose = sum(file.suffix in _LISTED for file in root.files)
    packed = sorted(file.name for file in root.files if file.suffix in _PACKED)
    there = f" ({loose} lie loose in it)" if loose else f" ({packed[0]} is packed: unpack it)" if packed else ""
    return f"{there}; expected <class>/<image> or train/<class>/<image>"


def _entries(folder: Folder, passed: _PassedOver) -> Iterator[Entry]:
    passed.hidden += folder.hidden
    for file in folder.files:
        if file.suffix in _LISTED:
            yield Entry(folders=folder.parts, name=file.name, path=file.location, size_bytes=file.size_bytes)
        else:
            passed.other_files[file.suffix or file.name] += 1
    for name in sorted(folder.folders):
        below = folder.folders[name]
        if _holds_runs(below):
            passed.runs.append(below.path)
            continue
        if not holds_images(below):
            passed.imageless.append(below)
        yield from _entries(below, passed)


def _holds_runs(folder: Folder) -> bool:
    """A run, or a folder in which nothing but runs holds images, such as the one that runs are written to."""
    if _is_run(folder):
        return True
    return any(map(_is_run, folder.walk())) and not _holds_other_images(folder)


def _is_run(folder: Folder) -> bool:
    return any(file.name == "run.yaml" for file in folder.files)


def _holds_other_images(folder: Folder) -> bool:
    if any(file.suffix in _LISTED for file in folder.files):
        return True
    return any(_holds_other_images(below) for below in folder.folders.values() if not _is_run(below))
