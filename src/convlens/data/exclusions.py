"""Lists of images to leave out: one key a line, as `convlens check --write-list` writes them."""

import json
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
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the list {path} cannot be opened: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"the list {path} is not text; give what convlens check --write-list wrote") from None
    # Lines end with \n alone: a name may hold what Unicode takes for the end of a line.
    return frozenset(key for line in text.split("\n") if (key := _key_of(line)))


def write_exclusions(path: str | Path, reasons: Iterable[tuple[str, str]]) -> None:
    """Write pairs of key and reason, a tab between."""
    write_text(path, "".join(f"{_written(key)}\t{' '.join(reason.split())}\n" for key, reason in reasons))


def _written(key: str) -> str:
    """The key as it is; as a JSON string where a line of text would not give it back."""
    plain = key.isprintable() and key == key.strip() and not key.startswith('"')
    return key if plain else json.dumps(key)


def _key_of(line: str) -> str:
    if line.startswith('"'):
        try:
            return str(json.JSONDecoder().raw_decode(line)[0])
        except ValueError:  # a name that begins with a quotation mark, in a list that a person wrote
            pass
    return line.split("\t", 1)[0].strip()
