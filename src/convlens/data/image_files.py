"""Images that are files by themselves."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import Record
from convlens.images import ImageError, read


class FileSource:
    """Reads a record's own file."""

    raw = False

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one file, uint8 (H, W, C)."""
        return read(record.path, channels=channels, at_least=at_least)

    def encoded(self, record: Record) -> bytes | None:
        """The bytes of the file."""
        try:
            return Path(record.path).read_bytes()
        except OSError as error:
            raise ImageError(f"{record.path} cannot be opened: {error.strerror}") from None


def size_of(path: Path) -> int:
    """Bytes of a file, 0 when there is none: to read it will say why."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
