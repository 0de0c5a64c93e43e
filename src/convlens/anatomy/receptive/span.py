"""Where along one axis of the input each element of a tensor looks: a set of positions, element by element.

A set is a row of bits, in 64-bit words; the union of two is `|`. Beside these true, clipped sets a span may carry the
*free* pattern, what first and last position would be on an image without borders: along one factor they repeat every
few elements, each time `advance` further on. Both are arrays with one dimension for each *factor* of the tensor's shape
(see `field`), of length 1 where nothing varies, and one more for the words or for the two ends; so whatever moves
elements about does the same to both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.anatomy.receptive.taps import Taps

Bits = NDArray[np.uint64]  # (*factors, words)
Reach = NDArray[np.int32]  # (*factors, 2): minus the first position, and the last; the union of two is the maximum
Mask = NDArray[np.bool_]  # (*factors)
Array = NDArray[Any]
_FAR = np.int32(-(2**29))  # both ends of what looks nowhere
_OUT = np.array([-1, 1], dtype=np.int32)  # one position further on, for both ends


def own_positions(length: int) -> Bits:
    """The sets {0}, {1}, … of an axis: (length, words)."""
    bits = np.zeros((length, -(-length // 64)), dtype=np.uint64)
    place = np.arange(length)
    bits[place, place // 64] = np.uint64(1) << (place % 64).astype(np.uint64)
    return bits


def ends(seen: Bits) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First and last position of every set; 1 and 0 of an empty one."""
    single = members(seen)
    some = single.any(-1)
    first, last = single.argmax(-1), single.shape[-1] - 1 - single[..., ::-1].argmax(-1)
    return np.where(some, first, 1).astype(np.int32), np.where(some, last, 0).astype(np.int32)


def members(seen: Bits) -> Mask:
    """The sets as (…, positions) of True and False."""
    octets = np.ascontiguousarray(seen.astype("<u8")).view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little").astype(np.bool_)


def packed(single: Mask) -> Bits:
    """The sets again, from (…, positions) of True and False, as many as words hold."""
    octets = np.packbits(single, axis=-1, bitorder="little")
    return np.ascontiguousarray(octets).view("<u8").astype(np.uint64)


