"""Views of a storage, and what becomes of it when one of them is written to."""

from dataclasses import replace
from math import lcm

import numpy as np
import torch

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, Term, dense, union, union_size
from convlens.anatomy.receptive.fixed import VALUES, fixed, fixed_at, without_fixed
from convlens.anatomy.receptive.picking import Places, flat_places, picked, placed
from convlens.anatomy.receptive.span import Array, Free, Mask, Span, unites
from convlens.graph import Operation, Tensor

_MOST = 1 << 24  # elements of a union, or of a storage, that may be written out
_RESHAPES = frozenset(["view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "alias", "detach"])


def cut(whole: Tensor, part: Tensor) -> list[slice] | None:
    """The slices of `whole` that `part` is; None if it is no such cut."""
    if len(whole.shape) != len(part.shape) or not whole.shape:
        return None
    order = sorted(range(len(whole.shape)), key=lambda axis: (-whole.stride[axis], -whole.shape[axis]))
    rest, starts = part.offset - whole.offset, [0] * len(whole.shape)
    for axis in order:
        if whole.shape[axis] > 1 and whole.stride[axis]:
            starts[axis], rest = divmod(rest, whole.stride[axis])
    slices = []
    for axis, (size, stride) in enumerate(zip(part.shape, part.stride, strict=True)):
        step = 1 if size == 1 else stride // max(whole.stride[axis], 1)
        if size > 1 and (whole.stride[axis] == 0 or stride % whole.stride[axis] or step < 1):
            return None
        if starts[axis] + (size - 1) * step >= whole.shape[axis]:
            return None
        slices.append(slice(starts[axis], starts[axis] + (size - 1) * step + 1, step))
    return slices if rest == 0 else None


def in_order(tensor: Tensor) -> bool:
    """Whether the elements lie in memory in the order of the indices."""
    expected = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def looked_at(found: Field, whole: Tensor, part: Tensor) -> Field:
    """The field of `part`, a view of the storage that `whole` fills."""
    if whole.shape == part.shape and whole.stride == part.stride:
        return found
    slices = cut(whole, part)
    if slices is None and in_order(whole) and in_order(part) and whole.nbytes == part.nbytes:
        return found.viewed(part.shape)
    if slices is None:
        where = _places(whole, part)
        reason = "a view of another shape"
        return found.whole(part.shape, reason) if where is None else picked(found, where, reason)
    for axis, each in enumerate(slices):
        if part.shape[axis] != whole.shape[axis]:
            length, step = whole.shape[axis], each.step
            window = taps.window(length, part.shape[axis], kernel=1, stride=step, padding=-each.start, dilation=1)
            found = found.along(axis, window)
    return found


def _places(whole: Tensor, part: Tensor) -> Places | None:
    """The flat position in `whole` of every element of `part`; None if one of them lies elsewhere."""
    extent = 1 + sum((size - 1) * step for size, step in zip(whole.shape, whole.stride, strict=True))
    offset = part.offset - whole.offset
    reach = offset + sum((size - 1) * step for size, step in zip(part.shape, part.stride, strict=True))
    if not 0 <= offset <= reach < extent or extent > _MOST or part.numel > _MOST:
        return None
    memory = torch.full((extent,), -1)
    memory.as_strided(whole.shape, whole.stride).copy_(torch.from_numpy(flat_places(whole.shape)))
    where = memory.as_strided(part.shape, part.stride, offset)
    return None if bool((where < 0).any()) else where.contiguous().numpy()


def unviewed(operation: Operation, base: Field, outer: Tensor, part: Tensor, new: Field) -> Field:
    """The field of `outer` after `part`, which `operation` took as a view of it, was overwritten with `new`."""
    if part.numel == outer.numel and operation.kind in _RESHAPES:
        return new.viewed(outer.shape)
    return overwritten(base, outer, part, new)


def overwritten(base: Field, whole: Tensor, part: Tensor, new: Field) -> Field:
    """The field of `whole` after the part of it that `part` looks at was overwritten with `new`."""
    masks = {value: (fixed_at(base, value), fixed_at(new, value)) for value in VALUES}
    found = _overwritten(without_fixed(base), whole, part, without_fixed(new))
    slices = cut(whole, part)
    for value, (before, after) in masks.items():
        if slices is None and (before is not None or after is not None):  # not followed to single places
            return replace(found, bounds=found.bounds | {"an in-place write among masked numbers"})
        if slices is not None and (before is not None or after is not None):
            none = np.zeros([1] * len(whole.shape), dtype=np.bool_)
            sides = [none if each is None else each for each in (before, after)]
            found = fixed(found, _Write(slices, whole.shape, part.shape).mask(*sides), value)
    return found


def _overwritten(base: Field, whole: Tensor, part: Tensor, new: Field) -> Field:
    bounds = base.bounds | new.bounds
    base, new = _one_term(base.singles()), _one_term(new.singles())
    slices = cut(whole, part)
    sources = {term.source for term in (*base.terms, *new.terms)}
    if slices is None or len(sources) > 1 or len(base.terms) > 1 or len(new.terms) > 1:
        where = _places(whole, part)
        if where is not None:
            return placed(base, new, where, whole.shape, adding=False, reason="an in-place write to single places")
        return union(
            [each.whole(whole.shape, "an in-place write that is no slice") for each in (base, new)], whole.shape
        )
    if not base.terms and not new.terms:
        return replace(base, bounds=bounds)
    (pattern, *_) = (*new.terms, *base.terms)
    nowhere = {axis: _nowhere(span) for axis, span in pattern.spans.items()}
    before, after = (each.terms[0].spans if each.terms else nowhere for each in (base, new))
    write = _Write(slices, whole.shape, part.shape)
    spans = {axis: write.put(before[axis], after[axis]) for axis in pattern.spans}
    return Field(dense(whole.shape), (Term(pattern.source, spans),), bounds).settled().compressed()


def _one_term(found: Field) -> Field:
    """The same field with the union of its terms written out, if it takes no more than a few million elements."""
    if len(found.terms) < 2 or len({term.source for term in found.terms}) > 1:
        return found
    first, *others = found.terms
    for other in others:
        if union_size(first, other) > _MOST:
            return found
        first = Term(first.source, {axis: span.united(other.spans[axis]) for axis, span in first.spans.items()})
    return replace(found, terms=(first,))


def _nowhere(span: Span) -> Span:
    """A span of the same pattern whose elements look nowhere."""
    free = span.free
    if free is not None:
        shape = [free.phases if axis == free.factor else 1 for axis in range(free.reach.ndim - 1)]
        free = replace(free, reach=np.full([*shape, 2], unites(free.reach)[1]))
    return Span(np.zeros([1] * (span.seen.ndim - 1) + [span.seen.shape[-1]], dtype=np.uint64), free, span.word)


class _Write:
    """A write to slices of a tensor."""

    def __init__(self, slices: list[slice], whole: tuple[int, ...], part: tuple[int, ...]) -> None:
        self.slices = slices
        self.whole = whole
        self.part = part
        self.partial = [axis for axis in range(len(whole)) if part[axis] != whole[axis]]

    def put(self, before: Span, after: Span) -> Span:
        """The span after the write."""
        free = self._free(before.free, after.free)
        seen = self._assigned(before.seen, after.seen, self.partial)
        return Span(seen, free, "" if free is not None else "pieces", before.along | after.along)

    def mask(self, before: Mask, after: Mask) -> Mask:
        """A mask of the whole after that of the part was put into it."""
        return np.asarray(self._assigned(before[..., None], after[..., None], self.partial)[..., 0])

    def _assigned(self, base: Array, new: Array, partial: list[int]) -> Array:
        outer = [self.whole[axis] if axis in partial else size for axis, size in enumerate(new.shape)]
        result = np.array(np.broadcast_to(base, np.broadcast_shapes(base.shape, tuple(outer))))
        result[tuple(each if axis in partial else slice(None) for axis, each in enumerate(self.slices))] = new
        return result

    def _free(self, old: Free | None, new: Free | None) -> Free | None:
        """The pattern that holds in most of the map: that of the larger piece along the axis it runs on."""
        running = {free.factor for free in (old, new) if free is not None}
        if running & set(self.partial):
            large = all(2 * self.part[axis] > self.whole[axis] for axis in self.partial)
            return self._shifted(new) if large else old
        if old is None or new is None or old.factor != new.factor:
            return None
        if old.advance * new.phases != new.advance * old.phases:
            return None
        phases = lcm(old.phases, new.phases)
        old, new = old.tiled(phases), new.tiled(phases)
        return replace(old, reach=self._assigned(old.reach, new.reach, self.partial))

    def _shifted(self, free: Free | None) -> Free | None:
        """The pattern of the part, told in positions of the whole, and taken to hold all over it."""
        if free is None:
            return None
        axis = free.factor
        others = tuple(each for each in self.partial if each != axis)
        if axis in self.partial:
            shift = taps.shifted(self.part[axis], self.whole[axis], self.slices[axis].start, "constant")
            free = Span(np.zeros((1,) * free.reach.ndim, dtype=np.uint64), free).gathered(axis, shift).free
        if free is None:
            return None
        return replace(free, reach=unites(free.reach)[0].reduce(free.reach, axis=others, keepdims=True))
