"""Images that are one, and images that only look alike: found by hashes, and the former proven on their pixels."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from convlens.data.copies import LONGEST, Picture, are_copies
from convlens.data.facts import Facts
from convlens.data.neighbours import Neighbours

_Indices = NDArray[np.int64]
Read = Callable[[Facts, int | None], Picture]  # the picture, decoded to no less than so many pixels a side

_CANDIDATE = 12  # largest difference of the 16 × 16 pictures that a copy may have, of 255
_FEW = 8  # entries of a component that are all held against each other
_NEAREST = 8  # candidates of an entry, among more, that are looked at for a copy
_SIDE = 64  # of the pictures that candidates are chosen by
_RELATED = 0.1  # correlation of their detail from which pictures may be copies
_BACKGROUND = 6  # pictures that tell what such pictures have in common
_ROWS = 512  # entries that are correlated with the others at once
_KEPT = 256  # decoded pictures in memory


@dataclass(frozen=True, kw_only=True)
class Group:
    """Images every one of which is proven to be every other."""

    facts: tuple[Facts, ...]
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Two images that may be copies, the second perhaps mirrored, and others that hardly are."""

    first: int
    second: int
    mirrored: bool
    others: tuple[int, ...] = ()


def exact_groups(facts: Sequence[Facts], read: Read) -> list[Group]:
    """Groups of images with the same pixels, two or more in each."""
    by_digest: dict[bytes, list[Facts]] = defaultdict(list)
    for fact in facts:
        if not fact.reason:
            by_digest[fact.digest].append(fact)
    groups = []
    for same in by_digest.values():
        if len(same) > 1:
            groups += [same] if all(fact.exact for fact in same) else _equal_in_full(same, read)
    return [Group(facts=tuple(same)) for same in groups if len(same) > 1]


def _equal_in_full(same: Sequence[Facts], read: Read) -> list[list[Facts]]:
    """Divide images that are equal when they are decoded small by what they are at their full size."""
    by_pixels: dict[bytes, list[Facts]] = defaultdict(list)
    for fact in same:
        by_pixels[read(fact, None).tobytes()].append(fact)
    return list(by_pixels.values())


def proven_groups(near: Neighbours, read: Read) -> tuple[list[Group], set[tuple[int, int]]]:
    """Find copies among neighbours, prove them on their pixels, and join what is proven of every pair.

    Returns:
        The groups, and all pairs that are proven.
    """
    pictures = _Pictures(near.facts, read)
    proven: dict[tuple[int, int], bool] = {}
    for component in near.components:
        for candidate in candidates_of(near, component, pictures.small):
            pair = candidate.first, candidate.second
            if pair not in proven and _is_proven(pictures, candidate):
                proven[pair] = candidate.mirrored
    return _complete_groups(near.facts, proven), set(proven)


def candidates_of(
    near: Neighbours, component: _Indices, small: Callable[[int], NDArray[np.float32]]
) -> Iterator[Candidate]:
    """The pairs of a component that may be copies.

    Few are held against each other all. Of many, such as those of a camera that stands still, what they have in common
    is taken away from each, and those whose remaining detail is correlated may be copies.
    """
    count = len(near.facts)
    if len(component) <= _FEW:
        pairs = [(int(i), int(j)) for n, i in enumerate(component) for j in component[n + 1 :]]
        yield from _alike(near, pairs)
        return
    detail = np.stack([_detail_of(small(entry % count), entry >= count) for entry in component.tolist()])
    detail -= detail.mean(axis=0)
    detail = detail / np.maximum(np.linalg.norm(detail, axis=1, keepdims=True), 1e-6)
    chosen = []
    for start in range(0, len(component), _ROWS):
        related = detail[start : start + _ROWS] @ detail.T
        for row, values in enumerate(related, start=start):
            values[component % count == component[row] % count] = -1
            best = np.argsort(-values, kind="stable")[:_NEAREST]
            chosen += [(row, int(other)) for other in best if values[other] >= _RELATED]
    place = {int(entry): row for row, entry in enumerate(component)}
    entries = sorted({(int(component[min(pair)]), int(component[max(pair)])) for pair in chosen})
    for candidate in _alike(near, entries):
        rows = place.get(candidate.first, -1), place.get(candidate.second, -1)
        others = () if candidate.mirrored or -1 in rows else _unrelated(detail, component, rows, count)
        yield Candidate(first=candidate.first, second=candidate.second, mirrored=candidate.mirrored, others=others)


