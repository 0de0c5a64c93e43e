"""CIFAR-10 and CIFAR-100 as their authors give them: the binary version and the Python version.

Both hold 32 × 32 pixels as 3,072 bytes, red then green then blue (A. Krizhevsky's CIFAR page). The Python version is a
pickle, of which only arrays of numbers are read.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import DataError, Record
from convlens.data.listing import Listing
from convlens.data.safe_pickle import read_arrays
from convlens.data.tree import File, Folder
from convlens.images import with_channels

_PIXELS = 3 * 32 * 32
_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))


class _Part(NamedTuple):
    """A file's images, uint8 (N, 32, 32, 3), and their class indices (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class CifarSource:
    """Reads 32 × 32 colour images."""

    raw = True

    def read(
        self,
        record: Record,
        *,
        channels: int,
        at_least: tuple[int, int] | None,  # noqa: ARG002 - nothing to scale in plain pixels
    ) -> NDArray[np.uint8]:
        """Read one image, uint8 (32, 32, C)."""
        image: NDArray[np.uint8] = _read(Path(record.path)).images[record.place[0]]
        return with_channels(image.copy(), channels)

    def encoded(self, record: Record) -> bytes | None:  # noqa: ARG002
        """There is no file: the pixels lie there as they are."""
        return None


def is_cifar(root: Folder) -> bool:
    """Whether a folder holds the files of CIFAR-10 or CIFAR-100, binary or Python version."""
    return bool(_parts(root))


def list_cifar(root: Folder, location: str) -> Listing:
    """List every image of CIFAR-10 or CIFAR-100, the latter by its fine classes."""
    names = _class_names(root)
    splits: dict[str, list[Record]] = {}
    for split, file in _parts(root):
        part = _read(Path(file.location))
        if part.labels.max(initial=0) >= len(names):
            raise DataError(f"{file.name} has a label {part.labels.max()} and the set has {len(names)} class names")
        splits.setdefault(split, []).extend(
            Record(
                key=f"{file.name}/{i:05d}",
                label=names[label],
                path=file.location,
                place=(i,),
                size_bytes=_PIXELS,
            )
            for i, label in enumerate(part.labels.tolist())
        )
    members = {name: tuple(records) for name, records in splits.items()}
    return Listing(name=root.name, splits=members, source=CifarSource(), location=location)


def _parts(root: Folder) -> list[tuple[str, File]]:
    """The files that hold images, with their splits."""
    files = {file.name: file for file in root.files}
    for ending, meta in ((".bin", "batches.meta.txt"), ("", "batches.meta")):
        if meta in files and _BATCHES[0] + ending in files:
            wanted = [("train", name + ending) for name in _BATCHES] + [("test", "test_batch" + ending)]
            return [(split, files[name]) for split, name in wanted if name in files]
    for ending, meta in ((".bin", "fine_label_names.txt"), ("", "meta")):
        if meta in files and "train" + ending in files:
            return [(split, files[split + ending]) for split in ("train", "test") if split + ending in files]
    return []


def _class_names(root: Folder) -> list[str]:
    files = {file.name: file for file in root.files}
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if name in files:
            return Path(files[name].location).read_text(encoding="utf-8").split()
    file = files["batches.meta" if "batches.meta" in files else "meta"]
    meta = read_arrays(Path(file.location).read_bytes(), file.location)
    names = meta.get("fine_label_names", meta.get("label_names"))
    if not isinstance(names, list):
        raise DataError(f"{file.location} has no class names; download the set again")
    return [str(name) for name in names]


@lru_cache(maxsize=8)
def _read(path: Path) -> _Part:
    content = path.read_bytes()
    if path.suffix == ".bin":
        # CIFAR-100 has the coarse label before the fine one; its files are train.bin and test.bin.
        before = 2 if path.stem in ("train", "test") else 1
        if not content or len(content) % (before + _PIXELS):
            raise DataError(f"{path} is truncated: {len(content)} bytes; download it again")
        rows = np.frombuffer(content, np.uint8).reshape(-1, before + _PIXELS)
        return _Part(_upright(rows[:, before:]), rows[:, before - 1].astype(np.int64))
    batch = read_arrays(content, str(path))
    data, labels = batch.get("data"), batch.get("fine_labels", batch.get("labels"))
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _PIXELS:
        raise DataError(f"{path} holds no rows of {_PIXELS} bytes")
    if not isinstance(labels, list) or len(labels) != len(data):
        raise DataError(f"{path} has no label for each of its {len(data)} images")
    return _Part(_upright(data), np.array(labels, np.int64))


def _upright(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
