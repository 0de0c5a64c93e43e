"""Which axes of an input are the image's: rows and columns, wherever the channels stand."""

from dataclasses import replace

from convlens.anatomy.receptive.field import Field
from convlens.anatomy.receptive.trace import Trace
from convlens.graph import Graph, Operation
from convlens.graph.operators import AdaptivePool, Convolution, Pool, family


def image_axes(graph: Graph, number: int) -> tuple[int, ...]:
    """The axes of input `number` along which places lie; none if it has no more than a batch and features.

    They are what the first layer that slides over the input slides over, whatever has moved its axes before: (2, 3) of
    (N, C, H, W), (1, 2) of an image with its channels last, (N, H, W, C), (0, 1) of a single one, (H, W, C). Where no
    such layer is met, the channels are the second axis, or the last if that is the one with at most four elements.
    """
    shape = graph.tensors[graph.inputs[number]].shape
    rank = len(shape)
    if rank < 2:
        return ()
    if rank == 4 and shape[1] <= 4 < shape[3]:
        return (2, 3)  # the channels stand second, whatever becomes of them
    slid = _slid_over(graph, number, rank)
    if slid or rank < 3:
        return slid
    last = rank == 4 and shape[-1] <= 4 < min(shape[1:-1])
    return tuple(range(1, rank - 1) if last else range(2, rank))


def _slid_over(graph: Graph, number: int, rank: int) -> tuple[int, ...]:
    """The axes along which the places of the first layer's input lie, () if that cannot be told."""
    first = _first_that_slides(graph, graph.inputs[number])
    if first is None:
        return ()
    before = replace(graph, operations=graph.operations[: first.index], calls=())
    found = Trace(before, {number: tuple(range(rank))}).fields[first.inputs[0]]
    moving = [_moving_along(found, dimension, number) for dimension in _slid_dimensions(first, len(found.layout))]
    places = sorted(axis for axes in moving for axis in axes)
    apart = len(set(places)) == len(places) and all(moving)
    return tuple(places) if apart and (0 not in places or len(places) >= rank - 1) else ()


def _first_that_slides(graph: Graph, index: int) -> Operation | None:
    reached = {index}
    for operation in graph.operations:
        if reached.isdisjoint(operation.inputs):
            continue
        if operation.inputs[0] in reached and _slid_dimensions(operation, 3):
            return operation
        reached.update(operation.outputs, (after for _, after in operation.writes))
    return None


def _slid_dimensions(operation: Operation, rank: int) -> range:
    """Along which dimensions of its input an operation slides: the last ones; none if it does not slide."""
    layer = Pool.of(operation) or AdaptivePool.of(operation)
    if layer is not None:
        return range(rank - len(layer.output_size if isinstance(layer, AdaptivePool) else layer.kernel_size), rank)
    return range(2 if Convolution.of(operation) is not None or family(operation) == "resize" else rank, rank)


def _moving_along(found: Field, dimension: int, number: int) -> set[int]:
    """The axes of the input along which the place changes along one dimension of a tensor."""
    factors = set(found.factors(dimension))
    spans = [(axis, span) for term in found.terms if term.source == number for axis, span in term.spans.items()]
    return {axis for axis, span in spans if factors & span.along}
