"""Running a network on real numbers along its recorded graph: to keep tensors of it, or to go on from some of them.

To keep tensors, the network itself runs; its operations are watched as they come and matched, one by one, with those of
the graph. So what is kept is what the network did. To go on from tensors, the operations behind them are called again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from convlens.errors import ConvlensError
from convlens.graph.nests import changed, leaves
from convlens.graph.structure import Graph, Ref


class _Enough(Exception):  # noqa: N818
    """Everything wanted is there; the rest of the forward pass is left out."""


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator call, in the order in which the graph was recorded."""

    def __init__(self, graph: Graph, wanted: set[int], see: Callable[[int, torch.Tensor], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = graph
        self._missing = set(wanted)
        self._see = see
        self._next = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator and show its results if they are wanted."""
        del types
        result = func(*args, **(kwargs or {}))
        operations = self._graph.operations
        operation = operations[self._next] if self._next < len(operations) else None
        self._next += 1
        if operation is None or operation.target != str(func):
            raise ConvlensError(
                f"the network does not do the same twice: step {self._next} was {func}, and when it was looked at "
                f"{operation.target if operation else 'there was no such step'}; only networks that always do the same "
                "can be looked into"
            )
        for index, value in zip(operation.outputs, leaves(result, torch.Tensor), strict=False):
            if index in self._missing:
                self._see(index, value)
                self._missing.discard(index)
        if not self._missing:
            raise _Enough
        return result


@torch.no_grad()
def execute(network: nn.Module, graph: Graph, x_NCHW: torch.Tensor, wanted: Iterable[int]) -> dict[int, torch.Tensor]:
    """Run a network and keep tensors of its forward pass.

    Args:
        network: in evaluation mode.
        graph: recorded from it; the batch may have been another.
        x_NCHW: the input.
        wanted: indices of the graph's tensors.

    Returns:
        Copies of the wanted tensors as they were when made, so that later in-place operations do no harm.

    Raises:
        ConvlensError: the network does something else than when it was recorded.
    """
    kept: dict[int, torch.Tensor] = {}
    observe(network, graph, x_NCHW, wanted, lambda index, tensor: kept.update({index: tensor.detach().clone()}))
    return kept


@torch.no_grad()
def observe(
    network: nn.Module,
    graph: Graph,
    x_NCHW: torch.Tensor,
    wanted: Iterable[int],
    see: Callable[[int, torch.Tensor], None],
) -> None:
    """Run a network and show tensors of its forward pass as they come, so that not all are in memory at once.

    Args:
        network: in evaluation mode.
        graph: recorded from it; the batch may have been another.
        x_NCHW: the input.
        wanted: indices of the graph's tensors.
        see: called with each index and tensor; a later operation may overwrite the tensor, so copy what is to stay.

    Raises:
        ConvlensError: the network does something else than when it was recorded.
    """
    given = {each.index: each.value for each in graph.tensors if each.value is not None}
    given[graph.inputs[0]] = x_NCHW
    asked = set(wanted)
    for index in asked & given.keys():
        see(index, given[index])
    missing = asked - given.keys()
    if missing:
        x = x_NCHW.clone()  # a network may overwrite what it is given
        try:
            with _Watcher(graph, missing, see):
                network(x)
        except _Enough:
            pass


def operations_between(graph: Graph, given: Iterable[int], wanted: int) -> tuple[list[int], set[int]]:
    """What has to be computed to get from some tensors to a later one.

    Returns:
        The operations that lie between, in order; and the computed tensors that they read from elsewhere, which a
        caller of `resume` has to give too.
    """
    reached = set(given)
    for operation in graph.operations:
        if reached.intersection(operation.inputs):
            reached.update(set(operation.outputs) - set(given))
    needed, between = {wanted}, []
    for operation in reversed(graph.operations):
        if needed.intersection(operation.outputs) and reached.intersection(operation.inputs):
            between.append(operation.index)
            needed.difference_update(operation.outputs)
            needed.update(set(operation.inputs) - set(given))
    elsewhere = {index for index in needed if graph.tensors[index].value is None}
    return between[::-1], elsewhere


def resume(graph: Graph, values: Mapping[int, torch.Tensor], wanted: int) -> torch.Tensor:
    """Compute a tensor of the graph from earlier ones, with gradients where PyTorch records them.

    Args:
        graph: recorded from a network; for the same batch, since shapes are written into its operations.
        values: tensors to go on from, and those that the operations read from elsewhere; see `operations_between`.
            An operation may write into them.
        wanted: index of the tensor to compute.
    """
    between, _ = operations_between(graph, values, wanted)
    known = {each.index: each.value for each in graph.tensors if each.value is not None} | dict(values)

    def real(nest: Any) -> Any:
        return changed(nest, Ref, lambda ref: known[ref.tensor])

    for index in between:
        operation = graph.operations[index]
        result = operation.operator(*real(operation.arguments), **real(operation.keywords))
        known.update(zip(operation.outputs, leaves(result, torch.Tensor), strict=False))
    return known[wanted]
