"""One operation and the fields of its tensors: what a rule is asked."""

from dataclasses import replace
from typing import Any

import torch

from convlens.anatomy.costs import Call
from convlens.anatomy.receptive.constants import Constants
from convlens.anatomy.receptive.field import Field, dense, union
from convlens.anatomy.receptive.fixed import VALUES, ZERO, fixed_at, mask_of, without_fixed
from convlens.anatomy.receptive.span import Mask
from convlens.graph import Graph, Operation, Ref


class Question(Call):
    """An operation's arguments, the fields of its tensors, and whether global gates are to be ignored.

    `keeping` is set for what only moves elements: its fields then come with what is known of fixed ones.
    """

    def __init__(
        self,
        graph: Graph,
        operation: Operation,
        fields: dict[int, Field],
        constants: Constants,
        *,
        local: bool,
        keeping: bool,
    ) -> None:
        super().__init__(graph, operation)
        self._all = fields
        self._fields = {i: fields[i] if keeping else without_fixed(fields[i]) for i in operation.inputs}
        self.constants = constants
        self._local = local
        self.asked_local = False  # whether the answer may depend on that

    @property
    def local(self) -> bool:
        """Whether global gates and statistics are to be ignored."""
        self.asked_local = True
        return self._local

    def field(self, position: int) -> Field:
        """Field of the tensor given as argument number `position`; that of a number or of nothing is empty."""
        ref = self.argument(position)
        return self._fields[ref.tensor] if isinstance(ref, Ref) else Field(())

    def fields(self, position: int) -> list[Field]:
        """Fields of a list of tensors."""
        return [self._fields[ref.tensor] for ref in self.argument(position) if isinstance(ref, Ref)]

    def every_field(self) -> list[Field]:
        """Fields of all tensors that go in; not those that an `out=` argument names, which are only written to."""
        declared = self.operation.operator._schema.arguments
        written = {each.tensor for d in declared if d.is_out and isinstance(each := self.given[d.name], Ref)}
        return [self._fields[index] for index in self.operation.inputs if index not in written]

    def argument(self, position: int, default: Any = None) -> Any:
        """Argument number `position` of the operator's schema, given by position, by name or by default."""
        value = list(self.given.values())[position] if position < len(self.given) else None
        return default if value is None else value

    def has_tensor(self, position: int) -> bool:
        """Whether argument number `position` is a tensor."""
        return isinstance(self.argument(position), Ref)

    def shape(self, position: int) -> tuple[int, ...]:
        """Shape of the tensor given as argument number `position`."""
        shape: tuple[int, ...] = self.graph.tensors[self.argument(position).tensor].shape
        return shape

    def named(self, name: str, default: Any = None) -> Any:
        """The argument of that name in the operator's schema."""
        value = self.given.get(name)
        return default if value is None else value

    def position(self, name: str) -> int | None:
        """The number of the argument of that name in the operator's schema."""
        declared = self.operation.operator._schema.arguments
        return next((i for i, each in enumerate(declared) if each.name == name), None)

    def size(self, output: int = 0) -> tuple[int, ...]:
        """Shape of an output."""
        return self.outputs[output].shape

    def nothing(self, output: int = 0) -> Field:
        """The field of an output that depends on no input."""
        return Field(dense(self.size(output)))

    def bounded(self, output: int = 0) -> Field:
        """The answer of a rule that cannot say more: whatever goes in, anywhere, may reach everything."""
        size = self.size(output)
        return union([each.whole(size, self.operation.target) for each in self.every_field()], size)

    def as_bound(self, found: Field) -> Field:
        """The field as a bound from above, for numbers that depend on the input decide."""
        return replace(found, bounds=found.bounds | {self.operation.target})

    def value(self, position: int) -> torch.Tensor | None:
        """The numbers of a constant tensor argument; None if they are not known."""
        ref = self.argument(position)
        return self.constants.numbers(ref.tensor, self.operation.index) if isinstance(ref, Ref) else None

    def values(self, position: int) -> list[torch.Tensor | None]:
        """The numbers of constant tensors, None for what is no tensor; raises LookupError if one is unknown."""
        found: list[torch.Tensor | None] = []
        for ref in self.argument(position):
            value = self.constants.numbers(ref.tensor, self.operation.index) if isinstance(ref, Ref) else None
            if isinstance(ref, Ref) and value is None:
                raise LookupError(f"the values of an index of {self.operation.name} are not known")
            found.append(value)
        return found

    def fixed(self, position: int, value: int) -> Mask | None:
        """Which elements of a tensor argument are −∞ or 0 whatever the input and the parameters; None if none is."""
        ref = self.argument(position)
        return self._fixed(ref.tensor, value) if isinstance(ref, Ref) else None

    def zeros(self, index: int) -> Mask | None:
        """Which elements of a tensor are 0 whatever the input and the parameters; None if none is."""
        return self._fixed(index, ZERO)

    def _fixed(self, index: int, value: int) -> Mask | None:
        tensor = self.graph.tensors[index]
        if self._all[index].terms:
            return fixed_at(self._all[index], value)
        if tensor.role == "parameter" and not self.constants.written(index, self.operation.index):
            frozen = None if tensor.requires_grad or tensor.value is None else tensor.value.detach()
            if frozen is None or frozen.device.type == "meta":
                return None  # learned, so that no number of it is fixed
            return mask_of((frozen == VALUES[value]).cpu(), tensor.shape)
        always = self.constants.always(index, self.operation.index, VALUES[value])
        return None if always is None else mask_of(always, tensor.shape)

    def elementwise(self) -> Field:
        """The union of everything that goes in, element by element."""
        return union([each for each in self.every_field() if each.terms], self.size())
