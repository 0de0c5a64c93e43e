"""What a source says it holds, before anything is split or checked."""

from collections.abc import Mapping
from dataclasses import dataclass

from convlens.data.dataset import BadFile, DataError, Fault, ImageSource, Record

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The records of a source.

    Args:
        name: of the data, for messages.
        splits: by `"train"`, `"val"`, `"test"`; `""` holds what the source does not divide.
        source: reads the pixels.
        channels: 1 when the source is gray throughout.
        notes: what was passed over, each a sentence for the user.
        faults: how the data lies that may lose images or classes.
        bad: what is known to be unusable without opening it, such as a row without a label.
        mirrors: whether a mirror image shows the same class.
        location: the absolute path or address of the source.
        drawn: whether the source names no split, so that all of them were drawn.
    """

    name: str
    splits: Mapping[str, tuple[Record, ...]]
    source: ImageSource
    channels: int = 3
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    bad: tuple[BadFile, ...] = ()
    mirrors: bool = True
    location: str = ""
    drawn: bool = False


def split_word(name: str) -> str:
    """The split that a name means, such as `val` for `Valid`; "" if it means none."""
    return SPLIT_NAMES.get(name.strip().lower(), "")


def split_named(name: str, where: str) -> str:
    """The split that a word such as `valid` means.

    Raises:
        DataError: it means none.
    """
    split = split_word(name)
    if not split:
        raise DataError(f"{where}: split {name!r}; use train, val or test")
    return split
