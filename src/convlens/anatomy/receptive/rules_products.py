"""Rules for what mixes whole axes (products, attention, sums, sorting, Fourier transforms) and for gates."""

from collections.abc import Callable
from math import isinf

import numpy as np
import torch

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, closed_span, dense, squeezed_mask, union
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.span import Span
from convlens.graph import Ref

Rule = Callable[[Question], Field | list[Field]]


def matrix_product(left: Field, right: Field, made: tuple[int, ...]) -> Field:
    """Row i of the left and column j of the right, whole, reach element (i, j)."""
    parts = []
    if left.terms or left.unknown:
        parts.append(left.reduced([-1]) if left.terms else left)
    if right.terms or right.unknown:
        parts.append(right.reduced([-2]) if right.terms else right)
    return union(parts, made)


def product(first: int) -> Rule:
    """mm, bmm, addmm and their like; the added tensor counts too."""

    def rule(q: Question) -> Field:
        found = matrix_product(q.field(first), q.field(first + 1), q.size())
        return union([found, q.field(0)], q.size()) if first == 1 else found

    return rule


def addbmm(q: Question) -> Field:
    """The sum of a batch of products."""
    made = (q.tensor(1).shape[0], *q.size())
    found = matrix_product(q.field(1), q.field(2), made)
    found = found.reduced([0], keep=False) if found.terms else Field(dense(q.size()), (), found.unknown)
    return union([found, q.field(0)], q.size())


def matrix_vector(first: int) -> Rule:
    """mv, addmv: row i of the matrix and the whole vector reach element i."""

    def rule(q: Question) -> Field:
        matrix, vector = q.field(first), q.field(first + 1)
        parts = [matrix.reduced([-1], keep=False)] if matrix.terms else [matrix] if matrix.unknown else []
        parts += [vector.reduced([0])] if vector.terms else [vector] if vector.unknown else []
        return union([*parts, q.field(0)] if first else parts, q.size())

    return rule


def linear(q: Question) -> Field:
    """The last axis is mixed."""
    found = q.field(0)
    if q.field(1).terms:
        return q.unknown()
    return union([found.reduced([-1], size=q.size()[-1]) if found.terms else found], q.size())


def dot(q: Question) -> Field:
    """Everything reaches the one element."""
    return union([_whole(each) for each in q.every_field()], q.size())


def _whole(found: Field) -> Field:
    if not found.terms:
        return Field((), (), found.unknown)
    return found.reduced(range(len(found.layout)), keep=False)


def attention(q: Question) -> list[Field]:
    """Every query sees every key and every value (only the earlier ones if causal)."""
    query, key, value = q.field(0), q.field(1), q.field(2)
    made, steps = q.size(), q.tensor(1).shape[-2]
    parts = [query.reduced([-1])] if query.terms else []
    causal = bool(q.named("is_causal", False))
    for found, axes in ((key, [-1]), (value, [])):
        if not found.terms:
            continue
        found = found.reduced(axes)
        parts.append(_earlier(found, made[-2], steps) if causal else found.reduced([-2]))
    mask = q.named("attn_mask") or q.named("attn_bias")
    position = next(
        (i for i, each in enumerate(q.operation.operator._schema.arguments) if each.name in ("attn_mask", "attn_bias")),
        None,
    )
    if mask is not None and position is not None and q.field(position).terms:
        parts.append(q.field(position).reduced([-1]))
    unknown = frozenset().union(*(each.unknown for each in q.every_field()))
    found = union(parts, made)
    return [Field(found.layout, found.terms, unknown)]


def _earlier(found: Field, queries: int, steps: int) -> Field:
    """For each query the union over the steps up to its own."""
    seen = cumulative_field(found, len(found.layout) - 2)
    if queries == steps:
        return seen
    positions = [min(i, steps - 1) for i in range(queries)]
    return seen.along(len(found.layout) - 2, taps.listed(steps, positions))


def cumulative_field(found: Field, axis: int) -> Field:
    """The union over all positions up to each."""
    found = found.single(axis)
    (factor,) = found.factors(axis)
    return found.mapped(lambda span: _accumulated(span, factor))


def _accumulated(span: Span, factor: int) -> Span:
    if span.first.shape[factor] == 1 and span.last.shape[factor] == 1:
        return span
    return Span(
        np.minimum.accumulate(span.first, axis=factor),
        np.maximum.accumulate(span.last, axis=factor),
        None,
        "cumulative",
    )


def cumulative(q: Question) -> Field:
    """cumsum and its like."""
    found = q.field(0)
    return cumulative_field(found, q.argument(1) % len(found.layout)) if found.terms else found


def recurrent(q: Question) -> list[Field]:
    """One layer of an LSTM or GRU in one direction: every step sees the steps before it and itself."""
    found, backwards = q.field(0), bool(q.named("reverse", False))
    if not found.terms or any(q.field(position).terms for position in range(1, 7)):
        return [q.unknown()]
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
        return [Field(dense(q.size(i)), (), found.unknown) for i in range(len(q.outputs))]
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
    """Softmax, sorting, Fourier transforms: every element sees the whole axis it lies on."""
    found = q.field(0)
    if not found.terms:
        return [Field(dense(q.size(i)), (), found.unknown) for i in range(len(q.outputs))]
    wanted = q.named("dim")
    axes = [wanted] if isinstance(wanted, int) else list(wanted)
    answers = []
    for number in range(len(q.outputs)):
        mixed = found
        for axis in axes:
            mixed = mixed.reduced([axis], size=q.size(number)[axis])
        answers.append(mixed)
    return answers


