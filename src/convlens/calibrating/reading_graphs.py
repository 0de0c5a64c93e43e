"""From the anatomy of any module to the work that it is for PyTorch."""

from math import prod
from typing import Any

from convlens.anatomy import Anatomy
from convlens.calibrating.workload import Step, Work, convolution_family
from convlens.graph import Graph, Operation, Ref
from convlens.graph.operators import AdaptivePool, Convolution, Norm, Pool, arguments_of, family, plain

_NOTHING = frozenset(["dropout", "lift_fresh"])  # in evaluation mode
_BINARY = frozenset(["add", "sub", "mul", "div", "maximum", "minimum"])
ACTIVATIONS = ("relu", "hardtanh", "leaky_relu", "hardswish", "hardsigmoid", "silu", "sigmoid", "gelu", "tanh")


def steps_of(anatomy: Anatomy) -> list[Step]:
    """The operations of a forward pass in order, without those that compute and move nothing.

    Args:
        anatomy: of any module, in evaluation mode.
    """
    graph, steps = anatomy.graph, []
    for row in anatomy.rows:
        if row.operation is None or row.is_room or row.is_view or plain(row.kind) in _NOTHING:
            continue
        operation = graph.operations[row.operation]
        if not operation.inputs:  # numbers that depend on no image
            continue
        steps.append(
            Step(target=operation.target.removesuffix(".default"), work=_work(graph, operation), macs=row.macs)
        )
    return steps


def _made(operation: Operation) -> tuple[int, ...]:
    return (*operation.outputs, *(after for _, after in operation.writes))


def _work(graph: Graph, operation: Operation) -> Work | None:
    kind = plain(operation.kind)
    made = _made(operation)
    if not operation.target.startswith("aten.") or not made:
        return None
    after = graph.tensors[made[0]]
    if str(after.dtype) != "torch.float32":
        return None
    maker = _MAKERS.get(family(operation) or "")
    if kind in _BINARY:
        return _binary(graph, operation, made[0])
    if kind == "mean":
        return _mean(graph, operation, made[0])
    if kind == "constant_pad_nd":
        return _moved("pad", graph, made[0])
    return maker(graph, operation, made[0]) if maker else None


def _shape(graph: Graph, index: int) -> tuple[int, int, int, int]:
    """A shape as batch, channels, height, width: of a vector for each image both are 1; of tokens the height."""
    shape = graph.tensors[index].shape
    if len(shape) > 4 or not shape:
        return (1, prod(shape), 1, 1)
    if len(shape) == 3:
        return (shape[0], shape[2], shape[1], 1)
    batch, channels, height, width = (*shape, 1, 1, 1)[:4]
    return (batch, channels, height, width)


def _simple(family_: str, kind: str, graph: Graph, given: int, made: int, **more: Any) -> Work:
    """Work that takes one map to another."""
    batch, channels, *before = _shape(graph, given)
    _, out, *after = _shape(graph, made)
    both: dict[str, Any] = {"before": tuple(before), "after": tuple(after)}
    return Work(family=family_, kind=kind, batch=batch, channels=(channels, out), **both, **more)


def _convolution(graph: Graph, operation: Operation, made: int) -> Work | None:
    found = Convolution.of(operation)
    if found is None or found.transposed or len(found.stride) != 2 or len(graph.tensors[made].shape) != 4:
        return None
    channels = graph.tensors[found.input].shape[1]
    kernel = graph.tensors[found.weight].shape[2:]
    return _simple(
        convolution_family(channels, graph.tensors[made].shape[1], kernel, found.groups),
        "",
        graph,
        found.input,
        made,
        kernel=tuple(kernel),
        stride=tuple(found.stride),
        groups=found.groups,
    )


def _linear(graph: Graph, operation: Operation, made: int) -> Work | None:
    given = arguments_of(operation)
    name = next((each for each in ("input", "mat1", "self") if isinstance(given.get(each), Ref)), None)
    if plain(operation.kind) not in ("addmm", "mm", "linear") or name is None:
        return None
    shape, out = graph.tensors[given[name].tensor].shape, graph.tensors[made].shape
    rows = prod(shape[:-1])
    return Work(family="linear", batch=rows, channels=(shape[-1], out[-1]))


def _norm(graph: Graph, operation: Operation, made: int) -> Work | None:
    found = Norm.of(operation)
    if found is None or found.how not in ("batch", "layer") or (found.how == "batch" and found.computes):
        return None
    return _simple("norm", found.how, graph, found.input, made)


def _activation(graph: Graph, operation: Operation, made: int) -> Work | None:
    kind = plain(operation.kind)
    kind = {"relu6": "hardtanh"}.get(kind, kind)
    if kind not in ACTIVATIONS:
        return None
    return _simple("activation", kind, graph, operation.inputs[0], made, in_place=operation.kind.endswith("_"))


def _binary(graph: Graph, operation: Operation, made: int) -> Work:
    maps = [index for index in operation.inputs if len(graph.tensors[index].shape) > 0]
    largest = max(maps, key=lambda index: graph.tensors[index].numel)
    others = [index for index in maps if index != largest]
    same = bool(others) and graph.tensors[others[0]].numel == graph.tensors[largest].numel
    return _simple("binary", "same" if same else "channel" if others else "number", graph, largest, made)


def _mean(graph: Graph, operation: Operation, made: int) -> Work | None:
    return _simple("global", "mean", graph, operation.inputs[0], made)


def _pool(graph: Graph, operation: Operation, made: int) -> Work | None:
    found = Pool.of(operation)
    if found is None or len(found.stride) != 2:
        return None
    window = {"kernel": found.kernel_size, "stride": found.stride}
    return _simple("pool", found.how, graph, found.input, made, **window)


def _adaptive(graph: Graph, operation: Operation, made: int) -> Work | None:
    found = AdaptivePool.of(operation)
    if found is None or len(found.output_size) != 2 or found.how != "average":
        return None
    return _simple("global", "mean", graph, found.input, made)


def _join(graph: Graph, _: Operation, made: int) -> Work:
    return _moved("join", graph, made)


def _moved(kind: str, graph: Graph, made: int) -> Work:
    _, out, *after = _shape(graph, made)
    batch = _shape(graph, made)[0]
    place = (after[0], after[1])
    return Work(family="moved", kind=kind, batch=batch, channels=(out, out), before=place, after=place)


def _copy(graph: Graph, _: Operation, made: int) -> Work:
    return _moved("copy", graph, made)


def _resize(graph: Graph, operation: Operation, made: int) -> Work | None:
    kind = plain(operation.kind)
    how = "nearest" if kind == "upsample_nearest2d" else "bilinear" if kind == "upsample_bilinear2d" else None
    return None if how is None else _simple("moved", how, graph, operation.inputs[0], made)


_MAKERS: dict[str, Any] = {
    "convolution": _convolution,
    "product": _linear,
    "norm": _norm,
    "activation": _activation,
    "pool": _pool,
    "adaptive pool": _adaptive,
    "join": _join,
    "copy": _copy,
    "resize": _resize,
}
