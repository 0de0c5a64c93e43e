"""Which images an artifact is proved on: the user's own, or crops of two photographs that are installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convlens import images
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.data import Dataset, Record

_PHOTOGRAPHS = ("china.jpg", "flower.jpg")  # in scikit-learn


@dataclass(frozen=True, kw_only=True)
class ProofImages:
    """Decoded images, uint8 (H, W, C), and where they are from."""

    images: tuple[NDArray[np.uint8], ...]
    origin: str


def from_dataset(dataset: "Dataset", channels: int, count: int, split: str | None = None) -> ProofImages:
    """Take `count` images of a data set, spread evenly over its classes; held-out ones first.

    The files are decoded in full, as a client that knows nothing of scaled decoding would.
    """
    chosen: list[Record] = []
    names = [split] if split else [name for name in ("val", "test", "train") if dataset.splits.get(name)]
    for name in names:
        chosen += spread(dataset.records(name), count - len(chosen))
        if len(chosen) == count:
            break
    pixels = tuple(dataset.read(record, channels=channels) for record in chosen)
    return ProofImages(images=pixels, origin=f"{len(pixels)} images of {dataset.name}")


def from_photographs(channels: int, count: int) -> ProofImages:
    """Cut `count` pictures of many shapes out of two photographs; the same every time."""
    import sklearn.datasets

    folder = Path(sklearn.datasets.__file__).parent / "images"
    missing = [name for name in _PHOTOGRAPHS if not (folder / name).is_file()]
    if missing:
        raise ConvlensError(f"scikit-learn's photograph {missing[0]} is not installed; give images with --data")
    photographs = [images.read(folder / name, channels=channels) for name in _PHOTOGRAPHS]
    chance = np.random.default_rng(0)
    cut = []
    for number in range(count):
        photograph = photographs[number % 2]
        height, width = (int(chance.integers(48, side // 2)) for side in photograph.shape[:2])
        top, left = (
            int(chance.integers(0, side - length + 1))
            for side, length in zip(photograph.shape, (height, width), strict=False)
        )
        cut.append(np.ascontiguousarray(photograph[top : top + height, left : left + width]))
    return ProofImages(images=tuple(cut), origin=f"{count} crops of scikit-learn's two photographs")


def spread(records: "Sequence[Record]", count: int) -> "list[Record]":
    """Take one of each class in turn, in the order of the keys, until there are enough."""
    by_class: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.key):
        by_class.setdefault(record.label, []).append(record)
    taken: list[Record] = []
    for turn in range(max((len(group) for group in by_class.values()), default=0)):
        taken += [by_class[label][turn] for label in sorted(by_class) if turn < len(by_class[label])]
        if len(taken) >= count:
            break
    return taken[:count]
