"""MNIST's IDX files, plain or gzipped: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte.gz` and so on.

The format is at the end of Y. LeCun's MNIST page: two zero bytes, the type (8 is an unsigned byte), the number of
dimensions, then each dimension as a big-endian 32-bit number, then the values.
"""

import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import DataError, Record
from convlens.data.listing import Listing
from convlens.data.tree import File, Folder

_NAME = re.compile(r"(?P<part>.+?)[-_.]images[-_.]idx3[-_.]ubyte(\.gz)?$")
_SPLITS = {"train": "train", "t10k": "test", "test": "test", "val": "val", "valid": "val"}


class ArraySource:
    """Reads rows of an IDX file, gray."""

    raw = True

    def read(
        self,
        record: Record,
        *,
        channels: int,
        at_least: tuple[int, int] | None,  # noqa: ARG002 - nothing to scale in plain pixels
    ) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        return np.repeat(read_idx(Path(record.path))[record.place[0]][:, :, np.newaxis], channels, axis=2)

    def encoded(self, record: Record) -> bytes | None:  # noqa: ARG002
        """There is no file: the pixels lie there as they are."""
        return None


def is_idx(root: Folder) -> bool:
    """Whether a folder holds IDX files of images."""
    return any(_NAME.match(file.name) for file in root.files)


def list_idx(root: Folder, location: str) -> Listing:
    """List every image of a folder of IDX files; the labels are the numbers, as text.

    Raises:
        DataError: labels are missing, or do not fit the images.
    """
    splits: dict[str, list[Record]] = {}
    for file in root.files:
        found = _NAME.match(file.name)
        if not found:
            continue
        part = found["part"].rsplit("-", 1)[-1]  # EMNIST writes emnist-letters-train-images-…
        labels = read_idx(Path(_labels_of(root, file).location))
        images = read_idx(Path(file.location))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(f"{file.name} has the shape {images.shape} and its labels {labels.shape}; they must fit")
        splits.setdefault(_SPLITS.get(part, ""), []).extend(
            Record(
                key=f"{file.name}/{i:05d}",
                label=str(label),
                path=file.location,
                place=(i,),
                size_bytes=images.shape[1] * images.shape[2],
            )
            for i, label in enumerate(labels.tolist())
        )
    return Listing(
        name=root.name,
        splits={name: tuple(records) for name, records in splits.items()},
        source=ArraySource(),
        channels=1,
        mirrors=False,  # most such sets hold signs, whose mirror images are other signs
        location=location,
    )


@lru_cache(maxsize=8)
def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Raises:
        DataError: it is damaged, or of another kind.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path} is no IDX file of unsigned bytes")
    dimensions = content[3]
    shape = tuple(np.frombuffer(content, ">u4", dimensions, 4).tolist()) if len(content) >= 4 + 4 * dimensions else ()
    size = int(np.prod(shape, dtype=np.int64))
    if not shape or len(content) != 4 + 4 * dimensions + size:
        raise DataError(f"{path} is truncated: it declares {' × '.join(map(str, shape))} values; download it again")
    return np.frombuffer(content, np.uint8, size, 4 + 4 * dimensions).reshape(shape)


def _labels_of(root: Folder, images: File) -> File:
    stem = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for file in root.files:
        if file.name.removesuffix(".gz") == stem:
            return file
    raise DataError(f"{images.name} has no labels beside it; put {stem} there")
