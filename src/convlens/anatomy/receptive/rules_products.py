"""Rules for what mixes whole axes: products, attention, sums, sorting, Fourier transforms."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, union
from convlens.anatomy.receptive.fixed import MINUS_INFINITY, ZERO, alive, closed, fixed, nowhere, without_fixed
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.span import Mask, Span, members, packed
from convlens.graph.operators import kinds, origin

_MOST = 1 << 28  # bits that may be laid out for a masked product
Rule = Callable[[Question], Field | list[Field]]


def matrix_product(q: Question, first: int, made: tuple[int, ...]) -> Field:
    """Row i of the left and column j of the right, whole, reach element (i, j), but for what meets a fixed 0."""
    left, right = (_Factor(q.field(each), q.shape(each), q.fixed(each, ZERO)) for each in (first, first + 1))
    found = _multiplied(q, left, right, made)
    if (
        left.found.terms
        and right.found.terms
        and _sums_to_one(q, first)
        and nowhere(right.found.reduced([-2])) is not None
    ):
        found = q.as_bound(found)  # a mean of constants, which does not depend on the weights if they are the same
    return found


@dataclass(frozen=True)
class _Factor:
    """One side of a matrix product, and which of its elements are 0 whatever the input."""

    found: Field
    shape: tuple[int, ...]
    zero: Mask | None

    def transposed(self) -> "_Factor":
        zero = None if self.zero is None else np.swapaxes(self.zero, -1, -2)
        return _Factor(self.found.transposed(), (*self.shape[:-2], self.shape[-1], self.shape[-2]), zero)


def _multiplied(q: Question, left: _Factor, right: _Factor, made: tuple[int, ...]) -> Field:
    parts = []
    if left.found.terms and right.zero is None:
        parts.append(left.found.reduced([-1]))
    elif left.found.terms and right.zero is not None:  # (L · R)ᵀ = Rᵀ · Lᵀ
        allowed = ~np.swapaxes(right.zero, -1, -2)
        parts.append(chosen(q, left.found.transposed(), allowed, made[-1]).transposed())
    if right.found.terms and left.zero is None:
        parts.append(right.found.reduced([-2]))
    elif right.found.terms and left.zero is not None:
        parts.append(chosen(q, right.found, ~left.zero, made[-2]))
    found = union(parts, made)
    if left.zero is None and right.zero is None:
        return found
    one, other = (
        np.broadcast_to(1.0 if each.zero is None else ~each.zero, each.shape).astype(np.float32)
        for each in (left, right)
    )
    return fixed(found, one @ other == 0, ZERO)


def _sums_to_one(q: Question, number: int) -> bool:
    """Whether the rows of a tensor were made by a softmax."""
    producer = q.graph.tensors[origin(q.graph, q.argument(number).tensor)].producer
    return producer is not None and "softmax" in q.graph.operations[producer].kind


def chosen(q: Question, found: Field, allowed: Mask, rows: int) -> Field:
    """For each row i of `allowed` (…, I, J) the union over those j of the field (…, J, D) that it allows."""
    rank, width = len(found.layout), found.layout[-1]
    for axis in range(rank - 1):
        found = found.single(axis)
    steps, step = found.shape[-2], rank - 2
    allowed = np.broadcast_to(allowed, (*allowed.shape[:-1], steps))
    many = max(_batch(allowed, each, step) * prod(each.seen.shape[step + 1 :]) for each in _spans(found))
    if many * 64 * steps > _MOST:
        return q.as_bound(found.reduced([-2], size=rows))

    def change(span: Span) -> Span:
        shape = span.seen.shape
        single = members(np.broadcast_to(span.seen, (*shape[:step], steps, *shape[step + 1 :])))
        flat = single.reshape(*single.shape[: step + 1], -1).astype(np.float32)  # (…, J, D · positions)
        hits = allowed.astype(np.float32) @ flat > 0
        return Span(packed(hits.reshape(*hits.shape[:-1], *single.shape[step + 1 :])), None, "masked", span.along)

    return found.mapped(change, (*found.layout[:-2], (rows,), width)).settled().compressed()


def _batch(allowed: Mask, span: Span, step: int) -> int:
    return prod(np.broadcast_shapes(allowed.shape[:-2], span.seen.shape[:step]))


def _spans(found: Field) -> list[Span]:
    return [span for term in found.terms for span in term.spans.values()]


def product(first: int) -> Rule:
    """mm, bmm, addmm and their like; the added tensor counts too."""

    def rule(q: Question) -> Field:
        found = matrix_product(q, first, q.size())
        return union([found, q.field(0)], q.size()) if first == 1 else found

    return rule


def addbmm(q: Question) -> Field:
    """The sum of a batch of products."""
    made = (q.shape(1)[0], *q.size())
    left, right = q.field(1), q.field(2)
    parts = [left.reduced([-1])] if left.terms else []
    found = union([*parts, right.reduced([-2])] if right.terms else parts, made)
    found = found.reduced([0], keep=False) if found.terms else q.nothing()
    return union([found, q.field(0)], q.size())


def matrix_vector(first: int) -> Rule:
    """mv, addmv: row i of the matrix and the whole vector reach element i."""

    def rule(q: Question) -> Field:
        matrix, vector = q.field(first), q.field(first + 1)
        parts = [matrix.reduced([-1], keep=False)] if matrix.terms else []
        parts += [vector.reduced([0])] if vector.terms else []
        return union([*parts, q.field(0)] if first else parts, q.size())

    return rule


def linear(q: Question) -> Field:
    """The last axis is mixed."""
    found = q.field(0)
    if q.field(1).terms:
        return q.bounded()
    return union([found.reduced([-1], size=q.size()[-1]) if found.terms else found], q.size())


def trilinear(q: Question) -> Field:
    """The product of three tensors with new axes of size 1, summed over some: what `nn.Bilinear` does."""
    parts = []
    for number in range(3):
        found = q.field(number)
        for axis in q.named(f"expand{number + 1}") if found.terms else ():
            found = found.unsqueezed(axis)
        if found.terms:
            parts.append(found)
    if not parts:
        return q.nothing()
    whole = tuple(max(sizes) for sizes in zip(*(each.shape for each in parts), strict=True))
    found = union([union(parts, whole).reduced(q.named("sumdim"), keep=False)], q.size())
    for number in (0, 2):  # a row of nothing but zeros
        zero = q.fixed(number, ZERO)
        if zero is not None and len(q.shape(number)) == 2:
            found = fixed(found, np.asarray(np.broadcast_to(zero, q.shape(number)).all(-1, keepdims=True)), ZERO)
    return found


def distances(q: Question) -> Field:
    """The distance of every row of one tensor to every row of another."""
    one, other = q.field(0), q.field(1)
    parts = [one.reduced([-1])] if one.terms else []
    return union([*parts, other.reduced([-1]).transposed()] if other.terms else parts, q.size())


def dot(q: Question) -> Field:
    """Everything reaches the one element."""
    return union([_whole(each) for each in q.every_field()], q.size())


def _whole(found: Field) -> Field:
    if not found.terms:
        return Field(())
    return found.reduced(range(len(found.layout)), keep=False)


def attention(q: Question) -> list[Field]:
    """Every query sees every key and value that a mask of constants lets it see (only earlier ones if causal)."""
    made, steps = q.size(), q.shape(1)[-2]
    place = next((each for each in map(q.position, ("attn_mask", "attn_bias")) if each is not None), None)
    blocked = None if place is None else q.fixed(place, MINUS_INFINITY)
    if q.named("is_causal", False):
        blocked = np.triu(np.ones((made[-2], steps), dtype=np.bool_), 1)
    if blocked is not None:
        blocked = blocked.reshape((1,) * (len(made) - blocked.ndim) + blocked.shape)

    def seen(found: Field) -> Field:
        return found.reduced([-2]) if blocked is None else chosen(q, found, ~blocked, made[-2])

    value = q.field(2)
    scores = _scores(q, blocked, (*made[:-1], steps), seen)
    scores += [q.field(place).reduced([-1])] if place is not None and q.field(place).terms else []
    lonely = _alone(blocked, (*made[:-1], steps), -1)
    if lonely is not None:  # a single key weighs 1, so that only its value matters
        scores = [closed(each.broadcast(made), lonely) for each in scores]
    found = union([*scores, seen(value)] if value.terms else scores, made)
    zero = q.fixed(2, ZERO)  # weights of nothing but zeros do not matter
    dead = None if zero is None else nowhere(seen(alive(q.shape(2), zero)))
    still = nowhere(seen(value)) if scores else None
    if still is not None and (dead is None or (still & ~dead).any()):
        found = q.as_bound(found)  # if all values are the same constant, their mean is too
    return [fixed(found, dead, ZERO)]


def _scores(q: Question, blocked: Mask | None, made: tuple[int, ...], seen: Callable[[Field], Field]) -> list[Field]:
    """What the weights of each query look at, a row of (…, queries, keys) each."""
    query, key = (_Factor(q.field(number), q.shape(number), q.fixed(number, ZERO)) for number in (0, 1))
    if query.zero is None and key.zero is None:
        parts = [query.found.reduced([-1])] if query.found.terms else []
        return [*parts, seen(key.found.reduced([-1]))] if key.found.terms else parts
    found = without_fixed(
        _multiplied(q, query, key.transposed(), made)
    )  # what meets only zeros is a weight of no input
    return [(found if blocked is None else closed(found, blocked)).reduced([-1])] if found.terms else []


def cumulative_field(found: Field, axis: int) -> Field:
    """The union over all positions up to each."""
    found = found.single(axis)
    (factor,) = found.factors(axis)
    return found.mapped(lambda span: _accumulated(span, factor))


def _accumulated(span: Span, factor: int) -> Span:
    if span.seen.shape[factor] == 1:
        return span
    return replace(span.lost("cumulative"), seen=np.bitwise_or.accumulate(span.seen, axis=factor))


def cumulative(q: Question) -> Field:
    """cumsum and its like."""
    found = q.field(0)
    return cumulative_field(found, q.argument(1) % len(found.layout)) if found.terms else found


def recurrent(q: Question) -> list[Field]:
    """One layer of an LSTM or GRU in one direction: every step sees the steps before it and itself."""
    found, backwards = q.field(0), bool(q.named("reverse", False))
    if not found.terms or any(q.field(position).terms for position in range(1, 7)):
        return [q.bounded()]
    found = found.reduced([2], size=q.size()[2])
    turn = taps.flipped(found.shape[0])
    seen = cumulative_field(found.along(0, turn), 0).along(0, turn) if backwards else cumulative_field(found, 0)
    return [seen]


def reduction(q: Question) -> Field | list[Field]:
    """Axes summed up, with or without keeping them."""
    found = q.field(0)
    axes = _axes(q, len(found.layout))
    keep = bool(q.named("keepdim", False))
    if not found.terms:
        return [q.nothing(i) for i in range(len(q.outputs))]
    reduced = found.reduced(axes, keep=True)
    if not keep:
        for axis in sorted(axes, reverse=True):
            reduced = reduced.squeezed(axis)
    return [reduced] * len(q.outputs)


def _axes(q: Question, rank: int) -> list[int]:
    wanted = q.named("dim")
    if wanted is None or wanted == []:
        return list(range(rank))
    return sorted({each % rank for each in ([wanted] if isinstance(wanted, int) else wanted)}) if rank else []


def along_whole_axes(q: Question) -> Field | list[Field]:
    """Fourier transforms: every element sees the whole axis it lies on."""
    found = q.field(0)
    if not found.terms:
        return [q.nothing(i) for i in range(len(q.outputs))]
    wanted = q.named("dim")
    axes = [wanted] if isinstance(wanted, int) else list(wanted)
    answers = []
    for number in range(len(q.outputs)):
        mixed = found
        for axis in axes:
            mixed = mixed.reduced([axis], size=q.size(number)[axis])
        answers.append(mixed)
    return answers


def softmax(q: Question) -> Field:
    """Every element sees the axis it lies on, but for what is −∞: that becomes 0. Alone on its axis it is 1."""
    found, axis = q.field(0), q.named("dim")
    mixed = found.reduced([axis], size=q.size()[axis])
    becomes = MINUS_INFINITY if "log" in q.operation.kind else ZERO
    blocked = q.fixed(0, MINUS_INFINITY)
    lonely = _alone(blocked, q.size(), axis)
    return fixed(mixed if lonely is None else closed(mixed, lonely), blocked, becomes)


def _alone(blocked: Mask | None, shape: tuple[int, ...], axis: int) -> Mask | None:
    """Where no more than one element of an axis is not −∞, so that softmax gives 1 whatever it is."""
    if blocked is None:
        return np.ones([1] * len(shape), dtype=np.bool_) if shape[axis] == 1 else None
    wide = list(blocked.shape)
    wide[axis] = shape[axis]
    lonely = (~np.broadcast_to(blocked, wide)).sum(axis, keepdims=True) <= 1
    return lonely if lonely.any() else None


def sort(q: Question) -> Field | list[Field]:
    """sort, argsort and topk see the whole axis; the last one if none is named."""
    found = q.field(0)
    axis = q.named("dim", -1)
    if not found.terms:
        return [q.nothing(i) for i in range(len(q.outputs))]
    return [found.reduced([axis], size=q.size(number)[axis]) for number in range(len(q.outputs))]


def glu(q: Question) -> Field:
    """The first half along an axis, gated by the second; what is 0 there stays 0."""
    found, axis = q.field(0), q.named("dim", -1)
    half = q.size()[axis]
    gated = found.along(axis, taps.window(2 * half, half, kernel=2, stride=1, padding=0, dilation=half))
    zero = q.fixed(0, ZERO)
    if zero is None:
        return gated
    return fixed(gated, zero.take(range(half), axis=axis) if zero.shape[axis] > 1 else zero, ZERO)


def _many(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **dict.fromkeys(kinds("reduction", "ranking"), reduction),
    **dict.fromkeys(kinds("scan"), cumulative),
    **dict.fromkeys(kinds("attention"), attention),
    **_many("mm bmm", product(0)),
    **_many("addmm baddbmm", product(1)),
    "addbmm": addbmm,
    "mv": matrix_vector(0),
    "addmv": matrix_vector(1),
    "linear": linear,
    "_trilinear": trilinear,
    **_many("_cdist_forward _euclidean_dist", distances),
    **_many("dot vdot", dot),
    **_many("_softmax softmax _log_softmax log_softmax _safe_softmax", softmax),
    **_many("_fft_c2c _fft_r2c _fft_c2r", along_whole_axes),
    **_many("sort argsort topk", sort),
    "glu": glu,
    "mkldnn_rnn_layer": recurrent,
}