def sort(q: Question) -> Field | list[Field]:
    """sort, argsort and topk see the whole axis; the last one if none is named."""
    found = q.field(0)
    axis = q.named("dim", -1)
    if not found.terms:
        return [Field(dense(q.size(i)), (), found.unknown) for i in range(len(q.outputs))]
    return [found.reduced([axis], size=q.size(number)[axis]) for number in range(len(q.outputs))]


def glu(q: Question) -> Field:
    """The first half along an axis, gated by the second."""
    found, axis = q.field(0), q.argument(1, -1)
    half = q.size()[axis]
    return found.along(axis, taps.window(2 * half, half, kernel=2, stride=1, padding=0, dilation=half))


def multiply(q: Question) -> Field:
    """Element by element; without gates a tensor multiplied by a global one keeps its own field."""
    if not (q.has_tensor(0) and q.has_tensor(1)):
        return q.elementwise()
    if q.operation.kind.startswith("mul"):
        for mine, constant in ((0, 1), (1, 0)):
            if q.field(mine).terms and not q.field(constant).terms:
                return masked(q.field(mine).broadcast(q.size()), q.value(constant))
    one, other = q.field(0), q.field(1)
    if q.local and is_gate(other, one):
        return one.broadcast(q.size())
    if q.local and is_gate(one, other) and q.operation.kind.startswith("mul"):
        return other.broadcast(q.size())
    return q.elementwise()


def masked(found: Field, factor: torch.Tensor | None) -> Field:
    """The field after a multiplication by constants: where these are exactly 0, nothing gets through.

    A parameter is free to change in training and counts as not zero; `factor` is then None.
    """
    if factor is None or not bool((factor == 0).any()):
        return found
    zero = (factor == 0).expand(found.shape).numpy()
    for axis in range(len(found.layout)):
        found = found.single(axis)
    closed = squeezed_mask(zero)
    return found.mapped(lambda span: closed_span(span, closed)).settled()


def add(q: Question) -> Field:
    """Element by element; a constant −∞ (masked attention) decides what softmax will see, and no rule follows that."""
    for mine, other in ((0, 1), (1, 0)):
        if q.has_tensor(0) and q.has_tensor(1) and q.field(mine).terms and not q.field(other).terms:
            constant = q.value(other)
            if constant is not None and constant.is_floating_point() and bool(torch.isinf(constant).any()):
                return q.unknown()
    return q.elementwise()


def masked_fill(q: Question) -> Field:
    """Where the mask is set, a number that depends on nothing; −∞ among scores is followed by no rule."""
    mask, value = q.value(1), q.argument(2)
    if q.field(1).terms or isinstance(value, Ref):
        return q.elementwise()
    if mask is None or (isinstance(value, float) and isinf(value) and bool(mask.any())):
        return q.unknown()
    return masked(q.field(0).broadcast(q.size()), ~mask)


def is_gate(gate: Field, gated: Field) -> bool:
    """Whether `gate` looks the same at every place of the image while `gated` does not."""
    if not gate.terms or not gated.terms or gate.unknown or gated.unknown:
        return False
    return not _follows_places(gate) and _follows_places(gated)


def _follows_places(found: Field) -> bool:
    """Whether the field moves over the image along a dimension that is no channel."""
    for term in found.terms:
        for span in term.spans.values():
            if span.free is not None:
                return True
            varying = [axis for axis, length in enumerate(span.first.shape) if length > 1]
            if any(not _is_channel(found, factor) for factor in varying):
                return True
    return False


def _is_channel(found: Field, factor: int) -> bool:
    """Dimension 1 of a tensor of rank 2 or 4, where joined branches differ without being places."""
    return len(found.layout) in (2, 4, 5) and factor in found.factors(1)


def _many(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **_many("mm bmm", product(0)),
    **_many("addmm addmm_ baddbmm baddbmm_", product(1)),
    "addbmm": addbmm,
    "mv": matrix_vector(0),
    "addmv": matrix_vector(1),
    "linear": linear,
    **_many("dot vdot", dot),
    **_many(
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_attention_math "
        "_scaled_dot_product_attention_math_for_mps _scaled_dot_product_cudnn_attention "
        "_scaled_dot_product_fused_attention_overrideable",
        attention,
    ),
    **_many("cumsum cumsum_ cumprod cummax cummin logcumsumexp", cumulative),
    **_many(
        "sum mean amax amin max min aminmax argmax argmin prod any all nansum var std var_mean std_mean", reduction
    ),
    **_many("logsumexp norm linalg_vector_norm median nanmedian mode kthvalue count_nonzero", reduction),
    **_many("_softmax softmax _log_softmax log_softmax _safe_softmax _fft_c2c _fft_r2c _fft_c2r", along_whole_axes),
    **_many("sort argsort topk", sort),
    "glu": glu,
    "mkldnn_rnn_layer": recurrent,
    **_many("mul mul_ div div_", multiply),
    **_many("add add_ sub sub_", add),
    **_many("masked_fill masked_fill_", masked_fill),
}
