"""Splits for data that has none: a function of each image's name, so that adding files moves no old one."""

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


def split_by_key(records: Iterable[Record], shares: Shares) -> tuple[dict[str, tuple[Record, ...]], list[str]]:
    """Split records, each class by itself.

    Each image draws its split from a hash of its key alone. No rule that also looked at the other images could leave
    the old ones where they were when new ones come. A class of which nothing would be left to train on keeps the image
    whose hash is lowest; a note names such classes.

    Returns:
        The splits that are not empty, and notes for the user.
    """
    by_class: Mapping[str, list[Record]] = defaultdict(list)
    for record in records:
        by_class[record.label].append(record)
    splits: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    rescued = []
    for label in sorted(by_class):
        drawn = {record.key: _split_of(position(record.key), shares) for record in by_class[label]}
        if "train" not in drawn.values():
            drawn[min(drawn, key=position)] = "train"
            rescued.append(label)
        for record in by_class[label]:
            splits[drawn[record.key]].append(record)
    notes = [f"class {label!r} is so small that one of its images was moved to training" for label in rescued]
    return {name: tuple(members) for name, members in splits.items() if members}, notes


def position(key: str) -> float:
    """Where a key falls in 0..1, the same on every machine."""
    # File systems differ in how they spell é; one spelling is hashed.
    name = unicodedata.normalize("NFC", key.replace("\\", "/"))
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def _split_of(where: float, shares: Shares) -> str:
    if where < shares.test:
        return "test"
    return "val" if where < shares.test + shares.val else "train"
