"""Which axes of an input are the image's: rows and columns, wherever the channels stand."""

from collections.abc import Sequence

from convlens.graph import Graph, Operation
from convlens.graph.operators import AdaptivePool, Convolution, Pool, arguments_of, family, is_pointwise, plain

Axes = tuple[int | None, ...]  # for each axis of a tensor the axis of the input that it is


def image_axes(graph: Graph, number: int) -> tuple[int, ...]:
    """The axes of input `number` along which places lie; none if it has no more than a batch and features.

    They are what the first layer that slides over the input slides over: (2, 3) of (N, C, H, W), (1, 2) of an image
    with its channels last, (N, H, W, C), and of a single one without a batch, (C, H, W). Where no such layer is met,
    the channels are the second axis, or the last if that is the one with at most four elements.
    """
    shape = graph.tensors[graph.inputs[number]].shape
    rank = len(shape)
    if rank < 3:
        return ()
    if rank == 4 and shape[1] <= 4 < shape[3]:
        return (2, 3)  # the channels stand second, whatever becomes of them
    slid = _slid_over(graph, graph.inputs[number], rank)
    if slid is not None:
        return slid
    last = rank == 4 and shape[-1] <= 4 < min(shape[1:-1])
    return tuple(range(1, rank - 1) if last else range(2, rank))


def _slid_over(graph: Graph, index: int, rank: int) -> tuple[int, ...] | None:
    known: dict[int, Axes] = {index: tuple(range(rank))}
    for operation in graph.operations:
        read = [known[each] for each in operation.inputs if each in known]
        if not read:
            continue
        axes = read[0]
        layer = Pool.of(operation) or AdaptivePool.of(operation)
        if Convolution.of(operation) is not None or layer is not None or family(operation) == "resize":
            count = len(layer.output_size if isinstance(layer, AdaptivePool) else layer.kernel_size) if layer else 0
            found = axes[len(axes) - count if layer else 2 :]
            places = tuple(each for each in found if each is not None)
            return places if places and len(places) == len(found) and 0 not in places else None
        moved = _moved(operation, axes)
        if moved is not None:
            known.update(dict.fromkeys((each for each in operation.outputs if each not in known), moved))
    return None


def _moved(operation: Operation, axes: Axes) -> Axes | None:
    """Where the axes stand in an operation's output; None if that cannot be told."""
    kind, given, rank = plain(operation.kind), arguments_of(operation), len(axes)
    if kind == "permute":
        return tuple(axes[each] for each in given["dims"])
    if kind == "transpose":
        return _exchanged(axes, given["dim0"] % rank, given["dim1"] % rank)
    if kind == "unsqueeze":
        place = given["dim"] % (rank + 1)
        return (*axes[:place], None, *axes[place:])
    kept = kind in ("clone", "_to_copy", "contiguous", "slice", "detach", "alias", "constant_pad_nd", "copy")
    return axes if kept or is_pointwise(operation) else None


def _exchanged(axes: Sequence[int | None], one: int, other: int) -> Axes:
    moved = list(axes)
    moved[one], moved[other] = moved[other], moved[one]
    return tuple(moved)
