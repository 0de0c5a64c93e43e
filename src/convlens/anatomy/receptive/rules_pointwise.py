"""Rules element by element: sums, products, gates, and the −∞ and 0 by which attention is masked."""

from collections.abc import Callable

import numpy as np
import torch

from convlens.anatomy.receptive.field import Field, union
from convlens.anatomy.receptive.fixed import MINUS_INFINITY, VALUES, ZERO, closed, either, fixed, mask_of, without_fixed
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.span import Mask
from convlens.graph import Ref
from convlens.graph.operators import AdaptivePool, is_pointwise, origin, plain
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
    """−∞ stays −∞, whatever is added; without statistics a tensor less its own mean keeps its own field."""
    if not (q.has_tensor(0) and q.has_tensor(1)):
        return pointwise(q)
    alpha = float(q.named("alpha", 1))
    if alpha == 0 or (q.local and plain(q.operation.kind) == "sub" and _is_own_mean(q)):
        return q.field(0).broadcast(q.size())
    second = plain(q.operation.kind) == "add" and alpha > 0
    masks = [q.fixed(0, MINUS_INFINITY), q.fixed(1, MINUS_INFINITY) if second else None]
    return fixed(q.elementwise(), _together(q, masks), MINUS_INFINITY)


def _is_own_mean(q: Question) -> bool:
    """Whether the second tensor is the mean of the first over all places, as a norm written by hand subtracts it."""
    if not is_gate(q.field(1), q.field(0)):
        return False
    one, other = (origin(q.graph, q.argument(number).tensor) for number in (0, 1))
    producer = q.graph.tensors[other].producer
    while producer is not None:
        operation = q.graph.operations[producer]
        if operation.kind in ("mean", "var_mean", "std_mean", "sum") or AdaptivePool.of(operation) is not None:
            return origin(q.graph, operation.inputs[0]) == one
        if not is_pointwise(operation) or len(operation.inputs) != 1:
            return False
        producer = q.graph.tensors[origin(q.graph, operation.inputs[0])].producer
    return False


def multiply(q: Question) -> Field:
    """0 stays 0, whatever multiplies it; without gates a tensor multiplied by a global one keeps its own field."""
    product = plain(q.operation.kind) == "mul"
    if not (q.has_tensor(0) and q.has_tensor(1)):
        return q.nothing() if product and 0 in (q.argument(0), q.argument(1)) else pointwise(q)
    found = _product(q, 0, 1, divided=not product)
    blocked = q.fixed(0, MINUS_INFINITY)
    if blocked is None:
        return found
    factor = q.value(1)
    positive = factor is not None and bool((factor > 0).all())
    return fixed(found, _together(q, [blocked]), MINUS_INFINITY) if positive else q.as_bound(found)


def _product(q: Question, one: int, other: int, *, divided: bool) -> Field:
    """The field of one argument times another, or divided by it."""
    zero = _together(q, [q.fixed(one, ZERO), None if divided else q.fixed(other, ZERO)])
    return fixed(_ungated(q, one, other, both=not divided), zero, ZERO)


def _ungated(q: Question, one: int, other: int, *, both: bool = True) -> Field:
    """The union of two arguments; in a local field without the one that is a gate of the other."""
    first, second = q.field(one), q.field(other)
    if q.local and is_gate(second, first):
        return first.broadcast(q.size())
    if q.local and both and is_gate(first, second):
        return second.broadcast(q.size())
    return union([first, second], q.size())


def add_product(q: Question) -> Field:
    """addcmul and addcdiv: a tensor, and the product or quotient of two others."""
    if q.named("value", 1) == 0:
        return q.field(0).broadcast(q.size())
    product = _product(q, 1, 2, divided="div" in q.operation.kind)
    return union([q.field(0), without_fixed(product)], q.size())


def lerp(q: Question) -> Field:
    """Between two tensors, as a weight says: only the first where a constant weight is 0, only the second where 1."""
    sides = [q.field(0).broadcast(q.size()), q.field(1).broadcast(q.size())]
    weight = q.field(2)
    number = q.value(2) if q.has_tensor(2) else torch.tensor(q.argument(2))
    if number is not None and not weight.terms:
        decided = [mask_of(number == each, q.size()) for each in (1, 0)]
        sides = [side if out is None else closed(side, out) for side, out in zip(sides, decided, strict=True)]
    found = union(sides, q.size())
    found = found if q.local and is_gate(weight, found) else union([found, weight], q.size())
    zeros = [_together(q, [q.fixed(number, ZERO)]) for number in (0, 1)]
    one, other = zeros
    return found if one is None or other is None else fixed(found, np.asarray(one & other), ZERO)


def power(q: Question) -> Field:
    """A power; anything to the power of 0 is 1."""
    if q.has_tensor(0) and q.has_tensor(1):
        found = _ungated(q, 0, 1)
        return found if q.fixed(0, ZERO) is None else q.as_bound(found)  # 0 to a power that the input decides
    return q.nothing() if q.has_tensor(0) and q.argument(1) == 0 else pointwise(q)


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
    "mul": multiply,
    "div": multiply,
    "add": add,
    "sub": add,
    "addcmul": add_product,
    "addcdiv": add_product,
    "lerp": lerp,
    "pow": power,
    "masked_fill": masked_fill,
    "where": where,
}
