"""What a source says it holds, before anything is split or checked."""

import re
from collections.abc import Iterable, Mapping
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
_SAYS_NOTHING = frozenset(
    (
        "set",
        "sets",
        "split",
        "data",
        "dataset",
        "image",
        "images",
        "img",
        "imgs",
        "picture",
        "pictures",
        "photo",
        "photos",
    )
)


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
    """The split that a name means, such as `val` for `Valid`; "" if it means none.

    >>> split_word("Training Set"), split_word("val2017"), split_word("bullet_train")
    ('train', 'val', '')
    """
    words = (
        re.sub(r"(19|20)\d\d", " ", name.lower().replace("set", " set ")).replace("_", " ").replace("-", " ").split()
    )
    telling = [word for word in words if word not in _SAYS_NOTHING]
    return SPLIT_NAMES.get(telling[0], "") if len(telling) == 1 else ""


def split_words(names: Iterable[str]) -> dict[str, str]:
    """The splits that sibling names mean, by name; also of those that differ in a split word alone.

    >>> split_words(["seg_train", "seg_test", "seg_pred"])
    {'seg_train': 'train', 'seg_test': 'test'}
    """
    siblings = sorted(names)
    found = {name: word for name in siblings if (word := split_word(name))}
    families: dict[tuple[str, ...], dict[str, str]] = {}
    for name in reversed(siblings):
        parts = re.split(r"([-_.\s]+)", name)
        meant = {part: split_word(part) for part in parts if split_word(part)}
        if name not in found and len(meant) == 1:
            rest = tuple("" if part in meant else part for part in parts)
            families.setdefault(rest, {})[name] = next(iter(meant.values()))
    for family in families.values():
        if len(set(family.values())) == len(family) > 1 and "train" in family.values():
            found |= family
    return found


def split_named(name: str, where: str) -> str:
    """The split that a word such as `valid` means.

    Raises:
        DataError: it means none.
    """
    split = split_word(name)
    if not split:
        raise DataError(f"{where}: split {name!r}; use train, val or test")
    return split
