"""Labelled image records with class names and named splits."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convlens.data.similar_names import look_alike_names
from convlens.errors import ConvlensError, unknown_name

SPLITS = ("train", "val", "test")


class DataError(ConvlensError):
    """Images or labels that cannot be used as they are; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One labelled image, by where it is and not by its pixels.

    Args:
        key: a stable name: the path relative to the data, or such as `digits/00017`.
        label: the class name.
        path: the file that holds the image; "" where there is none.
        place: where in that file, in the words of its source: a row, an offset and a length.
        size_bytes: of the encoded image, as far as known.
    """

    key: str
    label: str
    path: str = ""
    place: tuple[int, ...] = ()
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class BadFile:
    """An image that cannot be read, and why; or a damaged container, and about how many `images` it has lost."""

    key: str
    reason: str
    images: int = 1


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way in which data lies that would lose images or classes: its kind, and what to do.

    `fatal` says that nothing is trained before it is mended, because to go on would be a guess.
    """

    kind: str
    detail: str
    fatal: bool = False


class ImageSource(Protocol):
    """What turns a record into pixels.

    `raw` says that the pixels lie there as they are, so that nothing is gained by keeping decoded copies on disk.
    """

    raw: bool

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        ...

    def encoded(self, record: Record) -> bytes | None:
        """The bytes of the image's file, or None where the pixels lie there as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Records in splits, and the class names in the order of a network's outputs.

    Args:
        name: the folder's or source's own name.
        classes: sorted, from the training split.
        splits: `"train"`, `"val"`, `"test"`, as far as present.
        source: reads the pixels.
        channels: 1 when the source is gray throughout, else 3.
        bad_files: left out of the splits because they cannot be read.
        notes: what was ignored, split or missing, each a sentence for the user.
        faults: how the data lies that may lose images or classes.
        mirrors: whether a mirror image shows the same class; not so for digits.
        location: the absolute path or address of the source.
        drawn: whether the source names no split, so that all of them were drawn.

    >>> from convlens.data import open_dataset
    >>> digits = open_dataset("digits")
    >>> digits.classes[:3], len(digits.splits["test"]), digits.read(digits.splits["test"][0], channels=1).shape
    (('0', '1', '2'), 360, (8, 8, 1))
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Record, ...]]
    source: ImageSource
    channels: int = 3
    bad_files: tuple[BadFile, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    mirrors: bool = True
    location: str = ""
    drawn: bool = False

    def read(
        self, record: Record, *, channels: int | None = None, at_least: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C); `at_least` lets large JPEGs be decoded at a fraction of their size."""
        return self.source.read(record, channels=channels or self.channels, at_least=at_least)

    def records(self, split: str) -> tuple[Record, ...]:
        """The records of one split, or of `"all"`.

        Raises:
            UnknownNameError: there is no such split here.
        """
        if split == "all":
            return tuple(record for name in SPLITS for record in self.splits.get(name, ()))
        if split not in self.splits:
            raise unknown_name("split", split, [*self.splits, "all"])
        return self.splits[split]

    def labels(self, split: str) -> NDArray[np.int64]:
        """The class index of every record of a split, int64 (N,)."""
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[record.label] for record in self.records(split)], np.int64)

    def counts(self, split: str) -> dict[str, int]:
        """Images of each class in a split, in the order of `classes`."""
        seen = Counter(record.label for record in self.records(split))
        return {name: seen[name] for name in self.classes}

    def matched_to(self, classes: Sequence[str]) -> "Dataset":
        """The same images, for a network trained on `classes`: names are matched, positions never.

        Records of a class that the network does not know are left out, and a note says so by name.

        Raises:
            DataError: no class is known, or one is spelt a little differently.
        """
        known = set(classes)
        strange = sorted({record.label for record in self.records("all")} - known)
        for names in look_alike_names([*strange, *sorted(known)]):
            here, there = set(names) & set(strange), set(names) & known
            if here and there:
                raise DataError(
                    f"class {min(here)!r} of {self.name} and {min(there)!r} of the network differ only in case, spaces "
                    "or the spelling of accents; give the data the network's spelling"
                )
        if known.isdisjoint(record.label for record in self.records("all")):
            raise DataError(
                f"{self.name} has the classes {_listed(strange)} and the network knows {_listed(sorted(known))}: "
                "none in common; give the data that it was trained for"
            )
        splits = {name: tuple(r for r in records if r.label in known) for name, records in self.splits.items()}
        left_out = Counter(record.label for record in self.records("all") if record.label not in known)
        notes = [
            f"class {name!r} is unknown to the network; its {left_out[name]} images are left out" for name in strange
        ]
        here = {record.label for record in self.records("all")}
        notes += [f"class {name!r} of the network has no image here" for name in classes if name not in here]
        return replace(self, classes=tuple(classes), splits=splits, notes=tuple(dict.fromkeys((*self.notes, *notes))))

    def fingerprint(self) -> str:
        """Hex digest of splits, keys, labels and file sizes: the same wherever the data lies."""
        digest = hashlib.sha256()
        for split in sorted(self.splits):
            for record in sorted(self.splits[split], key=lambda record: record.key):
                # Names that are no UTF-8 have lone surrogates, which only this way of encoding takes.
                line = f"{split}\0{record.key}\0{record.label}\0{record.size_bytes}\n"
                digest.update(line.encode(errors="surrogatepass"))
        return digest.hexdigest()[:32]


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
