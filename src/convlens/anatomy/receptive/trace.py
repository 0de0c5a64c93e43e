"""Carry receptive fields through a graph, operation by operation, in-place writes and views of them included."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from convlens.anatomy.receptive import rules_indices, rules_layers, rules_pointwise, rules_products, rules_shapes, taps
from convlens.anatomy.receptive.constants import Constants
from convlens.anatomy.receptive.field import Field, Term, dense, source, union, union_size
from convlens.anatomy.receptive.fixed import has_fixed, without_fixed
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.rules_shapes import replayed
from convlens.anatomy.receptive.span import NOWHERE_FIRST, NOWHERE_LAST, Free, Indices, Span
from convlens.graph import Graph, ModuleCall, Operation, Tensor
from convlens.graph.operators import is_pointwise
from convlens.graph.structure import refs

_MOST = 1 << 24  # elements of a union that may be written out
_RESHAPES = frozenset(["view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "alias", "detach"])
RULES = {**rules_shapes.RULES, **rules_layers.RULES, **rules_products.RULES}
RULES |= {**rules_pointwise.RULES, **rules_indices.RULES}
# These only move elements, so that what is known of single ones moves with them.
_MOVING = (rules_shapes.RULES.keys() - {"col2im", "view_as_complex"}) | {"index_select", "index", "gather"}


class Trace:
    """The fields of all tensors of a graph; `local` leaves out gates and global statistics."""

    def __init__(self, graph: Graph, *, local: bool) -> None:
        self.graph = graph
        self.local = local
        self._constants = Constants(graph)
        self.fields: dict[int, Field] = {}
        self.made: dict[int, Field] = {}  # as each tensor was when it was made, whatever was written to it later
        self.returned: dict[int, dict[int, Field]] = {}  # module call → tensor → as it was when the call returned
        returns: dict[int, list[ModuleCall]] = {}
        for call in graph.calls:
            returns.setdefault(call.last, []).append(call)
        self._written: dict[int, int] = {}  # storage → the tensor that holds its present content
        self._stale: set[int] = set()
        self._on: dict[int, list[int]] = {}  # storage → tensors that look at it
        for tensor in graph.tensors:
            if tensor.role != "computed":
                self._know(tensor, self._first(tensor))
        self._note(returns.get(0, []))
        for operation in graph.operations:
            self._follow(operation)
            self._note(returns.get(operation.index + 1, []))

    def _note(self, calls: Sequence[ModuleCall]) -> None:
        """Keep what calls return that end here."""
        for call in calls:
            found = list(refs(call.results))
            for index in found:
                if index in self._stale:
                    self._refresh(index)
            self.returned[call.index] = {index: self.fields[index] for index in found if index in self.fields}

    def _first(self, tensor: Tensor) -> Field:
        if tensor.role != "input" or len(tensor.shape) < 3:
            return Field(dense(tensor.shape))
        number = self.graph.inputs.index(tensor.index)
        return source(number, tensor.shape, range(2, len(tensor.shape)))

    def _know(self, tensor: Tensor, found: Field) -> None:
        self.fields[tensor.index] = found
        self.made[tensor.index] = found
        self._on.setdefault(tensor.storage, []).append(tensor.index)

    def _follow(self, operation: Operation) -> None:
        for index in operation.inputs:
            if index in self._stale:
                self._refresh(index)
        answers = self._answers(operation)
        after = {new: old for old, new in operation.writes}
        for index, found in zip(operation.outputs, answers, strict=False):
            tensor = self.graph.tensors[index]
            if tensor.role != "computed":
                continue
            if index in after:
                self._write(self.graph.tensors[after[index]], tensor, found)
            else:
                self._know(tensor, found)
        for old, new in operation.writes:
            if new not in self.fields:
                tensor = self.graph.tensors[new]
                self._write(self.graph.tensors[old], tensor, self._bounded(operation, tensor))

    def _answers(self, operation: Operation) -> Sequence[Field]:
        keeping = operation.kind in _MOVING
        question = Question(self.graph, operation, self.fields, self._constants, local=self.local, keeping=keeping)
        inputs = [self.fields[index] for index in operation.inputs]
        outputs = [self.graph.tensors[index] for index in operation.outputs]
        if not any(each.terms for each in inputs):
            return [Field(dense(tensor.shape)) for tensor in outputs]
        if operation.kind in ("as_strided", "as_strided_"):
            return [self._restrided(operation)]
        rule = RULES.get(operation.kind) if operation.target.startswith("aten.") else None
        pointwise = is_pointwise(operation)
        if rule is None and not pointwise:
            return [self._bounded(operation, tensor) for tensor in outputs]
        found = (rule or rules_pointwise.pointwise)(question)
        answers = [found] if isinstance(found, Field) else list(found)
        inherited = frozenset().union(*(each.bounds for each in inputs))
        complete = []
        for number, tensor in enumerate(outputs):
            if number < len(answers):
                answer = answers[number]
            elif tensor.shape == outputs[0].shape:
                answer = answers[0]
            else:
                answer = self._bounded(operation, tensor)
            complete.append(replace(answer, bounds=answer.bounds | inherited) if answer.terms else answer)
        return complete

    def _bounded(self, operation: Operation, tensor: Tensor) -> Field:
        """What an operation without a rule may look at: all that its inputs look at, anywhere."""
        return self._all_of(operation.inputs, operation, tensor)

    def _all_of(self, indices: Sequence[int], operation: Operation, tensor: Tensor) -> Field:
        return union([self.fields[index].whole(tensor.shape, operation.target) for index in indices], tensor.shape)

    def _restrided(self, operation: Operation) -> Field:
        """Any view of a storage; one that changes only the strides of axes of size 1 changes nothing."""
        given, made = (self.graph.tensors[each] for each in (operation.inputs[0], operation.outputs[0]))
        pairs = zip(given.shape, given.stride, made.stride, strict=False)
        if given.shape == made.shape and all(size == 1 or one == other for size, one, other in pairs):
            return self.fields[given.index]
        holder = self._holder(given)
        if holder:
            return looked_at(self.fields[holder.index], holder, made)
        return self._all_of(self._on[given.storage], operation, made)

    # In-place operations

    def _write(self, old: Tensor, new: Tensor, found: Field) -> None:
        """`new` is `old` overwritten with `found`: whatever else looks at the same storage has to look again."""
        if self.fields[old.index] is found:
            self._know(new, found)
            return
        whole = self._holder(old)
        if whole is None or whole.index == old.index or _covers(whole, old):
            self._written[new.storage] = new.index
        else:
            self.fields[whole.index] = self._lifted(whole, old, found)
            self._written[new.storage] = whole.index
        holder = self._written[new.storage]
        self._stale.update(index for index in self._on.get(new.storage, []) if index != holder)
        self._know(new, found)

    def _lifted(self, whole: Tensor, part: Tensor, found: Field) -> Field:
        """The field of `whole` after `part`, a view of it, was overwritten; views are undone one after another."""
        while part.index != whole.index and not (part.shape == whole.shape and part.stride == whole.stride):
            producer = self.graph.operations[part.producer] if part.producer is not None else None
            if producer is None or not producer.inputs:
                break
            outer = self.graph.tensors[producer.inputs[0]]
            if outer.storage != part.storage:
                break
            if outer.index in self._stale:
                self._refresh(outer.index)
            found = unviewed(producer, self.fields[outer.index], outer, part, found)
            part = outer
        else:
            return found
        if whole.index in self._stale:
            self._refresh(whole.index)
        return overwritten(self.fields[whole.index], whole, part, found)

    def _holder(self, tensor: Tensor) -> Tensor | None:
        """The tensor that sees all of this storage: the last one written whole, or the first one made on it."""
        written = self._written.get(tensor.storage)
        candidates = [written] if written is not None else self._on.get(tensor.storage, [])
        size = self.graph.storages[tensor.storage].nbytes
        for index in candidates:
            each = self.graph.tensors[index]
            if each.nbytes == size:
                return each
        return None

    def _refresh(self, index: int) -> None:
        """Work out anew what a view sees of a storage that was written to."""
        self._stale.discard(index)
        tensor = self.graph.tensors[index]
        holder = self._written.get(tensor.storage)
        if holder is None or holder == index:
            return
        whole = self.graph.tensors[holder]
        producer = self.graph.operations[tensor.producer] if tensor.producer is not None else None
        if _covers(whole, tensor) or producer is None or not producer.inputs:
            self.fields[index] = looked_at(self.fields[holder], whole, tensor)
            return
        outer = next((old for old, new in producer.writes if new == index), producer.inputs[0])
        if self.graph.tensors[outer].storage != tensor.storage:
            self.fields[index] = looked_at(self.fields[holder], whole, tensor)
            return
        if outer in self._stale:
            self._refresh(outer)
        if producer.writes:
            self.fields[index] = self.fields[outer]
        else:
            self.fields[index] = self._answers(producer)[producer.outputs.index(index)]


def _covers(whole: Tensor, part: Tensor) -> bool:
    return whole.nbytes == part.nbytes


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


def looked_at(found: Field, whole: Tensor, part: Tensor) -> Field:
    """The field of `part`, a view of the storage that `whole` fills."""
    if whole.shape == part.shape and whole.stride == part.stride:
        return found
    slices = cut(whole, part)
    if slices is None and _in_order(whole) and _in_order(part) and _covers(whole, part):
        return found.viewed(part.shape)
    if slices is None:
        return _strided(found, whole, part)
    for axis, each in enumerate(slices):
        if part.shape[axis] != whole.shape[axis]:
            length, step = whole.shape[axis], each.step
            window = taps.window(length, part.shape[axis], kernel=1, stride=step, padding=-each.start, dilation=1)
            found = found.along(axis, window)
    return found


def _in_order(tensor: Tensor) -> bool:
    """Whether the elements lie in memory in the order of the indices."""
    expected = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def unviewed(operation: Operation, base: Field, outer: Tensor, part: Tensor, new: Field) -> Field:
    """The field of `outer` after `part`, which `operation` took as a view of it, was overwritten with `new`."""
    if operation.kind in ("permute", "transpose", "t"):
        order = list(range(len(outer.shape)))
        if operation.kind == "permute":
            order = [each % len(order) for each in operation.arguments[1]]
        elif len(order) > 1:
            one, other = (0, 1) if operation.kind == "t" else operation.arguments[1:3]
            order[one], order[other] = order[other], order[one]
        return new.permuted([order.index(axis) for axis in range(len(order))])
    if operation.kind == "select":
        axis = operation.arguments[1] % len(outer.shape)
        shape = (*outer.shape[:axis], 1, *outer.shape[axis + 1 :])
        part = replace(part, shape=shape, stride=outer.stride)
        return overwritten(base, outer, part, new.unsqueezed(axis))
    if part.numel == outer.numel and operation.kind in _RESHAPES:
        return new.viewed(outer.shape)
    return overwritten(base, outer, part, new)


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


def _strided(found: Field, whole: Tensor, part: Tensor) -> Field:
    """Any view at all: the numbers laid out as the storage is, and looked at with the strides of the view."""

    def look(array: torch.Tensor) -> torch.Tensor:
        flat = torch.zeros(array.numel(), dtype=array.dtype)
        flat.as_strided(whole.shape, whole.stride, 0).copy_(array)
        return flat.as_strided(part.shape, part.stride, part.offset - whole.offset)

    return replayed(found, part.shape, look)


def overwritten(base: Field, whole: Tensor, part: Tensor, new: Field) -> Field:
    """The field of `whole` after the part of it that `part` looks at was overwritten with `new`."""
    bounds = base.bounds | new.bounds
    if has_fixed(base) or has_fixed(new):  # they are not followed through a write to a part
        bounds |= {"an in-place write among masked numbers"}
        base, new = without_fixed(base), without_fixed(new)
    base, new = _one_term(base), _one_term(new)
    slices = cut(whole, part)
    if slices is None or len(base.terms) > 1 or len(new.terms) > 1:
        return _either(base, new, whole, "an in-place write that is no slice")
    for axis in range(len(whole.shape)):
        base, new = base.single(axis), new.single(axis)
    old_term, new_term = (each.terms[0] if each.terms else None for each in (base, new))
    pattern = new_term or old_term
    if pattern is None:
        return base
    if old_term is not None and new_term is not None and old_term.source != new_term.source:
        return _either(base, new, whole, "an in-place write from another input")
    partial = [axis for axis in range(len(whole.shape)) if part.shape[axis] != whole.shape[axis]]
    spans = {}
    for axis in pattern.spans:
        before = old_term.spans[axis] if old_term else _nowhere(len(whole.shape))
        after = new_term.spans[axis] if new_term else _nowhere(len(whole.shape))
        spans[axis] = _put(before, after, slices, partial, whole.shape, part.shape)
    result = Field(dense(whole.shape), (Term(pattern.source, spans),), bounds).settled()
    for axis in range(len(whole.shape)):
        result = rules_shapes.compressed(result, axis)
    return result


def _either(base: Field, new: Field, whole: Tensor, reason: str) -> Field:
    """A bound after a write to places that are not followed: each element may be any old or any new one."""
    return union([each.whole(whole.shape, reason) for each in (base, new)], whole.shape)


def _nowhere(rank: int) -> Span:
    shape = [1] * rank
    return Span(np.full(shape, NOWHERE_FIRST), np.full(shape, NOWHERE_LAST), None, "nowhere")


def _put(
    before: Span, after: Span, slices: list[slice], partial: list[int], whole: tuple[int, ...], part: tuple[int, ...]
) -> Span:
    first = _assign(before.first, after.first, slices, partial, whole, part)
    last = _assign(before.last, after.last, slices, partial, whole, part)
    free = _free_after_write(before, after, slices, partial, whole, part)
    return Span(first, last, free, "" if free is not None else "pieces")


def _assign(
    base: Indices,
    new: Indices,
    slices: list[slice],
    partial: list[int],
    whole: tuple[int, ...],
    part: tuple[int, ...],
    skip: int | None = None,
) -> Indices:
    shape, key = list(np.broadcast_shapes(base.shape, _outer(new, partial, whole, skip))), []
    for axis in range(len(whole)):
        key.append(slices[axis] if axis in partial and axis != skip else slice(None))
    result = np.array(np.broadcast_to(base, shape))
    result[tuple(key)] = new
    del part
    return result


def _outer(new: Indices, partial: list[int], whole: tuple[int, ...], skip: int | None) -> list[int]:
    return [whole[axis] if axis in partial and axis != skip else size for axis, size in enumerate(new.shape)]


def _free_after_write(
    before: Span, after: Span, slices: list[slice], partial: list[int], whole: tuple[int, ...], part: tuple[int, ...]
) -> Free | None:
    """The pattern that holds in most of the map: that of the larger piece along the axis it runs on."""
    new, old = after.free, before.free
    if new is not None and new.factor in partial:
        axis = new.factor
        if 2 * part[axis] <= whole[axis] or slices[axis].step != 1:
            return old
        shift = taps.shifted(part[axis], whole[axis], slices[axis].start, "constant")
        new = Span(new.first, new.last, new).gathered(axis, shift).free
    if new is None:
        return old if old is not None and any(2 * part[a] <= whole[a] for a in partial) else None
    if old is not None and old.factor in partial and 2 * part[old.factor] <= whole[old.factor]:
        return old
    others = [axis for axis in partial if axis != new.factor]
    if not others or old is None:
        return new
    if old.factor != new.factor or old.advance != new.advance or old.phases != new.phases:
        return new if all(2 * part[axis] > whole[axis] for axis in others) else None
    if all(2 * part[axis] > whole[axis] for axis in others):
        return new
    return replace(
        new,
        first=_assign(old.first, new.first, slices, others, whole, part, new.factor),
        last=_assign(old.last, new.last, slices, others, whole, part, new.factor),
    )
