"""The numbers of tensors that no input reaches: masks, grids, tables of indices, whatever was written into them."""

from collections import defaultdict
from typing import Any

import torch

from convlens.graph import Graph, Operation, Ref
from convlens.graph.nests import changed
from convlens.graph.operators import kinds, plain

_MOST = 1 << 22  # elements of a constant that may be worked out
_MOVING = kinds("view", "copy", "join") | {
    *("index", "index_select", "gather", "take", "take_along_dim", "embedding"),
    *("flip", "roll", "rot90", "repeat"),
}


class Constants:
    """Works constants out by running what made them, in order, with everything that was written in between."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Any, torch.Tensor | None] = {}  # what was asked before, such as a mask that all layers share
        self._writers: dict[int, list[Operation]] = defaultdict(list)  # storage → who writes to it
        for operation in graph.operations:
            for old, _ in operation.writes:
                self._writers[graph.tensors[old].storage].append(operation)

    def written(self, index: int, before: int) -> bool:
        """Whether something was written to a tensor, by any of its views, before operation number `before`."""
        return any(each.index < before for each in self._writers[self._graph.tensors[index].storage])

    def numbers(self, index: int, before: int) -> torch.Tensor | None:
        """The numbers of a tensor as operation number `before` finds it.

        Returns:
            None if they depend on an input, on chance or on a parameter, which training may change, or are too many.
        """
        operations = self._needed(index, before)
        if operations is None:
            return None
        asked = index, tuple(each.index for each in operations)
        if asked not in self._known:
            self._known[asked] = self._computed(index, operations, None)
        return self._known[asked]

    def always(self, index: int, before: int, number: float) -> torch.Tensor | None:
        """Which elements have exactly this number, whatever the parameters are; None if that cannot be said."""
        operations = self._needed(index, before)
        if operations is None or self._only_moves_parameters(operations):
            return None
        asked = index, tuple(each.index for each in operations), number
        if asked not in self._known:
            self._known[asked] = self._always(index, operations, number)
        return self._known[asked]

    def _always(self, index: int, operations: list[Operation], number: float) -> torch.Tensor | None:
        answer: torch.Tensor | None = None
        for sign in (1.0, -1.0) if self._reads_parameters(operations) else (None,):
            found = self._computed(index, operations, sign)
            if found is None:
                return None
            answer = found == number if answer is None else answer & (found == number)
            if not bool(answer.any()):
                break
        return answer

    def _only_moves_parameters(self, operations: list[Operation]) -> bool:
        """Whether all that can be in a tensor are parameters, in another order: these have no fixed numbers."""
        for each in operations:
            given = [self._graph.tensors[index] for index in each.inputs]
            numbers = [tensor for tensor in given if tensor.dtype.is_floating_point]
            if plain(each.kind) not in _MOVING or not numbers:
                return False
            if any(tensor.value is not None and tensor.role != "parameter" for tensor in numbers):
                return False
        return self._reads_parameters(operations)

    def _reads_parameters(self, operations: list[Operation]) -> bool:
        return any(self._graph.tensors[index].role == "parameter" for each in operations for index in each.inputs)

    def _needed(self, index: int, before: int) -> list[Operation] | None:
        """The operations behind a tensor, in order; None if there are inputs among what they read."""
        wanted, seen = [index], set()
        operations: dict[int, Operation] = {}
        while wanted:
            tensor = self._graph.tensors[wanted.pop()]
            if tensor.index in seen:
                continue
            seen.add(tensor.index)
            if tensor.role == "input" or tensor.numel > _MOST:
                return None
            behind = [each for each in self._writers[tensor.storage] if each.index < before]
            if tensor.producer is not None and tensor.value is None:
                behind.append(self._graph.operations[tensor.producer])
            for each in behind:
                operations[each.index] = each
                wanted.extend(each.inputs)
        return [operations[each] for each in sorted(operations)]

    def _computed(self, index: int, operations: list[Operation], sign: float | None) -> torch.Tensor | None:
        """Run the operations, with any parameters of that sign; None if it takes parameters and there is no sign."""
        made: dict[int, torch.Tensor] = {}
        try:
            for each in operations:
                self._run(each, made, sign)
            return self._given(index, made, sign).detach()
        except LookupError:
            return None

    def _run(self, operation: Operation, made: dict[int, torch.Tensor], sign: float | None) -> None:
        if torch.Tag.nondeterministic_seeded in operation.operator.tags:
            raise LookupError(f"{operation.name} draws its numbers")
        known = {each: self._given(each, made, sign) for each in operation.inputs}
        keywords = {name: "cpu" if name == "device" else value for name, value in operation.keywords.items()}
        with torch.no_grad():
            arguments, keywords = changed((operation.arguments, keywords), Ref, lambda ref: known[ref.tensor])
            answer = operation.operator(*arguments, **keywords)
        if plain(operation.kind).startswith(("empty", "new_empty")):  # what is there by chance is no number to rely on
            answer.fill_(torch.nan if answer.is_floating_point() else torch.iinfo(torch.int8).max)
        several = answer if isinstance(answer, list | tuple) else [answer]
        for old, new in operation.writes:
            made[new] = known[old]
        for each, value in zip(operation.outputs, several, strict=False):
            if self._graph.tensors[each].value is None:
                made[each] = value

    def _given(self, index: int, made: dict[int, torch.Tensor], sign: float | None) -> torch.Tensor:
        if index not in made:
            tensor = self._graph.tensors[index]
            if tensor.role == "parameter":
                if sign is None:
                    raise LookupError(f"{tensor.name} may change")
                draw = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(index))
                made[index] = (sign * (draw + 0.5)).to(tensor.dtype)
            elif tensor.value is None or tensor.value.device.type == "meta":
                raise LookupError(f"{tensor.name} has no numbers")
            else:
                made[index] = tensor.value.detach().cpu().clone()  # it may be written to
        return made[index]
