"""Where along one axis of the input each element of a tensor looks: the first and last index, element by element.

Arrays have one dimension for each *factor* of the tensor's shape (see `field`) and length 1 where nothing varies. An
element that looks nowhere has `first > last`. Beside the true, clipped numbers a span may carry the *free* pattern,
what they would be on an image without borders: along one factor they repeat every few positions, each time `advance`
further on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np
from numpy.typing import NDArray

from convlens.anatomy.receptive.taps import Taps

Indices = NDArray[np.int32]
NOWHERE_FIRST, NOWHERE_LAST = np.int32(2**29), np.int32(-(2**29))


@dataclass(frozen=True)
class Free:
    """The pattern without borders: `first` and `last` for one period along `factor`, then `advance` further on."""

    first: Indices
    last: Indices
    factor: int
    advance: int

    @property
    def phases(self) -> int:
        """Positions in one period."""
        return int(self.first.shape[self.factor])

    def tiled(self, phases: int) -> "Free":
        """The same pattern written with a period that is a multiple."""
        times = phases // self.phases
        if times == 1:
            return self
        return replace(
            self,
            first=np.concatenate([self.first + np.int32(i * self.advance) for i in range(times)], self.factor),
            last=np.concatenate([self.last + np.int32(i * self.advance) for i in range(times)], self.factor),
            advance=self.advance * times,
        )

    def shrunk(self) -> "Free":
        """The same pattern with the shortest period that describes it."""
        for period in range(1, self.phases):
            if self.phases % period or self.advance % (self.phases // period):
                continue
            part = slice(0, period)
            key = tuple(part if axis == self.factor else slice(None) for axis in range(self.first.ndim))
            short = Free(self.first[key], self.last[key], self.factor, self.advance * period // self.phases)
            again = short.tiled(self.phases)
            if np.array_equal(again.first, self.first) and np.array_equal(again.last, self.last):
                return short
        return self


@dataclass(frozen=True)
class Span:
    """First and last index along one input axis, and the free pattern; `word` says why there is none."""

    first: Indices
    last: Indices
    free: Free | None
    word: str = ""

    def lost(self, word: str) -> "Span":
        """The same span without a free pattern."""
        return replace(self, free=None, word=self.word or word) if self.free else replace(self, word=self.word or word)

    def reduced(self, factors: Sequence[int], sizes: Sequence[int]) -> "Span":
        """The union over some factors, which stay with length 1."""
        axes = tuple(factors)
        if not axes:
            return self
        first, last = _hull(self.first, self.last, axes)
        free, word = self.free, self.word
        if free is not None and free.factor in axes and sizes[free.factor] > 1:
            free, word = None, "global"
        elif free is not None:
            others = tuple(axis for axis in axes if axis != free.factor)
            low, high = _hull(free.first, free.last, others)
            free = replace(free, first=low, last=high)
        return Span(first, last, free, word)

    def gathered(self, factor: int, taps: Taps) -> "Span":
        """Along `factor`, the union over the taps of each output position."""
        first, last = _gather(self.first, self.last, factor, taps)
        free, word = self.free, self.word
        if free is not None and free.factor == factor:
            free = _free_gather(free, taps)
            word = word if free is not None else "uneven"
        elif free is not None:
            low, high = _gather(free.first, free.last, factor, taps)
            free = replace(free, first=low, last=high)
        return Span(first, last, free, word)

    def windowed(self, factor: int, taps: Taps) -> "Span":
        """Along `factor`, the taps of each output position side by side, in a new last factor."""
        positions, counts = taps.bounded()
        first, last = _lay_out(self.first, self.last, factor, positions, counts)
        free, word = self.free, self.word
        if free is not None and free.factor == factor:
            free = _free_windows(free, taps)
        elif free is not None:
            low, high = _lay_out(free.first, free.last, factor, positions, counts)
            free = replace(free, first=low, last=high)
        return Span(first, last, free, word)

    def permuted(self, order: Sequence[int]) -> "Span":
        """Factors in another order."""
        free = self.free
        if free is not None:
            free = replace(
                free,
                first=free.first.transpose(order),
                last=free.last.transpose(order),
                factor=list(order).index(free.factor),
            )
        return replace(self, first=self.first.transpose(order), last=self.last.transpose(order), free=free)

    def inserted(self, place: int) -> "Span":
        """One more factor, of length 1, before `place`."""
        free = self.free
        if free is not None:
            free = Free(
                np.expand_dims(free.first, place),
                np.expand_dims(free.last, place),
                free.factor + (free.factor >= place),
                free.advance,
            )
        return replace(self, first=np.expand_dims(self.first, place), last=np.expand_dims(self.last, place), free=free)

    def dropped(self, factor: int) -> "Span":
        """Without a factor of length 1."""
        free, word = self.free, self.word
        if free is not None and free.factor == factor:
            free, word = None, word or "global"
        elif free is not None:
            free = Free(
                free.first.squeeze(factor),
                free.last.squeeze(factor),
                free.factor - (free.factor > factor),
                free.advance,
            )
        return Span(self.first.squeeze(factor), self.last.squeeze(factor), free, word)

    def split(self, factor: int, size: int, minor: int) -> "Span":
        """One factor of `size` as two: `size // minor` and `minor`."""
        if size == minor:
            return self.inserted(factor)
        first, last = (_split(each, factor, size, minor) for each in (self.first, self.last))
        free, word = self.free, self.word
        if free is not None and free.factor == factor:
            phases = free.phases * minor // gcd(free.phases, minor)
            free = free.tiled(phases)
            low, high = (_split(each, factor, phases, minor, force=True) for each in (free.first, free.last))
            free = Free(low, high, factor, free.advance).shrunk()
        elif free is not None:
            low, high = (_split(each, factor, size, minor) for each in (free.first, free.last))
            free = Free(low, high, free.factor + (free.factor > factor), free.advance)
        return Span(first, last, free, word)

    def merged(self, factor: int, major: int, minor: int) -> "Span":
        """Factors `factor` and `factor + 1`, of those sizes, as one."""
        first, last = (_merge(each, factor, major, minor) for each in (self.first, self.last))
        free, word = self.free, self.word
        if free is not None:
            free = _free_merge(free, factor, major, minor)
            word = word if free is not None else "flattened"
        return Span(first, last, free, word)

    def united(self, other: "Span") -> "Span":
        """The union with another span of the same tensor."""
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        if self.free is None or other.free is None:
            return Span(first, last, None, self.word or other.word)
        free = free_union(self.free, other.free)
        return Span(first, last, free, "" if free is not None else "misaligned branches")


def free_union(one: Free, other: Free) -> Free | None:
    """The union of two free patterns; None if they advance at different rates."""
    if one.factor != other.factor or one.advance * other.phases != other.advance * one.phases:
        return None
    phases = one.phases * other.phases // gcd(one.phases, other.phases)
    one, other = one.tiled(phases), other.tiled(phases)
    return Free(np.minimum(one.first, other.first), np.maximum(one.last, other.last), one.factor, one.advance)


def _hull(first: Indices, last: Indices, axes: tuple[int, ...]) -> tuple[Indices, Indices]:
    varying = tuple(axis for axis in axes if first.shape[axis] > 1 or last.shape[axis] > 1)
    if not varying:
        return first, last
    return first.min(axis=varying, keepdims=True), last.max(axis=varying, keepdims=True)


def _gather(first: Indices, last: Indices, factor: int, taps: Taps) -> tuple[Indices, Indices]:
    positions, counts = taps.bounded()
    if first.shape[factor] == 1 and bool(counts.any(axis=1).all()):
        return first, last
    first, last = _lay_out(first, last, factor, positions, counts)
    return first.min(axis=-1), last.max(axis=-1)


def _lay_out(
    first: Indices, last: Indices, factor: int, positions: NDArray[np.int64], counts: NDArray[np.bool_]
) -> tuple[Indices, Indices]:
    """Read positions (outputs, taps) along `factor`; the taps become a new last axis."""
    if first.shape[factor] == 1:
        positions = np.zeros_like(positions)
    first = np.moveaxis(first.take(positions, axis=factor), factor + 1, -1)
    last = np.moveaxis(last.take(positions, axis=factor), factor + 1, -1)
    if bool(counts.all()):
        return first, last
    shape = [1] * first.ndim
    shape[factor], shape[-1] = counts.shape
    mask = counts.reshape(shape)
    return np.where(mask, first, NOWHERE_FIRST), np.where(mask, last, NOWHERE_LAST)


def _free_windows(free: Free, taps: Taps) -> Free | None:
    if taps.period is None:
        return None
    outputs, inputs = taps.period
    if inputs == 0:
        return None
    times = free.phases // gcd(free.phases, abs(inputs))
    positions, counts = taps.read(np.arange(outputs * times), False)
    whole = (positions // free.phases).astype(np.int32) * np.int32(free.advance)
    first, last = _lay_out(free.first, free.last, free.factor, positions % free.phases, counts)
    shape = [1] * first.ndim
    shape[free.factor], shape[-1] = whole.shape
    shift = whole.reshape(shape)
    advance = free.advance * inputs * times // free.phases
    return Free(first + shift, last + shift, free.factor, advance)


def _free_gather(free: Free, taps: Taps) -> Free | None:
    laid = _free_windows(free, taps)
    if laid is None:
        return None
    return replace(laid, first=laid.first.min(axis=-1), last=laid.last.max(axis=-1)).shrunk()


def _split(array: Indices, factor: int, size: int, minor: int, *, force: bool = False) -> Indices:
    shape = list(array.shape)
    if shape[factor] == 1 and not force:
        return np.expand_dims(array, factor)
    shape[factor : factor + 1] = [size // minor, minor]
    return array.reshape(shape)


def _merge(array: Indices, factor: int, major: int, minor: int) -> Indices:
    shape = list(array.shape)
    if shape[factor] == 1 and shape[factor + 1] == 1:
        return array.squeeze(factor)
    shape[factor], shape[factor + 1] = major, minor
    array = np.broadcast_to(array, shape)
    shape[factor : factor + 2] = [major * minor]
    return array.reshape(shape)


def _free_merge(free: Free, factor: int, major: int, minor: int) -> Free | None:
    if free.factor == factor:
        low, high = (_merge(each, factor, free.phases, minor) for each in (free.first, free.last))
        if low.shape[factor] == 1 and minor > 1:  # one phase, the same for all of the minor factor
            low, high = (np.repeat(each, minor, axis=factor) for each in (low, high))
        return Free(low, high, factor, free.advance)
    if free.factor == factor + 1:
        if major > 1:
            return None
        low, high = (each.squeeze(factor) for each in (free.first, free.last))
        return Free(low, high, factor, free.advance)
    low, high = (_merge(each, factor, major, minor) for each in (free.first, free.last))
    return Free(low, high, free.factor - (free.factor > factor), free.advance)
