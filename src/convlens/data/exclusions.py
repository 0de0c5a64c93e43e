"""Lists of images to leave out: one key a line, as `convlens check --write-list` writes them."""

from collections.abc import Iterable
from pathlib import Path

from convlens.data.dataset import DataError
from convlens.files import write_text


def read_exclusions(path: str | Path) -> frozenset[str]:
    """Read the keys of a list; empty lines and what follows a tab are left aside.

    Raises:
        DataError: the list cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"the list {path} cannot be opened: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"the list {path} is no text; give what convlens check --write-list wrote") from None
    return frozenset(key for line in lines if (key := line.split("\t", 1)[0].strip()))


def write_exclusions(path: str | Path, reasons: Iterable[tuple[str, str]]) -> None:
    """Write pairs of key and reason, a tab between."""
    write_text(path, "".join(f"{key}\t{' '.join(reason.split())}\n" for key, reason in reasons))
