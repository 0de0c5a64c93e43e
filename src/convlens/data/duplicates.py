"""Images that are the same, by content or to the eye."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from convlens.data.facts import Facts

NEAR_BITS = 6  # of 64 that may differ
_NEAR_PIXELS = 12.0  # mean difference of the small gray pictures that is still the same picture, of 255
_FLAT = 0.03  # below this spread every picture looks like every other
_BLOCK = 256


def exact_groups(facts: Sequence[Facts]) -> list[list[Facts]]:
    """Groups of images with the same bytes, two or more in each."""
    by_digest: dict[bytes, list[Facts]] = defaultdict(list)
    for fact in facts:
        if not fact.reason:
            by_digest[fact.digest].append(fact)
    return [group for group in by_digest.values() if len(group) > 1]


def near_groups(facts: Sequence[Facts]) -> list[list[Facts]]:
    """Groups of images that look the same and are not the same bytes throughout.

    Perceptual hashes that differ in few bits propose pairs, small gray pictures confirm them, and pairs that share an
    image are joined.
    """
    seen: dict[bytes, Facts] = {}
    for fact in facts:
        if not fact.reason and fact.spread > _FLAT:
            seen.setdefault(fact.digest, fact)
    candidates = list(seen.values())
    parents = list(range(len(candidates)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for i, j in _close_pairs(np.array([fact.perceptual for fact in candidates], np.uint64)):
        if _look_alike(candidates[i], candidates[j]):
            parents[root(i)] = root(j)
    groups: dict[int, list[Facts]] = defaultdict(list)
    for i, fact in enumerate(candidates):
        groups[root(i)].append(fact)
    # The copies of a member belong to its group as well.
    copies: dict[bytes, list[Facts]] = defaultdict(list)
    for fact in facts:
        copies[fact.digest].append(fact)
    return [[copy for f in group for copy in copies[f.digest]] for group in groups.values() if len(group) > 1]


def _close_pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Pairs i < j whose hashes differ in at most NEAR_BITS bits: each with each, in blocks."""
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK, None]
        different = _bits(block ^ hashes[None, start:])
        for i, j in np.argwhere(different <= NEAR_BITS):
            if i < j:
                yield start + int(i), start + int(j)


def _bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bits are set; the usual sums of pairs, nibbles and bytes, since NumPy counts them only from 2.0 on."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), np.uint8)
    bytes_ = values[..., None].view(np.uint8)
    return np.asarray(np.unpackbits(bytes_, axis=-1).sum(axis=-1), np.uint8)


def _look_alike(a: Facts, b: Facts) -> bool:
    if a.thumb is None or b.thumb is None:
        return False
    return float(np.abs(a.thumb.astype(np.int16) - b.thumb).mean()) <= _NEAR_PIXELS
