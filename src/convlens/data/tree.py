"""What lies in a folder, local or remote, as names and sizes; nothing is opened."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class File:
    """A file: its name, where it can be read, and its bytes."""

    name: str
    location: str
    size_bytes: int

    @property
    def suffix(self) -> str:
        """The suffix in small letters, with its dot."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass
class Folder:
    """A folder with what is in it; hidden things are counted and not entered."""

    name: str
    path: str = ""  # relative to the root, which is ""
    folders: dict[str, "Folder"] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    hidden: int = 0

    def walk(self) -> Iterator["Folder"]:
        """This folder and all below it, in order."""
        yield self
        for name in sorted(self.folders):
            yield from self.folders[name].walk()

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders from the root down to this one."""
        return tuple(self.path.split("/")) if self.path else ()


def local_tree(root: Path) -> Folder:
    """Walk a local folder. Links are followed, but not back to where the walk is."""
    return _local(root, Folder(root.resolve().name), above=frozenset())


def listed_tree(name: str, files: Iterable[tuple[str, str, int]]) -> Folder:
    """Build the tree from a listing of relative path, location and size, as remote stores give it."""
    root = Folder(name)
    for relative, location, size_bytes in sorted(files):
        *parents, last = PurePosixPath(relative).parts
        folder = root
        for number, parent in enumerate(parents):
            if _is_hidden(parent):
                folder.hidden += 1
                break
            folder = folder.folders.setdefault(parent, Folder(parent, "/".join(parents[: number + 1])))
        else:
            if _is_hidden(last):
                folder.hidden += 1
            else:
                folder.files.append(File(last, location, size_bytes))
    return root


def _local(path: Path, folder: Folder, above: frozenset[str]) -> Folder:
    above |= {os.path.realpath(path)}
    with os.scandir(path) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if _is_hidden(entry.name):
            folder.hidden += 1
        elif entry.is_dir():
            if os.path.realpath(entry.path) not in above:
                below = Folder(entry.name, f"{folder.path}/{entry.name}" if folder.path else entry.name)
                folder.folders[entry.name] = _local(Path(entry.path), below, above)
        # A link to nothing is kept, so that it is reported as unreadable; a pipe is not, for it would never end.
        elif entry.is_file() or entry.is_symlink():
            folder.files.append(File(entry.name, entry.path, _size_of(entry)))
    return folder


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _size_of(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return 0