def _alike(near: Neighbours, pairs: Sequence[tuple[int, int]]) -> Iterator[Candidate]:
    """Those of the pairs of entries whose smallest pictures differ little everywhere."""
    count, seen = len(near.facts), set[Candidate]()
    for a, b in pairs:
        i, j = a % count, b % count
        found = Candidate(first=min(i, j), second=max(i, j), mirrored=(a >= count) != (b >= count))
        if i == j or found in seen:
            continue
        seen.add(found)
        if np.abs(near.thumbs[a] - near.thumbs[b]).max() <= _CANDIDATE:
            yield found


def _detail_of(gray_HW: NDArray[np.float32], mirrored: bool) -> NDArray[np.float32]:
    detail = gray_HW - ndimage.uniform_filter(gray_HW, 5)
    return np.asarray((detail[:, ::-1] if mirrored else detail).reshape(-1), np.float32)


def _unrelated(detail: NDArray[np.float32], component: _Indices, rows: tuple[int, int], count: int) -> tuple[int, ...]:
    """The images of a component that are least related to a pair; what they share with it, all share."""
    related = np.abs(detail @ detail[list(rows)].T).max(axis=1)
    order = [row for row in np.argsort(related, kind="stable").tolist() if component[row] < count and row not in rows]
    return tuple(int(component[row]) for row in order[:_BACKGROUND]) if len(order) >= _BACKGROUND else ()


def _is_proven(pictures: "_Pictures", candidate: Candidate) -> bool:
    first, second = pictures.get(candidate.first), pictures.get(candidate.second)
    if candidate.mirrored:
        second = np.ascontiguousarray(second[:, ::-1])
    return are_copies(first, second, [pictures.get(other) for other in candidate.others])


def _complete_groups(facts: Sequence[Facts], proven: dict[tuple[int, int], bool]) -> list[Group]:
    """Join pairs to groups in which every pair is proven: nothing belongs together through a third image."""
    groups: list[list[int]] = []
    of: dict[int, int] = {}
    for i, j in sorted(proven):
        if i not in of and j not in of:
            of[i] = of[j] = len(groups)
            groups.append([i, j])
        elif (i in of) != (j in of):
            known, new = (i, j) if i in of else (j, i)
            group = groups[of[known]]
            if all((min(new, k), max(new, k)) in proven for k in group):
                group.append(new)
                of[new] = of[known]
    joined = [
        Group(
            facts=tuple(facts[k] for k in group),
            mirrored=any(proven[min(group[0], k), max(group[0], k)] for k in group[1:]),
        )
        for group in groups
    ]
    apart = [(i, j) for i, j in sorted(proven) if i not in of or of[i] != of.get(j)]
    return joined + [Group(facts=(facts[i], facts[j]), mirrored=proven[i, j]) for i, j in apart]


class _Pictures:
    """Decoded pictures, the last ones used in memory."""

    def __init__(self, facts: Sequence[Facts], read: Read) -> None:
        self._facts, self._read = facts, read
        self._kept: OrderedDict[int, Picture] = OrderedDict()

    def get(self, number: int) -> Picture:
        """The picture, large enough to be compared with another."""
        if number not in self._kept:
            self._kept[number] = self._read(self._facts[number], LONGEST)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def small(self, number: int) -> NDArray[np.float32]:
        """The picture in gray and small, (_SIDE, _SIDE)."""
        gray = Image.fromarray(self._read(self._facts[number], 2 * _SIDE)).convert("L")
        return np.asarray(gray.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