@dataclass(frozen=True)
class Free:
    """The pattern without borders: both ends for one period along `factor`, then `advance` further on."""

    reach: Reach
    factor: int
    advance: int

    @property
    def phases(self) -> int:
        """Positions in one period."""
        return int(self.reach.shape[self.factor])

    def tiled(self, phases: int) -> "Free":
        """The same pattern written with a period that is a multiple."""
        times = phases // self.phases
        if times == 1:
            return self
        parts = [self.reach + _OUT * np.int32(i * self.advance) for i in range(times)]
        return Free(np.concatenate(parts, self.factor), self.factor, self.advance * times)

    def shrunk(self) -> "Free":
        """The same pattern with the shortest period that describes it."""
        for period in range(1, self.phases):
            if self.phases % period or self.advance % (self.phases // period):
                continue
            start = self.reach.take(range(period), axis=self.factor)
            short = Free(start, self.factor, self.advance * period // self.phases)
            if np.array_equal(short.tiled(self.phases).reach, self.reach):
                return short
        return self


@dataclass(frozen=True)
class Span:
    """The sets along one input axis, and the free pattern.

    Attributes:
        seen: for each element the positions that it looks at.
        free: the pattern without borders; None: there is none, and `word` says why.
        along: the factors along which an element's place on this axis changes; others, such as channels, may make
            elements differ too, but are no places.
    """

    seen: Bits
    free: Free | None
    word: str = ""
    along: frozenset[int] = frozenset()

    def empty(self) -> Mask:
        """Which elements look nowhere."""
        return np.asarray(reduce(np.bitwise_or, _words(self.seen)) == 0)

    def equals(self, other: "Span") -> bool:
        """Whether two spans say the same."""
        if (self.word, self.along) != (other.word, other.along) or not np.array_equal(self.seen, other.seen):
            return False
        if self.free is None or other.free is None:
            return self.free is other.free
        alike = (self.free.factor, self.free.advance) == (other.free.factor, other.free.advance)
        return alike and np.array_equal(self.free.reach, other.free.reach)

    def lost(self, word: str) -> "Span":
        """The same span without a free pattern."""
        return replace(self, free=None, word=self.word or word)

    def moved(self, change: Callable[[Array], Array], factor: Callable[[int], int]) -> "Span":
        """Elements rearranged: the same `change` of both arrays, factor number f becoming `factor(f)`."""
        free = self.free and Free(change(self.free.reach), factor(self.free.factor), self.free.advance)
        return Span(change(self.seen), free, self.word, frozenset(map(factor, self.along)))

    def reduced(self, factors: Sequence[int], sizes: Sequence[int]) -> "Span":
        """The union over some factors, which stay with length 1."""
        axes = tuple(factors)
        free, word = self.free, self.word
        if free is not None and free.factor in axes and sizes[free.factor] > 1:
            free, word = None, "global"
        elif free is not None:
            free = replace(free, reach=hull(free.reach, tuple(axis for axis in axes if axis != free.factor)))
        gone = {axis for axis in axes if sizes[axis] > 1}
        return Span(hull(self.seen, axes), free, word, self.along - gone)

    def gathered(self, factor: int, taps: Taps) -> "Span":
        """Along `factor`, the union over the taps of each output position."""
        free, word = self.free, self.word
        if free is not None and free.factor == factor:
            free = _free_gather(free, taps)
            word = word if free is not None else "uneven"
        elif free is not None:
            free = replace(free, reach=_gather(free.reach, factor, taps))
        return Span(_gather(self.seen, factor, taps), free, word, self.along)

    def windowed(self, factor: int, taps: Taps) -> "Span":
        """Along `factor`, the taps of each output position side by side, in a new last factor."""
        positions, counts = taps.bounded()
        free = self.free
        if free is not None and free.factor == factor:
            free = _free_windows(free, taps)
        elif free is not None:
            free = replace(free, reach=_lay_out(free.reach, factor, positions, counts))
        return Span(_lay_out(self.seen, factor, positions, counts), free, self.word, self.along)

    def permuted(self, order: Sequence[int]) -> "Span":
        """Factors in another order."""
        order = list(order)
        return self.moved(lambda array: array.transpose([*order, len(order)]), order.index)

    def inserted(self, place: int) -> "Span":
        """One more factor, of length 1, before `place`."""
        return self.moved(lambda array: np.expand_dims(array, place), lambda factor: factor + (factor >= place))

    def dropped(self, factor: int) -> "Span":
        """Without a factor of length 1."""
        span = replace(self, along=self.along - {factor})
        if span.free is not None and span.free.factor == factor:
            span = span.lost("global")
        return span.moved(lambda array: array.squeeze(factor), lambda each: each - (each > factor))

    def split(self, factor: int, size: int, minor: int) -> "Span":
        """One factor of `size` as two: `size // minor` and `minor`."""
        if size == minor:
            whole = self.inserted(factor)
            return replace(whole, along=whole.along | {factor}) if factor in self.along else whole
        free = self.free
        if free is not None and free.factor == factor:
            phases = free.phases * minor // gcd(free.phases, minor)
            free = free.tiled(phases)
            free = Free(_split(free.reach, factor, phases, minor, force=True), factor, free.advance).shrunk()
        elif free is not None:
            reach = _split(free.reach, factor, size, minor)
            free = Free(reach, free.factor + (free.factor > factor), free.advance)
        along = {each + (each > factor) for each in self.along} | ({factor + 1} if factor in self.along else set())
        return Span(_split(self.seen, factor, size, minor), free, self.word, frozenset(along))

    def merged(self, factor: int, major: int, minor: int) -> "Span":
        """Factors `factor` and `factor + 1`, of those sizes, as one."""
        free, word = self.free, self.word
        if free is not None:
            free = _free_merge(free, factor, major, minor)
            word = word if free is not None else "flattened"
        along = frozenset(each - (each > factor) for each in self.along)
        return Span(_merge(self.seen, factor, major, minor), free, word, along)

    def united(self, other: "Span") -> "Span":
        """The union with another span of the same tensor."""
        seen, along = self.seen | other.seen, self.along | other.along
        if self.free is None or other.free is None:
            return Span(seen, None, self.word or other.word, along)
        free = free_union(self.free, other.free)
        return Span(seen, free, "" if free is not None else "misaligned branches", along)

    def closed(self, mask: Mask, *, pattern: bool) -> "Span":
        """The span after the masked elements were made to look nowhere, in the pattern too if that is wanted."""
        free = self.free
        if pattern and free is not None and mask.shape[free.factor] == 1:
            free = replace(free, reach=np.where(mask[..., None], _FAR, free.reach))
        kept = np.where(mask, np.uint64(0), ~np.uint64(0))
        return replace(self, seen=_by_words(lambda word: word & kept, self.seen), free=free)


def free_union(one: Free, other: Free) -> Free | None:
    """The union of two free patterns; None if they advance at different rates."""
    if one.factor != other.factor or one.advance * other.phases != other.advance * one.phases:
        return None
    phases = one.phases * other.phases // gcd(one.phases, other.phases)
    one, other = one.tiled(phases), other.tiled(phases)
    return Free(np.maximum(one.reach, other.reach), one.factor, one.advance)


def unites(array: Array) -> tuple[np.ufunc, Any]:
    """How the elements of a span's array are united, and what changes nothing in that."""
    return (np.bitwise_or, np.uint64(0)) if array.dtype == np.uint64 else (np.maximum, _FAR)


def hull(array: Array, axes: tuple[int, ...]) -> Array:
    """The union over some factors, which stay with length 1."""
    varying = tuple(axis for axis in axes if array.shape[axis] > 1)
    unite = unites(array)[0]
    return _by_words(lambda word: unite.reduce(word, axis=varying, keepdims=True), array) if varying else array


def _words(array: Array) -> list[Array]:
    return [array[..., number] for number in range(array.shape[-1])]


def _by_words(change: Callable[[Array], Array], array: Array) -> Array:
    """The same change of each word (or end): NumPy's inner loops then run along a factor, not over one or two words."""
    first, *rest = (change(word) for word in _words(array))
    made = np.empty((*first.shape, array.shape[-1]), dtype=array.dtype)
    for number, word in enumerate((first, *rest)):
        made[..., number] = word
    return made


def _gather(array: Array, factor: int, taps: Taps) -> Array:
    positions, counts = taps.bounded()
    if array.shape[factor] == 1 and bool(counts.any(axis=1).all()):
        return array
    unite, nothing = unites(array)
    if not positions.size:
        return np.asarray(unite.reduce(_lay_out(array, factor, positions, counts), axis=-2))
    wide = array.shape[factor] > 1
    form = [1] * array.ndim
    form[factor] = len(positions)
    found: Array | None = None
    for place, counted in zip(positions.T, counts.T, strict=True):
        part = array.take(place if wide else 0 * place, axis=factor)
        part = part if bool(counted.all()) else np.where(counted.reshape(form), part, nothing)
        found = part if found is None else unite(found, part, out=found)
    return np.asarray(found)


def _lay_out(array: Array, factor: int, positions: NDArray[np.int64], counts: Mask) -> Array:
    """Read positions (outputs, taps) along `factor`; the taps become a new last factor."""
    if array.shape[factor] == 1:
        positions = np.zeros_like(positions)
    laid = np.moveaxis(array.take(positions, axis=factor), factor + 1, -2)
    if bool(counts.all()):
        return laid
    return np.where(_beside(counts, factor, laid.ndim), laid, unites(array)[1])


def _beside(table: Array, factor: int, rank: int) -> Array:
    """A table (outputs, taps) in the shape of an array whose last factor is the taps."""
    shape = [1] * rank
    shape[factor], shape[-2] = table.shape
    return table.reshape(shape)


def _free_windows(free: Free, taps: Taps) -> Free | None:
    if taps.period is None or taps.period[1] == 0:
        return None
    outputs, inputs = taps.period
    times = free.phases // gcd(free.phases, abs(inputs))
    positions, counts = taps.read(np.arange(outputs * times), False)
    laid = _lay_out(free.reach, free.factor, positions % free.phases, counts)
    whole = (positions // free.phases).astype(np.int32) * np.int32(free.advance)
    laid = laid + _beside(whole, free.factor, laid.ndim) * _OUT
    return Free(laid, free.factor, free.advance * inputs * times // free.phases)


def _free_gather(free: Free, taps: Taps) -> Free | None:
    laid = _free_windows(free, taps)
    return laid and replace(laid, reach=laid.reach.max(axis=-2)).shrunk()


def _split(array: Array, factor: int, size: int, minor: int, *, force: bool = False) -> Array:
    shape = list(array.shape)
    if shape[factor] == 1 and not force:
        return np.expand_dims(array, factor)
    shape[factor : factor + 1] = [size // minor, minor]
    return array.reshape(shape)


def _merge(array: Array, factor: int, major: int, minor: int) -> Array:
    shape = list(array.shape)
    if shape[factor] == 1 and shape[factor + 1] == 1:
        return array.squeeze(factor)
    shape[factor], shape[factor + 1] = major, minor
    array = np.broadcast_to(array, shape)
    shape[factor : factor + 2] = [major * minor]
    return array.reshape(shape)


def _free_merge(free: Free, factor: int, major: int, minor: int) -> Free | None:
    if free.factor == factor:
        reach = _merge(free.reach, factor, free.phases, minor)
        if reach.shape[factor] == 1 and minor > 1:  # one phase, the same for all of the minor factor
            reach = np.repeat(reach, minor, axis=factor)
        return Free(reach, factor, free.advance)
    if free.factor == factor + 1:
        return None if major > 1 else Free(free.reach.squeeze(factor), factor, free.advance)
    reach = _merge(free.reach, factor, major, minor)
    return Free(reach, free.factor - (free.factor > factor), free.advance)
