"""Images that are the same, by content or to the eye."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from convlens.data.facts import Facts

_Indices = NDArray[np.int64]

NEAR_BITS = 6  # of 64 that may differ
_NEAR_PIXELS = 12.0  # mean difference of the small gray pictures that is still the same picture, of 255
_FLAT = 0.03  # below this spread every picture looks like every other
_PART_BITS = 16  # a hash is looked up by each of its four parts
_BLOCK = 200_000  # pairs that are compared at once


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
    if len(candidates) < 2:
        return []
    hashes = np.array([fact.perceptual for fact in candidates], np.uint64)
    thumbs = np.stack([fact.thumb for fact in candidates if fact.thumb is not None]).reshape(len(candidates), -1)
    first, joined = _joined_by_hash(hashes, thumbs)
    pairs = [joined]
    for i, j in _close_pairs(hashes[first]):
        pairs.append(_looking_alike(thumbs, first[i], first[j]))
    groups: dict[int, list[Facts]] = defaultdict(list)
    for fact, group in zip(candidates, _connected(len(candidates), np.concatenate(pairs)).tolist(), strict=True):
        groups[group].append(fact)
    # The copies of a member belong to its group as well.
    copies: dict[bytes, list[Facts]] = defaultdict(list)
    for fact in facts:
        copies[fact.digest].append(fact)
    return [[copy for f in group for copy in copies[f.digest]] for group in groups.values() if len(group) > 1]


def _joined_by_hash(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> tuple[_Indices, _Indices]:
    """Images whose hashes are equal, each compared with the first ones of its kind only: thousands of frames of one
    still film would make millions of pairs.

    Returns:
        Indices (F,) of images that stand for all with their hash and look, and pairs (P, 2) of them with the others.
    """
    first, pairs = [], []
    for group in np.split(np.argsort(hashes, kind="stable"), np.flatnonzero(np.diff(np.sort(hashes))) + 1):
        rest = group
        while len(rest):
            first.append(int(rest[0]))
            alike = _differences(thumbs, rest[:1], rest) <= _NEAR_PIXELS
            pairs += [(int(rest[0]), int(i)) for i in rest[alike][1:]]
            rest = rest[~alike]
    return np.array(first), np.array(pairs, np.int64).reshape(-1, 2)


def _close_pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[_Indices, _Indices]]:
    """Pairs (i, j) whose hashes differ in 1 to NEAR_BITS bits, in blocks; a pair may come several times.

    Of four parts of 16 bits, one differs in at most one bit where all of them differ in at most six. So only hashes
    that share a part, up to one bit, are compared: a thousandth of all pairs.
    """
    for shift in range(0, 64, _PART_BITS):
        parts = (hashes >> np.uint64(shift)) & np.uint64(2**_PART_BITS - 1)
        order = np.argsort(parts, kind="stable")
        ordered = parts[order]
        for mask in (0, *(1 << bit for bit in range(_PART_BITS))):
            wanted = parts ^ np.uint64(mask)
            starts, ends = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
            for low, high in _spans(ends - starts):
                counts = (ends - starts)[low:high]
                i = np.repeat(np.arange(low, high), counts)
                within = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
                j = order[np.repeat(starts[low:high], counts) + within]
                later = i < j
                i, j = i[later], j[later]
                close = _bits(hashes[i] ^ hashes[j]) <= NEAR_BITS
                yield i[close], j[close]


def _spans(counts: _Indices) -> Iterator[tuple[int, int]]:
    """Cut a row of counts into spans that add up to about a block each."""
    total = np.cumsum(counts)
    low = 0
    while low < len(counts):
        before = int(total[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(total, before + _BLOCK, "right")))
        yield low, high
        low = high


def _looking_alike(thumbs: NDArray[np.uint8], i: _Indices, j: _Indices) -> _Indices:
    """Those of the pairs whose small gray pictures are nearly the same, (P, 2)."""
    alike = _differences(thumbs, i, j) <= _NEAR_PIXELS
    return np.stack([i[alike], j[alike]], axis=1)


def _differences(thumbs: NDArray[np.uint8], i: _Indices, j: _Indices) -> NDArray[np.float64]:
    return np.asarray(np.abs(thumbs[i].astype(np.int16) - thumbs[j]).mean(axis=1))


def _connected(count: int, pairs: _Indices) -> _Indices:
    """The number of the group that each of `count` things belongs to, where pairs belong together."""
    parents = list(range(count))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for i, j in pairs.tolist():
        parents[root(i)] = root(j)
    return np.array([root(i) for i in range(count)])


def _bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bits are set; the usual sums of pairs, nibbles and bytes, since NumPy counts them only from 2.0 on."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), np.uint8)
    bytes_ = values[..., None].view(np.uint8)
    return np.asarray(np.unpackbits(bytes_, axis=-1).sum(axis=-1), np.uint8)
