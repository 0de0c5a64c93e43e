"""The part of a check that is quick enough to be made before every training."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from convlens.data.dataset import Dataset, Record
from convlens.data.packed import PackedSource
from convlens.data.parallel import in_order
from convlens.images import ImageError

_Placed = tuple[str, Record]  # split and record


def quick_notes(dataset: Dataset) -> list[str]:
    """Sentences about images that are byte for byte the same in two splits or classes.

    Only files of equal size are read, so that a clean set costs next to nothing.
    """
    leaks, contradictions = [], []
    for group in _same(dataset):
        names = f"{group[0][1].key} and {group[-1][1].key}"
        if len({record.label for _, record in group}) > 1:
            contradictions.append(names)
        elif len({split for split, _ in group}) > 1:
            leaks.append(names)
    notes = []
    for found, what in ((leaks, "in two splits, so the evaluation is too good"), (contradictions, "in two classes")):
        if found:
            notes.append(f"{len(found)} image(s) are {what}, such as {found[0]}; see convlens check")
    return notes


def _same(dataset: Dataset) -> list[list[_Placed]]:
    """Groups of images with the same bytes."""
    by_size: dict[int, list[_Placed]] = defaultdict(list)
    for split, records in dataset.splits.items():
        for record in records:
            if record.size_bytes and not dataset.source.raw and not isinstance(dataset.source, PackedSource):
                by_size[record.size_bytes].append((split, record))
    candidates = [placed for group in by_size.values() if _matters(group) for placed in group]
    by_digest: dict[bytes, list[_Placed]] = defaultdict(list)
    for placed, digest in zip(candidates, in_order(lambda item: _digest(dataset, item), candidates), strict=True):
        if digest:
            by_digest[digest].append(placed)
    return [sorted(group, key=lambda placed: placed[1].key) for group in by_digest.values() if _matters(group)]


def _matters(group: Sequence[_Placed]) -> bool:
    return len({(split, record.label) for split, record in group}) > 1


def _digest(dataset: Dataset, placed: _Placed) -> bytes:
    try:
        content = dataset.source.encoded(placed[1])
    except ImageError:  # that it cannot be read is said elsewhere
        return b""
    return hashlib.blake2b(content, digest_size=16).digest() if content else b""
