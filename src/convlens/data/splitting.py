"""Splits for data that has none: by the rank of each image's hashed name within its class."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from convlens.data.dataset import Record


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What goes to validation and test; the rest is for training."""

    val: float = 0.1
    test: float = 0.1


def split_by_key(records: Iterable[Record], shares: Shares) -> dict[str, tuple[Record, ...]]:
    """Split records, each class by itself and by its share to within one image.

    The images of a class are ranked by a hash of their keys; the first ranks are for test, the next for validation.
    So the same names are split in the same way on any machine, and an image that is added moves at most two others of
    its class. From two images on a class has one for validation, from three on one for test too; one always stays to
    train on.

    Returns:
        The splits that are not empty, each in the order of `records`.
    """
    by_class: Mapping[str, list[Record]] = defaultdict(list)
    listed = list(records)
    for record in listed:
        by_class[record.label].append(record)
    drawn: dict[str, str] = {}
    for members in by_class.values():
        ranked = sorted((record.key for record in members), key=position)
        test = _share_of(len(ranked), shares.test, smallest=3)
        val = _share_of(len(ranked), shares.val, smallest=2)
        for rank, key in enumerate(ranked):
            drawn[key] = "test" if rank < test else "val" if rank < test + val else "train"
    splits: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in listed:
        splits[drawn[record.key]].append(record)
    return {name: tuple(members) for name, members in splits.items() if members}


def position(key: str) -> float:
    """Where a key falls in 0..1, the same on every machine."""
    # File systems differ in how they spell é; one spelling is hashed.
    name = unicodedata.normalize("NFC", key.replace("\\", "/"))
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def _share_of(count: int, share: float, *, smallest: int) -> int:
    """The share of a class, rounded; at least one image where the class has `smallest` or more."""
    if not share or count < smallest:
        return 0
    return max(1, int(count * share + 0.5))
