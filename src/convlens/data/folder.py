"""A folder of images: `train/<class>/…` with `val` and `test`, or `<class>/…` split automatically."""

from collections import Counter
from dataclasses import dataclass, field

from convlens.data.dataset import DataError, ImageSource, Record
from convlens.data.listing import SPLIT_NAMES, Listing
from convlens.data.tree import Folder
from convlens.images import SUFFIXES


@dataclass(kw_only=True)
class Found:
    """What a folder holds: records by split (`""` where the folder names none) and what was passed over."""

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


def list_images(root: Folder, source: ImageSource, location: str) -> Listing:
    """List the images of a folder, local or remote.

    Raises:
        DataError: no image lies in a class folder.
    """
    found = _find(root)
    if not any(found.splits.values()):
        raise DataError(
            f"{location} holds no images in class folders"
            + (f" ({found.loose} lie loose in it)" if found.loose else "")
            + "; expected <class>/<image> or train/<class>/<image>"
        )
    splits = {split: tuple(records) for split, records in found.splits.items() if records}
    return Listing(name=root.name, splits=splits, source=source, notes=tuple(found.notes()), location=location)


def _find(root: Folder) -> Found:
    found = Found()
    folders = _subfolders(root, found)
    by_split = {folder.name: SPLIT_NAMES[folder.name.lower()] for folder in folders if _is_split(folder)}
    if by_split and (len(by_split) == len(folders) or "train" in by_split.values()):
        for folder in folders:
            if folder.name in by_split:
                split = found.splits.setdefault(by_split[folder.name], [])
                for class_folder in _subfolders(folder, found):
                    split += _records_of(class_folder, found)
            else:
                found.unused.append(folder.name)
    else:
        found.splits[""] = [record for folder in folders for record in _records_of(folder, found)]
    return found


def _subfolders(folder: Folder, found: Found) -> list[Folder]:
    """The folders that may be classes or splits, in order; everything else is noted."""
    found.hidden += folder.hidden
    for file in folder.files:
        if file.suffix in SUFFIXES:
            found.loose += 1
        else:
            found.other_files[file.suffix or file.name] += 1
    folders = [folder.folders[name] for name in sorted(folder.folders)]
    found.runs += [below.path for below in folders if _holds_runs(below)]
    return [below for below in folders if not _holds_runs(below)]


def _is_split(folder: Folder) -> bool:
    """A split has class folders; a class that happens to be called train has images."""
    has_images = any(file.suffix in SUFFIXES for file in folder.files)
    return folder.name.lower() in SPLIT_NAMES and bool(folder.folders) and not has_images


def _holds_runs(folder: Folder) -> bool:
    return any(file.name == "run.yaml" for below in folder.walk() for file in below.files)


def _records_of(class_folder: Folder, found: Found) -> list[Record]:
    records = []
    for folder in class_folder.walk():
        found.hidden += folder.hidden
        for file in folder.files:
            if file.suffix in SUFFIXES:
                key = folder.key(file)
                record = Record(key=key, label=class_folder.name, path=file.location, size_bytes=file.size_bytes)
                records.append(record)
            else:
                found.other_files[file.suffix or file.name] += 1
    if not records:
        found.empty.append(class_folder.path)
    return records
