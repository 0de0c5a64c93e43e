"""Read one unit's region, and the pattern of a whole map, off the field of a tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from convlens.anatomy.receptive.field import Field
from convlens.anatomy.receptive.result import Each, Interval
from convlens.anatomy.receptive.span import Bits, Free, Span, ends, free_union, hull, members
from convlens.errors import ConvlensError

Ends = NDArray[np.int32]  # first or last position of every unit


@dataclass(frozen=True)
class Map:
    """The places of a tensor: the factors of its layout that are rows and columns."""

    field: Field
    places: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of places along each axis of the map."""
        return tuple(self.field.sizes[factor] for factor in self.places)


def map_of(found: Field) -> Map:
    """Find out along which dimensions of a tensor the place on the image changes."""
    dimensions = _place_dimensions(found)
    for dimension in dimensions:
        if len(dimensions) > 1 or not _factored_by_axes(found, dimension):
            found = found.single(dimension)
    return Map(found, tuple(factor for dimension in dimensions for factor in found.factors(dimension)))


# Which dimensions are places, by rank: channels first, then channels last; tokens are (N, length, channels).
_USUAL = {3: ((1,), (2,)), 4: ((2, 3), (1, 2)), 5: ((2, 3, 4), (1, 2, 3))}


def _place_dimensions(found: Field) -> tuple[int, ...]:
    """The first of the usual dimensions along which every axis of the image moves that moves at all.

    Where several fit, as after pixels were put into channels, those along which rows move first and columns second.
    """
    rank = len(found.layout)
    moving, known = _moving(found, of=2)
    named, _ = _moving(found, of=1)
    usual = _USUAL.get(rank, ())
    if not any(moving) and not any(named):
        return usual[0] if rank >= 4 and usual else ()
    fitting = [each for each in usual if all(axis & set(each) for axis in moving if axis)]
    # an axis that moves along none, such as a single row that a view lost, may lie along any
    in_order = [
        each for each in fitting if all(place in axis or not axis for place, axis in zip(each, named, strict=False))
    ]
    if known and fitting:
        return (*in_order, *fitting)[0]
    if usual and not known:
        return fitting[0] if fitting and (rank < 4 or fitting[0] in in_order) else usual[0]
    return tuple(sorted(set().union(*moving) - {0}))


def _moving(found: Field, of: int) -> tuple[list[set[int]], bool]:
    """For each axis of the image the dimensions along which the place on it changes, and whether that is known.

    Only those of at least `of` elements: views may exchange dimensions of a single one. It is not known after elements
    were picked one by one; then they are those along which anything changes.
    """
    axes: dict[int, set[int]] = {}
    spans = [(axis, span) for term in found.terms for axis, span in term.spans.items()]
    known = any(span.along for _, span in spans)
    for axis, span in spans:
        factors = span.along if known else _varying(span)
        moving = axes.setdefault(axis, set())
        large = {factor for factor in factors if found.sizes[factor] >= of}
        moving.update(d for d in range(len(found.layout)) if large & set(found.factors(d)))
    return [axes[axis] for axis in sorted(axes)], known


def _varying(span: Span) -> frozenset[int]:
    return frozenset(axis for axis in range(span.seen.ndim - 1) if span.seen.shape[axis] > 1)


def _factored_by_axes(found: Field, dimension: int) -> bool:
    """Whether each factor of a flattened dimension belongs to one axis of the image."""
    factors = found.factors(dimension)
    owners = [span.free.factor if span.free is not None else -1 for term in found.terms for span in term.spans.values()]
    return len(factors) > 1 and all(factor in owners for factor in factors)


