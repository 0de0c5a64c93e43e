"""Elements taken from, and put to, places that are written out one by one."""

import numpy as np
from numpy.typing import NDArray

from convlens.anatomy.receptive.field import Field, Term, dense, union
from convlens.anatomy.receptive.fixed import closed
from convlens.anatomy.receptive.span import Bits, Span

Places = NDArray[np.int64]  # flat positions in a tensor
_MOST = 1 << 24  # words that may be laid out


def flat_places(shape: tuple[int, ...]) -> Places:
    """Every element's own flat position."""
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)


def picked(found: Field, where: Places, reason: str) -> Field:
    """The field of a tensor whose elements stand at `where` in another; a bound, for `reason`, if it is too large."""
    if not found.terms:
        return Field(dense(where.shape))
    if where.size * _words(found) > _MOST:
        return found.whole(where.shape, reason)
    found = found.singles()
    place = np.unravel_index(where, found.shape)
    same = len(found.shape) == where.ndim

    def pick(span: Span) -> Span:
        key = tuple(each if length > 1 else 0 for each, length in zip(place, span.seen.shape, strict=False))
        seen = np.broadcast_to(span.seen[key], (*where.shape, span.seen.shape[-1]))
        return Span(seen, None, "picked", span.along if same else frozenset())

    return found.mapped(pick, dense(where.shape)).compressed()


def placed(kept: Field, new: Field, places: Places, made: tuple[int, ...], *, adding: bool, reason: str) -> Field:
    """The field after elements of `new` went to flat `places`, of its shape; several at one place are united."""
    flat = places.reshape(-1)
    hit = np.bincount(flat, minlength=int(np.prod(made))).reshape(made) > 0
    parts = [kept.broadcast(made)] if kept.terms else []
    if parts and not adding:
        parts = [closed(parts[0], hit)]
    if new.terms and hit.any():
        if hit.size * _words(new) > _MOST:
            return union([*parts, new.whole(made, reason)], made)
        parts.append(_laid(new.broadcast(places.shape).singles(), flat, made))
    return union(parts, made)


def _laid(found: Field, flat: Places, made: tuple[int, ...]) -> Field:
    """The union of the elements that go to each place."""
    order = np.argsort(flat, kind="stable")
    targets, starts = np.unique(flat[order], return_index=True)

    def lay(seen: Bits) -> Bits:
        given = np.broadcast_to(seen, (*found.shape, seen.shape[-1])).reshape(-1, seen.shape[-1])
        laid = np.zeros((int(np.prod(made)), seen.shape[-1]), dtype=np.uint64)
        laid[targets] = np.bitwise_or.reduceat(given[order], starts, axis=0)
        return laid.reshape(*made, -1)

    same = len(found.shape) == len(made)
    terms = tuple(
        term.mapped(lambda span: Span(lay(span.seen), None, "placed", span.along if same else frozenset()))
        for term in found.terms
    )
    return Field(dense(made), terms, found.bounds).settled().compressed()


def _words(found: Field) -> int:
    return sum(span.seen.shape[-1] for term in found.terms for span in _spans(term))


def _spans(term: Term) -> list[Span]:
    return list(term.spans.values())
