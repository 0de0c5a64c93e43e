"""The anatomy of a module: everything that can be read off one forward pass."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from convlens.anatomy.inference_memory import InferenceMemory, inference_memory
from convlens.anatomy.module_tree import ModuleNode, tree_of
from convlens.anatomy.receptive import ReceptiveField, ReceptiveFields
from convlens.anatomy.rows import Row, rows_of
from convlens.anatomy.training_memory import TrainingMemory, training_memory
from convlens.errors import ConvlensError
from convlens.graph import Graph
from convlens.graph.structure import refs


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Anatomy:
    """Shapes, parameters, costs, memory and receptive fields of one module on one input. Made by `inspect`.

    Attributes:
        graph: the forward pass it was read from.
        name: what it is called, by default the class of the module.
        module, inputs, keywords: what was inspected.
    """

    graph: Graph
    name: str
    module: nn.Module
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One row for each operation, in order, then one for each module with parameters that nothing used."""
        return rows_of(self.graph)

    @cached_property
    def modules(self) -> ModuleNode:
        """The outermost module; its `children` are the modules inside."""
        return tree_of(self.graph, self.rows)

    @property
    def parameters(self) -> int:
        """Elements of all parameters, a shared one counted once: `sum(p.numel() for p in module.parameters())`."""
        return self.trainable + self.frozen

    @cached_property
    def trainable(self) -> int:
        """Elements of the parameters that require a gradient."""
        return sum(row.trainable for row in self.rows)

    @cached_property
    def frozen(self) -> int:
        """Elements of the parameters that do not."""
        return sum(row.frozen for row in self.rows)

    @cached_property
    def buffers(self) -> int:
        """Elements of the buffers, such as the running statistics of a normalisation."""
        return sum(row.buffers for row in self.rows)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of convolutions and matrix products, for the whole batch; without what is `not_counted`."""
        return sum(row.macs or 0 for row in self.rows)

    @cached_property
    def flops(self) -> int:
        """Floating-point operations, a MAC being two, for the whole batch; without what is `not_counted`."""
        return sum(row.flops or 0 for row in self.rows)

    @cached_property
    def not_counted(self) -> dict[str, int]:
        """Operators without a formula, each with how often it occurs."""
        missing = [row for row in self.rows if row.operation is not None and (row.macs is None or row.flops is None)]
        return dict(Counter(self.graph.operations[row.operation or 0].target for row in missing))

    @cached_property
    def memory(self) -> InferenceMemory:
        """The memory of one inference, part by part."""
        return inference_memory(self.graph)

    @property
    def peak_memory(self) -> int:
        """Bytes that one inference allocates at its peak, beside parameters, buffers and input; see `memory`."""
        return self.memory.peak

    @cached_property
    def training_memory(self) -> int:
        """Bytes that a training step with SGD and momentum holds at its peak, beside parameters, buffers and input."""
        return self.training("sgd").total

    def training(self, optimizer: str = "adamw") -> TrainingMemory:
        """The memory of a training step on this input with that optimiser, part by part; see `training_memory`."""
        return training_memory(self.module, *self.inputs, keywords=self.keywords, optimizer=optimizer)

    @cached_property
    def receptive_fields(self) -> ReceptiveFields:
        """The receptive fields of all tensors, worked out when first asked for."""
        return ReceptiveFields(self.graph)

    def receptive_field(self, at: str = "", unit: Sequence[int] | None = None, *, source: int = 0) -> ReceptiveField:
        """The part of the input that can influence one unit.

        Args:
            at: a module's path, an operation's name, or `path:1` for the second tensor that a module returns; the
                network's output by default.
            unit: row and column of the unit in that map, counted from 0; the middle by default.
            source: number of the input, where there are several.

        Raises:
            ConvlensError: there is no such module, operation, unit or input.

        >>> from convlens import inspect
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
        >>> field = inspect(net, (3, 32, 32)).receptive_field(at="1", unit=(0, 8))
        >>> field.rows, field.columns, field.size, field.stride, field.offset
        ((0, 3), (13, 19), 7, 2, 0)
        """
        return self.receptive_fields.of(at, unit, source)

    @cached_property
    def _middles(self) -> dict[str, ReceptiveField | None]:
        return {}

    def field_of(self, at: str) -> ReceptiveField | None:
        """The field of the middle unit of a module or operation; None where there is none or several."""
        if at not in self._middles:
            try:
                self._middles[at] = self.receptive_field(at)
            except ConvlensError:
                self._middles[at] = None
        return self._middles[at]

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors that went in."""
        return tuple(self.graph.tensors[index].shape for index in self.graph.inputs)

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors that came out."""
        return tuple(self.graph.tensors[index].shape for index in refs(self.graph.results))