def checked_unit(found: Map, shape: tuple[int, ...], unit: Sequence[int] | None, at: str) -> tuple[int, ...]:
    """The unit's index along each place factor; the one in the middle if none is named."""
    places = found.shape
    if unit is None:
        return tuple(length // 2 for length in places)
    given = tuple(int(each) for each in unit)
    if len(given) == 1 and len(places) > 1 and prod(places) in shape:
        given = tuple(int(each) for each in np.unravel_index(given[0] % prod(places), places))
    if len(given) != len(places):
        raise ConvlensError(
            f"unit {tuple(unit)} has {len(given)} numbers, but {at!r} is a map of "
            f"{'×'.join(map(str, places)) or 'one unit'}; give {len(places)}"
        )
    for index, length in zip(given, places, strict=True):
        if not -length <= index < length:
            raise ConvlensError(
                f"unit {tuple(unit)} lies outside {at!r}, a map of {'×'.join(map(str, places))}; count from 0"
            )
    return tuple(index % length for index, length in zip(given, places, strict=True))


def region(found: Map, unit: tuple[int, ...], source: int, axes: Sequence[int]) -> tuple[tuple[Interval, ...], ...]:
    """For each input axis the runs of positions that one unit looks at, over all its channels."""
    answers = []
    for axis in axes:
        seen: set[int] = set()
        for term in found.field.terms:
            if term.source == source:
                part = _at(term.spans[axis].seen, found.places, unit)
                single = members(part).reshape(-1, 64 * part.shape[-1])
                seen.update(np.flatnonzero(single.any(0)).tolist())
        answers.append(_runs(sorted(seen)))
    return tuple(answers)


def _runs(positions: list[int]) -> tuple[Interval, ...]:
    starts = [each for number, each in enumerate(positions) if not number or positions[number - 1] < each - 1]
    stops = [each for number, each in enumerate(positions) if [each + 1] != positions[number + 1 : number + 2]]
    return tuple(zip(starts, stops, strict=True))


def _at(seen: Bits, places: tuple[int, ...], unit: tuple[int, ...]) -> Bits:
    key: list[int | slice] = [slice(None)] * seen.ndim
    for factor, index in zip(places, unit, strict=True):
        key[factor] = index if seen.shape[factor] > 1 else 0
    return np.asarray(seen[tuple(key)])


def everywhere(found: Map, source: int, axis: int) -> tuple[Ends, Ends]:
    """First and last index along one input axis for every unit of the map; 1 and 0 for one that looks nowhere."""
    others = tuple(factor for factor in range(len(found.field.sizes)) if factor not in found.places)
    seen = [hull(term.spans[axis].seen, others) for term in found.field.terms if term.source == source]
    if not seen:
        return np.ones(found.shape, dtype=np.int32), np.zeros(found.shape, dtype=np.int32)
    first, last = ends(reduce(np.bitwise_or, seen).transpose([*found.places, *others, seen[0].ndim - 1]))
    first, last = (each.reshape(each.shape[: len(found.places)]) for each in (first, last))
    return np.broadcast_to(first, found.shape), np.broadcast_to(last, found.shape)


@dataclass(frozen=True)
class Pattern:
    """Size, stride and offset along one axis; stride and offset are None where the map is not regular."""

    size: int
    stride: float | None
    offset: float | None
    word: str


def pattern(found: Map, source: int, axis: int, length: int) -> Pattern:
    """The pattern of a map along one input axis on an image without borders."""
    low, high = everywhere(found, source, axis)
    largest = int(max(0, (high - low).max() + 1)) if low.size else 0
    spans = [term.spans[axis] for term in found.field.terms if term.source == source]
    if not spans:
        return Pattern(0, None, None, "depends on nothing")
    if low.size and bool((low == 0).all() and (high == length - 1).all()) and not any(span.free for span in spans):
        return Pattern(length, None, None, "global")
    free, word = _free_of(spans, found)
    if free is None:
        return Pattern(largest, None, None, word or "uneven")
    own = free.factor
    others = tuple(each for each in range(free.reach.ndim - 1) if each != own)
    free = Free(free.reach.max(axis=others), 0, free.advance).shrunk()
    first, last = -free.reach[:, 0], free.reach[:, 1]
    size = int((last - first).max()) + 1
    if free.phases > 1:
        return Pattern(size, None, None, "uneven")
    if not _holds(found, own, (low, high), (int(first[0]), int(last[0])), free.advance, length):
        return Pattern(size, None, None, "uneven")
    return Pattern(size, free.advance, (int(first[0]) + int(last[0])) / 2, "")


def _free_of(spans: list[Span], found: Map) -> tuple[Free | None, str]:
    missing = [span for span in spans if span.free is None]
    if missing:
        return None, missing[0].word
    free = reduce(lambda one, other: one and other and free_union(one, other), [span.free for span in spans])
    if free is None:
        return None, "misaligned branches"
    return (free, "") if free.factor in found.places else (None, "flattened")


def in_order(found: Map, source: int, axes: Sequence[int]) -> bool:
    """Whether the first axis of the map follows the first axis of the image, and so on."""
    for term in found.field.terms:
        if term.source != source or len(found.places) != len(axes):
            continue
        for place, axis in zip(found.places, axes, strict=True):
            free = term.spans[axis].free
            if free is not None and free.factor != place:
                return False
    return True


def _holds(
    found: Map, factor: int, bounded: tuple[Ends, Ends], free: tuple[int, int], advance: int, length: int
) -> bool:
    """Whether the pattern gives the true region of every unit whose region lies inside the image."""
    along = found.places.index(factor)
    index: NDArray[np.int64] = np.arange(found.shape[along])
    first, last = index * advance + free[0], index * advance + free[1]
    inside = (first >= 0) & (last < length)
    low, high = (np.moveaxis(each, along, -1) for each in bounded)
    return bool((low[..., inside] == first[inside]).all() and (high[..., inside] == last[inside]).all())


def each(patterns: Sequence[Pattern], name: str) -> Each | None:
    """One attribute of the patterns of all axes; None if one lacks it."""
    values = [getattr(one, name) for one in patterns]
    return None if any(value is None for value in values) else Each(values)
