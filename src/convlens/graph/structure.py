"""The graph of one forward pass, as plain records that refer to each other by index.

Tensors are in single-assignment form: an operation that writes in place makes a new `Tensor` on the same `Storage`. So
an engine may execute the operations in order, and a reader may follow any tensor back to what made it.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Literal

import torch

from convlens.graph.nests import leaves

Role = Literal["input", "parameter", "buffer", "constant", "computed"]


@dataclass(frozen=True)
class Ref:
    """Stands for tensor number `tensor` wherever arguments or results are nested in lists, tuples and dicts."""

    tensor: int


@dataclass(frozen=True)
class Storage:
    """The bytes behind one or several tensors, and when they came and went.

    Attributes:
        nbytes: size in bytes.
        born: index of the operation that allocated it, -1 if it was there before the first one.
        died: index of the last operation during which it was alive; None if it outlived the forward pass.
    """

    index: int
    nbytes: int
    born: int
    died: int | None


@dataclass(frozen=True)
class Tensor:
    """One value of the forward pass: its layout, where it comes from, and its storage.

    Attributes:
        role: what it is; a `computed` tensor has a `producer`.
        name: the path of a parameter or buffer (`layer1.0.conv1.weight`), the name of an input, else "".
        producer: index of the operation that made it, None for inputs, parameters, buffers and constants.
        shape, stride, offset: the layout in elements.
        requires_grad: True for a parameter that is trained.
        value: the module's own tensor behind a parameter, buffer or constant; never a copy of a parameter.
    """

    index: int
    role: Role
    shape: tuple[int, ...]
    dtype: torch.dtype
    stride: tuple[int, ...]
    offset: int
    storage: int
    name: str = ""
    producer: int | None = None
    requires_grad: bool = False
    value: torch.Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def numel(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, whatever storage they lie in."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class Operation:
    """One call of an aten operator.

    Attributes:
        name: unique, made of the module's path and the operator: `layer1.0.add_`.
        target: the operator's full name, `aten.convolution.default`.
        operator: the operator itself, callable on real tensors.
        arguments, keywords: as it was called, every tensor replaced by a `Ref`.
        inputs, outputs: the tensors among the arguments and results, in order.
        writes: pairs (tensor before, tensor after) of what it changed in place.
        module: path of the innermost module that was running, "" for the outermost.
        call: index of that module's call in `Graph.calls`.
    """

    index: int
    name: str
    target: str
    operator: Any = field(repr=False, compare=False)
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    writes: tuple[tuple[int, int], ...]
    module: str
    call: int

    @property
    def kind(self) -> str:
        """The operator's short name: `convolution`, `add_`."""
        return self.target.split(".")[1]


@dataclass(frozen=True)
class ModuleCall:
    """One call of one module; a shared module has several.

    Attributes:
        path: the module's name in `named_modules()`; of several, the one nearest to the calling module, or the first.
        kind: its class.
        occurrence: 0 for the first call of this module, 1 for the second.
        parent: index of the calling module's call, None for the outermost.
        arguments, results: what went in and came out, every tensor replaced by a `Ref`.
        first, last: its operations are `operations[first:last]`, those of inner modules included.
        finished: False if the forward pass failed inside it.
    """

    index: int
    path: str
    kind: str
    occurrence: int
    parent: int | None
    arguments: Any
    results: Any
    first: int
    last: int
    finished: bool


@dataclass(frozen=True)
class Failure:
    """Why the forward pass stopped.

    Attributes:
        error: what was raised.
        target: the operator that refused, "" if the failure lies outside an operator.
        arguments: its arguments, every tensor replaced by a `Ref`.
        module: path of the innermost running module.
        call: index of its call in `Graph.calls`.
    """

    error: Exception = field(compare=False)
    target: str
    arguments: tuple[Any, ...]
    module: str
    call: int | None


@dataclass(frozen=True)
class Graph:
    """What one forward pass did, in order. Made by `record`.

    Attributes:
        arguments: the outermost module's arguments, tensors replaced by `Ref`.
        inputs: the tensors among them.
        results: what the forward pass returned, tensors replaced by `Ref`; None if it failed.
        outputs: the tensors among the results.
        modules: path → class name, every module of the tree, called or not; shared modules under their first path.
        aliases: other path → first path, for modules registered under several names.
        parameters, buffers: path → tensor index; a shared one under every name it has.
        failure: None if the forward pass succeeded; otherwise the graph goes as far as it went.
        real: whether numbers were computed, so that the graph holds for them; other numbers may take another course.
    """

    operations: tuple[Operation, ...]
    tensors: tuple[Tensor, ...]
    storages: tuple[Storage, ...]
    calls: tuple[ModuleCall, ...]
    arguments: Any
    inputs: tuple[int, ...]
    results: Any
    outputs: tuple[int, ...]
    modules: dict[str, str]
    aliases: dict[str, str]
    parameters: dict[str, int]
    buffers: dict[str, int]
    failure: Failure | None = None
    real: bool = False

    def calls_of(self, path: str) -> tuple[ModuleCall, ...]:
        """Every call of the module at `path`, by any of its names."""
        return tuple(self._calls.get(self.aliases.get(path, path), ()))

    @cached_property
    def _calls(self) -> dict[str, list[ModuleCall]]:
        table: dict[str, list[ModuleCall]] = {}
        for call in self.calls:
            table.setdefault(self.aliases.get(call.path, call.path), []).append(call)
        return table

    def operation(self, name: str) -> Operation | None:
        """The operation of that name, or None."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, Operation]:
        return {operation.name: operation for operation in self.operations}

    def readers(self) -> dict[int, list[int]]:
        """For each tensor, the operations that read it."""
        table: dict[int, list[int]] = {tensor.index: [] for tensor in self.tensors}
        for operation in self.operations:
            for index in dict.fromkeys(operation.inputs):
                table[index].append(operation.index)
        return table


def refs(value: Any) -> list[int]:
    """The tensors named by the `Ref`s in a nest, in order."""
    return [each.tensor for each in leaves(value, Ref)]
