"""Running a network on real numbers and keeping the tensors of its recorded graph that are asked for.

The network itself runs; its operations are watched as they come and matched, one by one, with those of the graph. So
what is shown is what the network did, and nothing is kept but what is wanted.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from convlens.errors import ConvlensError
from convlens.graph import Graph


class _Enough(Exception):  # noqa: N818
    """Everything wanted is there; the rest of the forward pass is left out."""


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator call, in the order in which the graph was recorded."""

    def __init__(self, graph: Graph, wanted: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[int, torch.Tensor] = {}
        self._graph = graph
        self._wanted = wanted
        self._next = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator and copy its results if they are wanted: a later one may overwrite them."""
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
        for index, value in zip(operation.outputs, _tensors(result), strict=False):
            if index in self._wanted:
                self.kept[index] = value.clone()
        if self.kept.keys() >= self._wanted:
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
    given = {each.index: each.value for each in graph.tensors if each.value is not None}
    given[graph.inputs[0]] = x_NCHW
    asked = set(wanted)
    kept = {index: given[index].detach().clone() for index in asked if index in given}
    watcher = _Watcher(graph, asked - set(kept))
    if asked - set(kept):
        x = x_NCHW.clone()  # a network may overwrite what it is given
        try:
            with watcher:
                network(x)
        except _Enough:
            pass
    return kept | watcher.kept


def _tensors(nest: Any) -> list[torch.Tensor]:
    """The tensors in an operator's result, in order."""
    if isinstance(nest, torch.Tensor):
        return [nest]
    if isinstance(nest, list | tuple):
        return [tensor for each in nest for tensor in _tensors(each)]
    return []
