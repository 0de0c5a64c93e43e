"""Rules element by element: sums, products, gates, and the −∞ and 0 by which attention is masked."""

from collections.abc import Callable

import numpy as np
import torch

from convlens.anatomy.receptive.field import Field, union
from convlens.anatomy.receptive.fixed import MINUS_INFINITY, VALUES, ZERO, closed, either, fixed, mask_of
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.span import Mask
from convlens.graph import Ref
from convlens.graph.structure import refs

Rule = Callable[[Question], Field | list[Field]]


def pointwise(q: Question) -> Field:
    """Each element sees its own place; what one operand's fixed elements become is found by computing it."""
    found = q.elementwise()
    tensors = list(refs((q.operation.arguments, q.operation.keywords)))
    places = [i for i, each in enumerate(q.operation.arguments) if isinstance(each, Ref)]
    if len(tensors) != 1 or len(places) != 1:
        return found
    for value in VALUES:
        mask = q.fixed(places[0], value)
        if mask is not None:
            becomes = _computed(q, places[0], VALUES[value])
            for wanted, number in VALUES.items():
                found = fixed(found, mask, wanted) if becomes == number else found
    return found


def _computed(q: Question, place: int, number: float) -> float:
    arguments = list(q.operation.arguments)
    arguments[place] = torch.tensor([number], dtype=q.inputs[0].dtype)
    answer = q.operation.operator(*arguments, **q.operation.keywords)
    first = answer[0] if isinstance(answer, list | tuple) else answer
    return float(first.reshape(-1)[0])


def add(q: Question) -> Field:
    """−∞ stays −∞, whatever is added."""
    if not (q.has_tensor(0) and q.has_tensor(1)):
        return pointwise(q)
    second = q.operation.kind.startswith("add") and float(q.named("alpha", 1)) > 0
    masks = [q.fixed(0, MINUS_INFINITY), q.fixed(1, MINUS_INFINITY) if second else None]
    return fixed(q.elementwise(), _together(q, masks), MINUS_INFINITY)


def multiply(q: Question) -> Field:
    """0 stays 0, whatever multiplies it; without gates a tensor multiplied by a global one keeps its own field."""
    if not (q.has_tensor(0) and q.has_tensor(1)):
        return pointwise(q)
    product = q.operation.kind.startswith("mul")
    zero = _together(q, [q.fixed(0, ZERO), q.fixed(1, ZERO) if product else None])
    found = fixed(_gated(q, product), zero, ZERO)
    blocked = q.fixed(0, MINUS_INFINITY)
    if blocked is None:
        return found
    factor = q.value(1)
    positive = factor is not None and bool((factor > 0).all())
    return fixed(found, _together(q, [blocked]), MINUS_INFINITY) if positive else q.as_bound(found)


def _gated(q: Question, product: bool) -> Field:
    one, other = q.field(0), q.field(1)
    if q.local and is_gate(other, one):
        return one.broadcast(q.size())
    if q.local and product and is_gate(one, other):
        return other.broadcast(q.size())
    return q.elementwise()


def masked_fill(q: Question) -> Field:
    """Where the mask is set, a number that depends on nothing."""
    value = q.argument(2)
    number = q.value(2) if isinstance(value, Ref) else torch.tensor(value)
    if q.field(1).terms or number is None:
        return q.elementwise()
    mask = q.value(1)
    if mask is None:
        return q.as_bound(q.elementwise())
    filled = mask_of(mask, q.size())
    found = q.field(0).broadcast(q.size())
    if filled is None:
        filled = np.zeros([1] * len(q.size()), dtype=np.bool_)
    found = closed(found, filled)
    for each, wanted in VALUES.items():
        before = _together(q, [q.fixed(0, each)])
        kept = None if before is None else before & ~filled
        found = fixed(found, either(kept, filled if float(number) == wanted else None), each)
    return found


def where(q: Question) -> Field:
    """One of two, element by element, as a constant says; if the input says so, either."""
    condition = None if q.field(0).terms else q.value(0)
    if condition is None:
        return q.elementwise()
    yes = condition.expand(q.size()).numpy()
    sides = []
    for position, out in ((1, ~yes), (2, yes)):
        if q.field(position).terms:
            sides.append(closed(q.field(position).broadcast(q.size()), out))
    found = union(sides, q.size())
    for each in VALUES:
        one, other = (_together(q, [q.fixed(position, each)]) for position in (1, 2))
        chosen = [None if one is None else one & yes, None if other is None else other & ~yes]
        found = fixed(found, either(*chosen), each)
    return found


def _together(q: Question, masks: list[Mask | None]) -> Mask | None:
    """The union of masks, written with as many axes as the output has."""
    rank = len(q.size())
    return either(*(None if m is None else m.reshape((1,) * (rank - m.ndim) + m.shape) for m in masks))


def is_gate(gate: Field, gated: Field) -> bool:
    """Whether `gate` looks the same at every place of the image while `gated` does not."""
    if not gate.terms or not gated.terms:
        return False
    if gate.bounds and any(size > 1 for size in gate.shape[2:]):
        return False  # a bound may cover the whole image for every unit though each unit looks somewhere of its own
    return not _follows_places(gate) and _follows_places(gated)


def _follows_places(found: Field) -> bool:
    """Whether the field moves over the image along a dimension that is no channel."""
    for term in found.terms:
        for span in term.spans.values():
            if span.free is not None:
                return True
            varying = [factor for factor in range(span.seen.ndim - 1) if span.seen.shape[factor] > 1]
            if any(not _is_channel(found, factor) for factor in varying):
                return True
    return False


def _is_channel(found: Field, factor: int) -> bool:
    """Dimension 1 of a tensor of rank 2 or 4, where joined branches differ without being places."""
    return len(found.layout) in (2, 4, 5) and factor in found.factors(1)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("mul", "mul_", "div", "div_"), multiply),
    **dict.fromkeys(("add", "add_", "sub", "sub_"), add),
    **dict.fromkeys(("masked_fill", "masked_fill_"), masked_fill),
    "where": where,
}
