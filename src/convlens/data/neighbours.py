"""Images that are near each other by hash or brightness, found without comparing each with each."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from convlens.data.facts import Facts

_Indices = NDArray[np.int64]

NEAR_BITS = 6  # of 64 that may differ
_ALIKE = 12.0  # mean difference of the small gray pictures that still look alike, of 255
_ALIKE_THUMB = 3.0  # the same, whatever the hashes are
_COARSE = 4  # rows and columns of the picture by whose brightness neighbours are looked for
_AS_BRIGHT = 6.0  # largest difference of them, of 255
_NEAREST = 8  # neighbours of each
_PART_BITS = 16  # a hash is looked up by each of its four parts
_BLOCK = 200_000  # pairs that are compared at once


class Neighbours:
    """Which images are near each other. An entry is an image or, from `len(facts)` on, its mirror image.

    Args:
        facts: of readable images, one of each that are the same.
        mirrors: whether an image is also held against the mirror images of the others.
    """

    def __init__(self, facts: Sequence[Facts], *, mirrors: bool) -> None:
        self.facts = facts
        thumbs = [fact.thumb for fact in facts] + [fact.mirrored_thumb for fact in facts if mirrors]
        self.thumbs = np.stack([each for each in thumbs if each is not None]).astype(np.int16)  # by entry
        hashes = [fact.perceptual for fact in facts] + [fact.mirrored for fact in facts if mirrors]
        self._hashes = np.array(hashes, np.uint64)
        self.components = self._components()

    def _components(self) -> list[_Indices]:
        """Entries that are connected by near hashes or near brightness, two images or more in each."""
        size, count = len(self._hashes), len(self.facts)
        pairs = np.concatenate([_near_by_hash(self._hashes), _near_by_brightness(self.thumbs)])
        graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (size, size))
        numbers = connected_components(graph)[1]
        order = np.argsort(numbers, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
        # Of two components that are each other's mirror images, one is enough.
        twins = [numbers[(part[0] + count) % size] for part in parts]
        return [
            part
            for n, part in enumerate(parts)
            if len(np.unique(part % count)) > 1 and (twins[n] >= n or size == count)
        ]

    def alike(self) -> list[tuple[list[int], bool]]:
        """Groups of images that look like the first of the group, each image in one group at most, and whether all of
        them are mirrored.
        """
        count = len(self.facts)
        taken: set[int] = set()
        groups = []
        for component in self.components:
            for entry in component.tolist():
                if entry % count in taken:
                    continue
                found: dict[int, bool] = {}
                for other in self._looking_like(entry, component):
                    if other % count not in taken and other % count != entry % count:
                        found.setdefault(other % count, (other >= count) != (entry >= count))
                if found:
                    taken |= {entry % count, *found}
                    groups.append(([entry % count, *sorted(found)], all(found.values())))
        return groups

    def _looking_like(self, entry: int, component: _Indices) -> list[int]:
        """The entries of a component that look like one of them, the unmirrored first."""
        difference = np.abs(self.thumbs[entry] - self.thumbs[component]).mean(axis=(1, 2))
        near = _bits(self._hashes[entry] ^ self._hashes[component]) <= NEAR_BITS
        alike = component[(difference <= _ALIKE_THUMB) | (near & (difference <= _ALIKE))]
        return sorted(alike.tolist(), key=lambda other: (other >= len(self.facts)) != (entry >= len(self.facts)))


def _near_by_hash(hashes: NDArray[np.uint64]) -> _Indices:
    """Pairs (P, 2) of entries that connect all whose hashes differ in at most NEAR_BITS bits."""
    values, first, of = np.unique(hashes, return_index=True, return_inverse=True)
    equal = np.stack([np.arange(len(hashes)), first[of]], axis=1)
    near = [np.stack([first[i], first[j]], axis=1) for i, j in _close_pairs(values)]
    return np.concatenate([equal, *near])


def _near_by_brightness(thumbs: NDArray[np.int16]) -> _Indices:
    """Pairs (P, 2) of each entry and the nearest ones that are about as bright everywhere.

    The hash of a picture that is its own mirror image, or has little in it, is mostly noise; this is not.
    """
    count, side = len(thumbs), thumbs.shape[1] // _COARSE
    coarse = thumbs.reshape(count, _COARSE, side, _COARSE, side).mean(axis=(2, 4)).reshape(count, -1)
    distances, others = cKDTree(coarse).query(coarse, k=min(_NEAREST, count), p=np.inf, distance_upper_bound=_AS_BRIGHT)
    rows = np.repeat(np.arange(count), others.shape[1]) if others.ndim == 2 else np.arange(count)
    pairs = np.stack([rows, others.reshape(-1)], axis=1)
    return np.asarray(pairs[np.isfinite(distances.reshape(-1))], np.int64)


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


def _bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bits are set; the usual sums of pairs, nibbles and bytes, since NumPy counts them only from 2.0 on."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), np.uint8)
    bytes_ = values[..., None].view(np.uint8)
    return np.asarray(np.unpackbits(bytes_, axis=-1).sum(axis=-1), np.uint8)
