"""The receptive field of every element of one tensor, as a union of terms.

A tensor's shape is kept as a *layout*: for each dimension the factors whose product it is. Flattening (H, W) to one
dimension makes a dimension with two factors, and nothing has to be written out; splitting it again, as window attention
does, finds them. A *term* says for one input tensor where each element looks along each of its axes; a field is the
union of its terms, kept apart only where writing out the union would take much room (a matrix product, where rows come
from one side and columns from the other).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import prod

import numpy as np

from convlens.anatomy.receptive.span import Array, Free, Mask, Span, hull, own_positions
from convlens.anatomy.receptive.taps import Taps

Layout = tuple[tuple[int, ...], ...]
_ROOM = 1 << 16  # elements that may be written out without a second thought


@dataclass(frozen=True)
class Term:
    """Where the elements of a tensor look in one input: for each of its axes a span."""

    source: int
    spans: dict[int, Span]

    def mapped(self, change: Callable[[Span], Span]) -> "Term":
        """The same change made to every span."""
        return Term(self.source, {axis: change(span) for axis, span in self.spans.items()})

    def settled(self) -> "Term | None":
        """An element that looks nowhere along one axis looks nowhere along any; None if no element looks anywhere."""
        masks = [span.empty() for span in self.spans.values()]
        if not any(mask.any() for mask in masks):
            return self
        nowhere = squeezed_mask(reduce(np.logical_or, masks))
        if nowhere.all():
            return None
        if all(np.array_equal(mask, nowhere) for mask in masks):
            return self
        return self.mapped(lambda span: span.closed(nowhere, pattern=False))

    def size(self) -> int:
        """Elements of its arrays."""
        return sum(span.seen.size for span in self.spans.values())


@dataclass(frozen=True)
class Field:
    """Where every element of a tensor looks.

    Attributes:
        layout: the factors of each dimension.
        terms: their union is the field; none: the tensor does not depend on any input.
        bounds: names of operations on the way whose part is only bounded from above: what an element really looks at
            lies inside what is told, for numbers that depend on the input decide.
    """

    layout: Layout
    terms: tuple[Term, ...] = ()
    bounds: frozenset[str] = field(default_factory=frozenset)

    @property
    def sizes(self) -> list[int]:
        """Sizes of all factors, in order."""
        return [size for dimension in self.layout for size in dimension]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(prod(dimension) for dimension in self.layout)

    def factors(self, dimension: int) -> range:
        """The factors of one dimension, by their number."""
        if dimension < 0:
            dimension += len(self.layout)
        start = sum(len(each) for each in self.layout[:dimension])
        return range(start, start + len(self.layout[dimension]))

    def mapped(self, change: Callable[[Span], Span], layout: Layout | None = None) -> "Field":
        """The same change made to every span of every term."""
        terms = tuple(term.mapped(change) for term in self.terms)
        return replace(self, layout=self.layout if layout is None else layout, terms=terms)

    def unplaced(self, dimension: int) -> "Field":
        """The same field, with a dimension that no longer counts as a place, such as pixels put into channels."""
        gone = set(self.factors(dimension))
        return self.mapped(lambda span: replace(span, along=span.along - gone))

    def singles(self) -> "Field":
        """The same field with one factor in every dimension."""
        return reduce(Field.single, range(len(self.layout)), self)

    def settled(self) -> "Field":
        """Elements that look nowhere along one axis, made to look nowhere at all."""
        terms = tuple(term for term in (each.settled() for each in self.terms) if term is not None)
        return replace(self, terms=terms)

    def whole(self, shape: tuple[int, ...], reason: str) -> "Field":
        """A bound for anything computed from this tensor: each element of `shape` may look wherever any of it looks."""
        if not self.terms:
            return Field(dense(shape))

        home = [number for number, factors in enumerate(self.layout) for _ in factors]
        same = len(shape) == len(self.layout)

        def whole(span: Span) -> Span:
            seen = hull(span.seen, tuple(range(span.seen.ndim - 1))).reshape([1] * len(shape) + [-1])
            return Span(seen, None, "bounded", frozenset(home[factor] for factor in span.along if same))

        return Field(dense(shape), tuple(term.mapped(whole) for term in self.terms), self.bounds | {reason})

    def varies(self, factors: Sequence[int]) -> bool:
        """Whether elements that differ only along these factors may look at different places."""
        spans = [span for term in self.terms for span in term.spans.values()]
        return any(span.seen.shape[factor] > 1 for span in spans for factor in factors)

    # Shapes

    def single(self, dimension: int) -> "Field":
        """The same field with one factor in `dimension`."""
        return self.refactored(dimension, (self.shape[dimension],))

    def refactored(self, dimension: int, factors: tuple[int, ...]) -> "Field":
        """The same field with the given factors in `dimension`."""
        if dimension < 0:
            dimension += len(self.layout)
        if self.layout[dimension] == factors:
            return self
        before, after = self.layout[:dimension], self.layout[dimension + 1 :]
        walk = _Walk(self, dimension, tail=sum(len(each) for each in after))
        inner = tuple(walk.take_exactly(size) for size in factors)
        walk.absorb_rest()
        return walk.finish([*before, inner], after)

    def viewed(self, shape: tuple[int, ...]) -> "Field":
        """The field of the same elements, in order, under another shape.

        The factors are dealt out to the new dimensions, a factor being split where a dimension ends inside it, and two
        being written out as one where neither divides the other.
        """
        if 0 in shape:
            return Field(dense(shape))
        walk = _Walk(self, 0)
        found = walk.finish([walk.take(size) for size in shape], ())
        single = {factor for factor, size in enumerate(found.sizes) if size == 1}  # which of them is which is lost
        return found.mapped(lambda span: replace(span, along=span.along - single))

    def permuted(self, order: Sequence[int]) -> "Field":
        """Dimensions in another order."""
        order = [each % len(self.layout) for each in order]
        factors = [factor for dimension in order for factor in self.factors(dimension)]
        return self.mapped(lambda span: span.permuted(factors), tuple(self.layout[each] for each in order))

    def transposed(self) -> "Field":
        """The last two dimensions exchanged."""
        rank = len(self.layout)
        return self.permuted([*range(rank - 2), rank - 1, rank - 2])

    def unsqueezed(self, dimension: int) -> "Field":
        """One more dimension of size 1 before `dimension`."""
        if dimension < 0:
            dimension += len(self.layout) + 1
        place = sum(len(each) for each in self.layout[:dimension])
        layout = (*self.layout[:dimension], (1,), *self.layout[dimension:])
        return self.mapped(lambda span: span.inserted(place), layout)

    def squeezed(self, dimension: int) -> "Field":
        """Without `dimension`, which has size 1."""
        dimension %= len(self.layout)
        found = self
        for factor in reversed(self.factors(dimension)):
            found = found.mapped(lambda span, factor=factor: span.dropped(factor))  # type: ignore[misc]
        return replace(found, layout=(*self.layout[:dimension], *self.layout[dimension + 1 :]))

    def broadcast(self, shape: tuple[int, ...]) -> "Field":
        """The field of the tensor expanded to `shape`."""
        found = self
        while len(found.layout) < len(shape):
            found = found.unsqueezed(0)
        for dimension, size in enumerate(shape):
            if found.shape[dimension] != size:
                found = found._expanded(dimension, size)
        return found

    def _expanded(self, dimension: int, size: int) -> "Field":
        found = self.single(dimension)
        (factor,) = found.factors(dimension)
        layout = (*found.layout[:dimension], (size,), *found.layout[dimension + 1 :])
        return found.mapped(lambda span: _unfree(span, factor, "broadcast"), layout)

    # Along dimensions

    def reduced(self, dimensions: Sequence[int], *, keep: bool = True, size: int = 1) -> "Field":
        """The union over whole dimensions, which stay with `size` (or go, if not `keep`)."""
        dimensions = sorted({each % len(self.layout) for each in dimensions})
        factors = [factor for dimension in dimensions for factor in self.factors(dimension)]
        sizes = self.sizes
        found = self.mapped(lambda span: span.reduced(factors, sizes))
        for dimension in reversed(dimensions):
            extra = found.factors(dimension)
            for factor in reversed(list(extra)[1:]):
                found = found.mapped(lambda span, factor=factor: span.dropped(factor))  # type: ignore[misc]
            place = found.layout[:dimension], found.layout[dimension + 1 :]
            found = replace(found, layout=(*place[0], (size if keep else 1,), *place[1]))
            if not keep:
                found = found.squeezed(dimension)
        return found

    def along(self, dimension: int, taps: Taps) -> "Field":
        """The union over taps along one dimension."""
        found = self.single(dimension)
        (factor,) = found.factors(dimension)
        layout = list(found.layout)
        layout[dimension % len(layout)] = (taps.outputs,)
        return found.mapped(lambda span: span.gathered(factor, taps), tuple(layout)).settled()

    def windows(self, dimension: int, taps: Taps) -> "Field":
        """The taps along one dimension side by side in a new last dimension."""
        found = self.single(dimension)
        (factor,) = found.factors(dimension)
        layout = list(found.layout)
        layout[dimension % len(layout)] = (taps.outputs,)
        width = taps.bounded()[0].shape[1]
        return found.mapped(lambda span: span.windowed(factor, taps), (*layout, (width,))).settled()

    def compressed(self) -> "Field":
        """The same field with length 1 wherever the arrays turn out not to vary."""
        return self.mapped(_compress)


def _compress(span: Span) -> Span:
    seen, free = _shortened(span.seen), span.free
    return replace(span, seen=seen, free=free and replace(free, reach=_shortened(free.reach, free.factor)))


def _shortened(array: Array, besides: int = -1) -> Array:
    for axis in range(array.ndim - 1):
        if array.shape[axis] > 1 and axis != besides:
            head = array.take([0], axis=axis)
            array = head if bool((array == head).all()) else array
    return array


def same(one: Field, other: Field) -> bool:
    """Whether two fields say the same, written in the same way."""
    if one is other:
        return True
    if one.layout != other.layout or one.bounds != other.bounds or len(one.terms) != len(other.terms):
        return False
    return all(
        this.source == that.source
        and this.spans.keys() == that.spans.keys()
        and all(span.equals(that.spans[axis]) for axis, span in this.spans.items())
        for this, that in zip(one.terms, other.terms, strict=True)
    )


def dense(shape: Sequence[int]) -> Layout:
    """One factor for each dimension."""
    return tuple((size,) for size in shape)


def source(number: int, shape: tuple[int, ...], axes: Sequence[int]) -> Field:
    """The field of an input tensor itself: every element looks at its own place."""
    spans = {}
    for axis in axes:
        form = [1] * len(shape)
        form[axis] = shape[axis]
        own = own_positions(shape[axis]).reshape([*form, -1])
        spans[axis] = Span(own, Free(np.zeros([1] * len(shape) + [2], dtype=np.int32), axis, 1), "", frozenset([axis]))
    return Field(dense(shape), (Term(number, spans),))


def union(fields: Sequence[Field], shape: tuple[int, ...]) -> Field:
    """The union of fields of tensors that are broadcast to `shape`, element by element."""
    bounds = frozenset().union(*(each.bounds for each in fields))
    given = [each for each in fields if each.terms]
    if not given:
        return Field(dense(shape))
    given = [each.broadcast(shape) for each in given]
    finest = max((each.layout for each in given), key=lambda layout: sum(map(len, layout)))
    terms: list[Term] = []
    aligned = _aligned(given, finest)
    for each in aligned:
        for term in each.terms:
            _add(terms, term)
    return Field(aligned[0].layout, tuple(terms), bounds)


def _aligned(fields: Sequence[Field], layout: Layout) -> list[Field]:
    """The fields written with the same factors; those of `layout` if they divide the shape as it does."""
    for _ in range(2):
        fields = [_with_layout(each, layout) for each in fields]
        if all(each.layout == fields[0].layout for each in fields):
            return list(fields)
        layout = dense(fields[0].shape)
    return list(fields)


def _with_layout(found: Field, layout: Layout) -> Field:
    for dimension, factors in enumerate(layout):
        found = found.refactored(dimension, factors)
    return found


def _add(terms: list[Term], new: Term) -> None:
    """Put a term among others, united with one of them where the union takes little room."""
    for number, old in enumerate(terms):
        if old is new:
            return
        if old.source != new.source or old.spans.keys() != new.spans.keys():
            continue
        if union_size(old, new) <= max(_ROOM, 2 * max(old.size(), new.size())):
            terms[number] = Term(old.source, {axis: span.united(new.spans[axis]) for axis, span in old.spans.items()})
            return
    terms.append(new)


def union_size(one: Term, other: Term) -> int:
    """Elements of the arrays of the union of two terms."""
    shapes = ((span.seen.shape, other.spans[axis].seen.shape) for axis, span in one.spans.items())
    return sum(prod(np.broadcast_shapes(*pair)) for pair in shapes)


class _Walk:
    """Walks once through the factors of a field and deals them out to new dimensions."""

    def __init__(self, found: Field, skip: int, tail: int = 0) -> None:
        self.field = found
        self.sizes = found.sizes
        self.tail = tail  # factors at the end that are not walked through
        self.place = sum(len(each) for each in found.layout[:skip])

    def take(self, size: int) -> tuple[int, ...]:
        """Factors whose product is `size`, from where the last dimension ended."""
        taken: list[int] = []
        need = size
        while need > 1 or not taken:
            if need == 1:
                if self.place < len(self.sizes) and self.sizes[self.place] == 1:
                    taken.append(1)
                    self.place += 1
                else:
                    self._insert()
                    taken.append(1)
                break
            need //= self._next(need, taken)
        return tuple(taken)

    def take_exactly(self, size: int) -> int:
        """One factor of `size`."""
        if self.place == len(self.sizes) - self.tail:
            self._insert()
            return size
        while self.sizes[self.place] % size:
            self._merge()
        if self.sizes[self.place] > size:
            self._split(self.sizes[self.place] // size)
        self.place += 1
        return size

    def absorb_rest(self) -> None:
        """Factors of length 1 that are left over become part of the one before."""
        while self.place < len(self.sizes) - self.tail:
            self.place -= 1
            self._merge()
            self.place += 1

    def _next(self, need: int, taken: list[int]) -> int:
        factor = self.sizes[self.place]
        while need % factor and factor % need:
            self._merge()
            factor = self.sizes[self.place]
        if need % factor:
            self._split(factor // need)
            factor = need
        taken.append(factor)
        self.place += 1
        return factor

    def finish(self, dimensions: list[tuple[int, ...]], rest: Layout) -> Field:
        """The field under its new dimensions; factors of length 1 that are left over join the one before."""
        left = len(self.sizes) - sum(map(len, rest)) - self.place
        if left and dimensions:
            dimensions[-1] = (*dimensions[-1], *([1] * left))
        elif left:
            for factor in reversed(range(self.place, self.place + left)):
                self.field = self.field.mapped(lambda span, factor=factor: span.dropped(factor))  # type: ignore[misc]
        return replace(self.field, layout=(*dimensions, *rest))

    def _insert(self) -> None:
        place = self.place
        self.field = self.field.mapped(lambda span: span.inserted(place))
        self.sizes.insert(place, 1)
        self.place += 1

    def _split(self, minor: int) -> None:
        place, size = self.place, self.sizes[self.place]
        self.field = self.field.mapped(lambda span: span.split(place, size, minor))
        self.sizes[place : place + 1] = [size // minor, minor]

    def _merge(self) -> None:
        place = self.place
        major, minor = self.sizes[place], self.sizes[place + 1]
        self.field = self.field.mapped(lambda span: span.merged(place, major, minor))
        self.sizes[place : place + 2] = [major * minor]


def _unfree(span: Span, factor: int, word: str) -> Span:
    return span.lost(word) if span.free is not None and span.free.factor == factor else span


def squeezed_mask(mask: Mask) -> Mask:
    """The mask with length 1 along every axis where it does not vary."""
    for axis in range(mask.ndim):
        if mask.shape[axis] > 1:
            head = mask.take([0], axis=axis)
            if bool((mask == head).all()):
                mask = head
    return mask
