"""One operation and the fields of its tensors: what a rule is asked."""

from typing import Any

import torch

from convlens.anatomy.costs import Call
from convlens.anatomy.receptive.field import Field, dense, union
from convlens.graph import Graph, Operation, Ref


class Question(Call):
    """An operation's arguments, the fields of its tensors, and whether global gates are to be ignored."""

    def __init__(self, graph: Graph, operation: Operation, fields: dict[int, Field], *, local: bool) -> None:
        super().__init__(graph, operation)
        self._fields = fields
        self.local = local

    def field(self, position: int) -> Field:
        """Field of the tensor given as argument number `position`; that of a number or of nothing is empty."""
        ref = self.argument(position)
        return self._fields[ref.tensor] if isinstance(ref, Ref) else Field(())

    def fields(self, position: int) -> list[Field]:
        """Fields of a list of tensors."""
        return [self._fields[ref.tensor] for ref in self.argument(position) if isinstance(ref, Ref)]

    def every_field(self) -> list[Field]:
        """Fields of all tensors that go in."""
        return [self._fields[index] for index in self.operation.inputs]

    def named(self, name: str, default: Any = None) -> Any:
        """The argument of that name in the operator's schema."""
        for position, declared in enumerate(self.operation.operator._schema.arguments):
            if declared.name == name:
                return self.argument(position, default)
        return default

    def size(self, output: int = 0) -> tuple[int, ...]:
        """Shape of an output."""
        return self.outputs[output].shape

    def nothing(self, output: int = 0) -> Field:
        """The field of an output that depends on no input."""
        return Field(dense(self.size(output)))

    def unknown(self) -> Field:
        """The answer of a rule that does not know."""
        inherited = frozenset().union(*(each.unknown for each in self.every_field()))
        return Field(dense(self.size()), (), inherited | {self.operation.target})

    def value(self, position: int) -> torch.Tensor | None:
        """The numbers of a constant tensor argument; None if they are not known."""
        ref = self.argument(position)
        return constant(self._graph, ref.tensor) if isinstance(ref, Ref) else None

    def values(self, position: int) -> list[torch.Tensor | None]:
        """The numbers of constant tensors, None for what is no tensor; raises LookupError if one is unknown."""
        found: list[torch.Tensor | None] = []
        for ref in self.argument(position):
            value = constant(self._graph, ref.tensor) if isinstance(ref, Ref) else None
            if isinstance(ref, Ref) and value is None:
                raise LookupError(f"the values of an index of {self.operation.name} are not known")
            found.append(value)
        return found

    def elementwise(self) -> Field:
        """The union of everything that goes in, element by element."""
        return union([each for each in self.every_field() if each.terms or each.unknown], self.size())


_MOST = 1 << 22  # elements of a constant that may be worked out


def constant(graph: Graph, index: int) -> torch.Tensor | None:
    """The numbers of a tensor that does not depend on an input, worked out if it is small; None if unknown."""
    tensor = graph.tensors[index]
    if tensor.role == "parameter":
        return None
    if tensor.value is not None:
        return None if tensor.value.device.type == "meta" else tensor.value.detach().cpu()
    if tensor.producer is None or tensor.numel > _MOST:
        return None
    operation = graph.operations[tensor.producer]
    if operation.writes or torch.Tag.nondeterministic_seeded in operation.operator.tags:
        return None
    known: dict[int, torch.Tensor] = {}
    for each in operation.inputs:
        value = constant(graph, each)
        if value is None:
            return None
        known[each] = value
    keywords = {name: "cpu" if name == "device" else value for name, value in operation.keywords.items()}
    with torch.no_grad():
        made = operation.operator(*_filled(operation.arguments, known), **_filled(keywords, known))
    several = made if isinstance(made, list | tuple) else [made]
    found: torch.Tensor = several[operation.outputs.index(index)]
    return found


def _filled(value: Any, known: dict[int, torch.Tensor]) -> Any:
    if isinstance(value, Ref):
        return known[value.tensor]
    if isinstance(value, dict):
        return {name: _filled(each, known) for name, each in value.items()}
    if isinstance(value, list | tuple):
        items = [_filled(each, known) for each in value]
        return items if isinstance(value, list) else tuple(items)
    return value
