"""The bytes of a file from elsewhere, read once: what is checked is what is used, whatever becomes of the file."""

import os
import stat
from pathlib import Path

from convlens.errors import ConvlensError

# The largest published convolutional networks have 3 GB of weights.
MOST_BYTES = 8_000_000_000


class UntrustedFileError(ConvlensError):
    """A file that is damaged, too large, or holds what it must not; it was not used."""


def read_whole(path: str | Path, *, most: int = MOST_BYTES) -> bytes:
    """Read a file to its end.

    Args:
        path: of a regular file; a pipe or a device, which may never end, is refused.
        most: bytes that it may have.

    Raises:
        UntrustedFileError: it is no regular file, or larger than `most`.
        OSError: it cannot be opened.
    """
    # Opening a pipe would wait for its writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise UntrustedFileError(f"{path} is not a regular file; give one")
        if state.st_size > most:
            raise UntrustedFileError(f"{path} has {state.st_size:,} bytes, more than {most:,}; give another file")
        return file.read(most)
