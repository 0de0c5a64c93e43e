"""Carry receptive fields through a graph, operation by operation, in-place writes and views of them included."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import is_

import numpy as np

from convlens.anatomy.receptive import rules_indices, rules_layers, rules_pointwise, rules_products, rules_shapes
from convlens.anatomy.receptive.constants import Constants
from convlens.anatomy.receptive.field import Field, dense, same, source, union
from convlens.anatomy.receptive.fixed import ZERO, alive, fixed, mask_of, nowhere
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.span import Mask
from convlens.anatomy.receptive.writes import looked_at, overwritten, unviewed
from convlens.graph import Graph, ModuleCall, Operation, Ref, Tensor
from convlens.graph.operators import Convolution, arguments_of, family, is_pointwise, plain
from convlens.graph.structure import refs

Rule = Callable[[Question], Field | Sequence[Field]]
RULES: dict[str, Rule] = {**rules_shapes.RULES, **rules_layers.RULES, **rules_products.RULES}
RULES |= {**rules_pointwise.RULES, **rules_indices.RULES}
# These only move elements, so that what is known of single ones moves with them.
# What these make of zeros only is 0, so that zeros of the padding are followed through them.
_STILL = frozenset(["sum", "mean", "cumsum", "col2im", "im2col", "diag_embed", "slice_scatter"])
_STILL |= {"select_scatter", "scatter_add", "index_add", "index_copy", "index_put", "max_unpool2d", "max_unpool3d"}
_STILL |= {"grid_sampler_2d", "grid_sampler_3d", "fractional_max_pool2d", "fractional_max_pool3d"}
_MOVING = (
    rules_shapes.RULES.keys() - {"col2im", "view_as_complex", "slice_scatter", "select_scatter", "diag_embed"}
) | {"index_select", "index", "gather"}


def keeps_zero(operation: Operation) -> bool:
    """Whether what an operation makes of nothing but zeros is 0."""
    layer = Convolution.of(operation)
    if layer is not None:
        return layer.bias is None
    if operation.kind == "constant_pad_nd":
        return arguments_of(operation)["value"] in (0, None)
    if plain(operation.kind) in ("scatter", "add", "sub"):
        return isinstance(arguments_of(operation).get("src" if "scatter" in operation.kind else "other"), Ref)
    return plain(operation.kind) in _STILL or family(operation) in ("pool", "adaptive pool", "resize")


@dataclass(frozen=True)
class Answer:
    """What was said of an operation when the fields of its inputs were these."""

    inputs: list[Field]
    outputs: Sequence[Field]
    asked_local: bool


class Trace:
    """The fields of all tensors of a graph, by input number along the `axes` of each input that is followed.

    One beside the trace of the `whole` leaves out gates and global statistics; it takes over from the whole what is
    said of operations whose inputs look at the same.
    """

    def __init__(self, graph: Graph, axes: Mapping[int, tuple[int, ...]], *, whole: "Trace | None" = None) -> None:
        self.graph = graph
        self._axes = axes
        self._whole = whole
        self._constants: Constants = Constants(graph) if whole is None else whole._constants
        self._answered: dict[int, Answer] = {}  # operation → what was last said of it
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
        if tensor.role != "input":
            return Field(dense(tensor.shape))
        number = self.graph.inputs.index(tensor.index)
        axes = self._axes.get(number, ())
        return source(number, tensor.shape, axes) if axes else Field(dense(tensor.shape))

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
                self._write(operation, self.graph.tensors[after[index]], tensor, found)
            else:
                self._know(tensor, found)
        for old, new in operation.writes:
            if new not in self.fields:
                tensor = self.graph.tensors[new]
                self._write(operation, self.graph.tensors[old], tensor, self._bounded(operation, tensor))

    def _answers(self, operation: Operation) -> Sequence[Field]:
        if plain(operation.kind) == "as_strided" and any(self.fields[each].terms for each in operation.inputs):
            return [self._restrided(operation)]
        inputs = [self.fields[index] for index in operation.inputs]
        before = None if self._whole is None else self._whole._answered.get(operation.index)
        alike = before is not None and all(map(is_, inputs, before.inputs))
        if before is not None and alike and not before.asked_local:
            return before.outputs
        outputs, asked_local = self._asked(operation)
        if before is not None:  # so that what comes after it is alike too
            outputs = [one if same(one, two) else two for one, two in zip(before.outputs, outputs, strict=True)]
        self._answered[operation.index] = Answer(inputs, outputs, asked_local)
        return outputs

    def _asked(self, operation: Operation) -> tuple[Sequence[Field], bool]:
        """What the operation's rule says, and whether it asked if gates are left out."""
        keeping = plain(operation.kind) in _MOVING
        question = Question(
            self.graph, operation, self.fields, self._constants, local=self._whole is not None, keeping=keeping
        )
        inputs = [self.fields[index] for index in operation.inputs]
        outputs = [self.graph.tensors[index] for index in operation.outputs]
        if not any(each.terms for each in inputs):
            return [Field(dense(tensor.shape)) for tensor in outputs], False
        rule = RULES.get(plain(operation.kind)) if operation.target.startswith("aten.") else None
        pointwise = is_pointwise(operation)
        if rule is None and not pointwise:
            return [self._bounded(operation, tensor) for tensor in outputs], False
        found = (rule or rules_pointwise.pointwise)(question)
        answers = [found] if isinstance(found, Field) else list(found)
        if rule is not None and keeps_zero(operation):
            answers[0] = self._with_zeros(question, rule, answers[0])
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
        return complete, question.asked_local

    def _with_zeros(self, question: Question, rule: Rule, found: Field) -> Field:
        """What is computed from zeros only, such as those of the padding, is 0: a gate of it lets nothing through."""
        still = nowhere(found)
        if still is None:
            return found
        operation = question.operation
        living, layer = dict(self.fields), Convolution.of(operation)
        for index in operation.inputs if layer is None else [layer.input]:
            living[index] = alive(self.graph.tensors[index].shape, question.zeros(index))
        asked = Question(self.graph, operation, living, self._constants, local=self._whole is not None, keeping=False)
        answer = rule(asked)
        question.asked_local |= asked.asked_local
        dead = nowhere(answer if isinstance(answer, Field) else answer[0])
        return found if dead is None else fixed(found, dead & still, ZERO)

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

    def _write(self, operation: Operation, old: Tensor, new: Tensor, found: Field) -> None:
        """`new` is `old` overwritten with `found`: whatever else looks at the same storage has to look again."""
        if self.fields[old.index] is found:
            self._know(new, found)
            return
        whole = self._holder(old)
        if whole is None or whole.index == old.index or whole.nbytes == old.nbytes:
            self._written[new.storage] = new.index
        else:
            base = self.fields[whole.index]
            if not base.terms and found.terms:  # what stays of a tensor of zeros stays zero
                zero = self._constants.always(whole.index, operation.index, 0.0)
                mask = None if zero is None else mask_of(zero, whole.shape)
                self.fields[whole.index] = fixed(base, mask, ZERO)
            if not found.terms:
                found = fixed(found, self._zero_written(operation, old), ZERO)
            self.fields[whole.index] = self._lifted(whole, old, found)
            self._written[new.storage] = whole.index
        holder = self._written[new.storage]
        self._stale.update(index for index in self._on.get(new.storage, []) if index != holder)
        self._know(new, found)

    def _zero_written(self, operation: Operation, part: Tensor) -> Mask | None:
        """Which elements of what an operation writes, if that depends on no input, are 0."""
        given, kind = arguments_of(operation), plain(operation.kind)
        value = given.get("value", 0 if kind == "zero" else None)
        if kind == "copy":
            value = given["src"]
        if isinstance(value, Ref):
            zero = self._constants.always(value.tensor, operation.index, 0.0)
            return None if zero is None else mask_of(zero, part.shape)
        return np.ones([1] * len(part.shape), dtype=np.bool_) if kind in ("zero", "fill") and value == 0 else None

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
        if whole.nbytes == tensor.nbytes or producer is None or not producer.inputs:
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
