"""Several operations that are one layer: local response normalisation, squared distances to known points."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convlens.graph import Graph, Operation, Ref
from convlens.graph.operators import arguments_of, plain

_RESHAPES = ("unsqueeze", "squeeze", "view", "_unsafe_view", "reshape")


@dataclass(frozen=True, kw_only=True)
class LocalResponse:
    """x / (k + alpha · mean of the squares of `size` neighbouring channels) ^ beta (Krizhevsky 2012, section 3.3).

    Attributes:
        input: index of a tensor.
        operations: indices of all that it does; the last makes the result.
    """

    input: int
    size: int
    alpha: float
    beta: float
    k: float
    operations: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SquaredDistance:
    """Σ_i (x_i − c_ji)² for each row c_j of a known tensor (LeCun 1998, section II-B, equation 7).

    Attributes:
        input, points: indices of tensors, (N, I) and (J, I).
        operations: indices of all that it does; the last makes the result.
    """

    input: int
    points: int
    operations: tuple[int, ...]


Pattern = LocalResponse | SquaredDistance


def find_patterns(graph: Graph) -> list[Pattern]:
    """Every place where operations are one of these layers."""
    made_by = {index: operation for operation in graph.operations for index in operation.outputs}
    readers = graph.readers()
    found: list[Pattern] = []
    for operation in graph.operations:
        if operation.kind == "avg_pool3d":
            found += _local_response(graph, operation, made_by, readers)
        elif plain(operation.kind) == "pow":
            found += _squared_distance(graph, operation, made_by, readers)
    return found


def _local_response(
    graph: Graph, pool: Operation, made_by: dict[int, Operation], readers: dict[int, list[int]]
) -> Iterator[LocalResponse]:
    given = arguments_of(pool)
    before = _back(pool, made_by, ("constant_pad_nd", *_RESHAPES))
    square = made_by.get(before[-1].inputs[0]) if before else None
    if square is None or plain(square.kind) not in ("mul", "pow") or len(set(square.inputs)) != 1:
        return
    after = _forward(graph, pool, readers)
    kinds = [plain(each.kind) for each in after if plain(each.kind) not in _RESHAPES]
    if kinds != ["mul", "add", "pow", "div"]:
        return
    alpha, k, beta = (_number(each) for each in after if plain(each.kind) in ("mul", "add", "pow"))
    last, (source,) = after[-1], set(square.inputs)
    if None in (alpha, k, beta) or last.inputs[0] != source or given["kernel_size"][1:] != [1, 1]:
        return
    done = sorted(each.index for each in (*before, square, pool, *after))
    yield LocalResponse(
        input=source,
        size=int(given["kernel_size"][0]),
        alpha=float(alpha),
        beta=float(beta),
        k=float(k),
        operations=tuple(done),
    )


def _squared_distance(
    graph: Graph, power: Operation, made_by: dict[int, Operation], readers: dict[int, list[int]]
) -> Iterator[SquaredDistance]:
    difference = made_by.get(power.inputs[0])
    followers = readers[power.outputs[0]]
    if _number(power) != 2 or difference is None or plain(difference.kind) != "sub" or len(followers) != 1:
        return
    total = graph.operations[followers[0]]
    if total.kind != "sum" or len(difference.inputs) != 2:
        return
    shapes = [graph.tensors[index].shape for index in difference.inputs]
    x, points = difference.inputs
    widened = made_by.get(x)
    if len(shapes[0]) != 3 or len(shapes[1]) != 2 or shapes[0][1] != 1 or widened is None:
        return
    if plain(widened.kind) not in _RESHAPES or list(arguments_of(total)["dim"]) not in ([-1], [2]):
        return
    done = (widened.index, difference.index, power.index, total.index)
    yield SquaredDistance(input=widened.inputs[0], points=points, operations=done)


def _back(operation: Operation, made_by: dict[int, Operation], kinds: tuple[str, ...]) -> list[Operation]:
    """The operations before, as long as they are of some kinds, nearest first."""
    found: list[Operation] = []
    before = made_by.get(operation.inputs[0])
    while before is not None and plain(before.kind) in kinds:
        found.append(before)
        before = made_by.get(before.inputs[0])
    return found


def _forward(graph: Graph, operation: Operation, readers: dict[int, list[int]]) -> list[Operation]:
    """The operations behind, as long as each result is read once, up to a division."""
    found: list[Operation] = []
    while len(readers[operation.outputs[0]]) == 1 and plain(operation.kind) != "div":
        operation = graph.operations[readers[operation.outputs[0]][0]]
        found.append(operation)
    return found


def _number(operation: Operation) -> Any:
    """The one operand that is a plain number."""
    given = arguments_of(operation)
    value = given.get("exponent", given.get("other"))
    return None if isinstance(value, Ref) else value
