"""Which tensor a class activation map is read from: the last one that still has a height and a width."""

from torch import nn

from convlens.errors import ConvlensError, unknown_name
from convlens.graph import Graph, operations_between, record
from convlens.graph.structure import refs

# These only look at a tensor in another way, or compare places with places: their result is no map of features.
_NO_MAPS = frozenset(
    {
        "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "slice", "select", "unsqueeze",
        "squeeze", "clone", "detach", "alias", "_to_copy", "_softmax", "bmm", "matmul", "split", "chunk",
    }
)  # fmt: skip


class ExplainingError(ConvlensError):
    """A network or a layer that a method cannot explain; the message says which method can."""


def recorded(network: nn.Module, size: tuple[int, int, int]) -> Graph:
    """Record a classifier.

    Args:
        network: any module from (1, C, H, W) to scores (1, K).
        size: (C, H, W).

    Raises:
        ExplainingError: the network fails at this size, or does not give one row of scores.
    """
    graph = record(network, size)
    if graph.failure is not None:
        raise ExplainingError(f"the network fails on an input of size {size}: {graph.failure.error}")
    if not graph.outputs or len(graph.tensors[graph.outputs[0]].shape) != 2:
        shapes = [graph.tensors[index].shape for index in graph.outputs]
        raise ExplainingError(
            f"the network gives {shapes or 'no tensor'}, not scores (1, classes); wrap it so that it does"
        )
    return graph


def target_tensor(graph: Graph, layer: str | None = None) -> int:
    """Find the tensor whose channels are weighed.

    Args:
        graph: of the classifier.
        layer: path of a module, whose (last) result is taken; None takes the last tensor of the forward pass that has
            a height and a width and that the scores depend on: what global pooling or the first fully connected layer
            reads.

    Raises:
        ExplainingError: there is none, or the layer's result is none.
    """
    if layer is not None:
        return _result_of(graph, layer)
    for operation in reversed(graph.operations):
        index = operation.outputs[0] if operation.outputs else None
        if index is None or operation.kind in _NO_MAPS or not _is_map(graph, index):
            continue
        if operations_between(graph, [index], graph.outputs[0])[0]:
            return index
    raise ExplainingError(
        "the network has no tensor with a height and a width that its scores depend on, so no class activation; "
        "use the method occlusion or integrated-gradients"
    )


def layer_name(graph: Graph, index: int) -> str:
    """The module that makes a tensor; the operation where that is the outermost module."""
    producer = graph.tensors[index].producer
    if producer is None:
        return graph.tensors[index].name
    operation = graph.operations[producer]
    return operation.module or operation.name


def _is_map(graph: Graph, index: int) -> bool:
    tensor = graph.tensors[index]
    return len(tensor.shape) == 4 and tensor.shape[2] * tensor.shape[3] > 1 and tensor.dtype.is_floating_point


def _result_of(graph: Graph, layer: str) -> int:
    calls = graph.calls_of(layer)
    if layer not in graph.modules and layer not in graph.aliases:
        raise unknown_name("layer", layer, [path for path in graph.modules if path])
    if not calls:
        raise ExplainingError(f"the layer {layer!r} is not used in evaluation; choose another")
    results = [index for index in refs(calls[-1].results) if _is_map(graph, index)]
    if not results:
        shapes = [graph.tensors[index].shape for index in refs(calls[-1].results)]
        raise ExplainingError(
            f"the layer {layer!r} gives {shapes}, nothing with a height and a width; choose an earlier one"
        )
    if not operations_between(graph, results[:1], graph.outputs[0])[0]:
        raise ExplainingError(f"the scores do not depend on the layer {layer!r}; choose another")
    return results[0]
