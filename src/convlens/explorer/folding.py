"""A graph as one wants to see it: modules that are open show what is inside them, the others are one node each.

What only follows (normalisation, activation, dropout) joins the node before it, as the papers' figures have it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from convlens.anatomy import Anatomy
from convlens.explorer.node_names import Part, part_of
from convlens.graph import Operation

INPUT = "input"


class Cost(Protocol):
    """What an operation costs; None where there is no formula."""

    @property
    def parameters(self) -> int: ...  # noqa: D102
    @property
    def macs(self) -> int | None: ...  # noqa: D102
    @property
    def flops(self) -> int | None: ...  # noqa: D102


@dataclass(kw_only=True)
class Node:
    """One box of the drawing.

    Attributes:
        id: the module's path, or the operation's name; `#2` for the second call of a shared module.
        part: what it is, in words and in numbers.
        follows: short names of what joined it, such as BN and ReLU.
        module: the path to open it by, None where there is nothing to open.
        group: paths of the open modules around it, outermost first.
        shape: of its output, without the batch.
        rows: what each of its operations costs.
        operations: indices of those between the input and the output, in order.
        output: index of the tensor that it gives.
    """

    id: str
    part: Part
    module: str | None
    group: tuple[str, ...]
    shape: tuple[int, ...]
    rows: list[Cost] = field(default_factory=list)
    follows: list[str] = field(default_factory=list)
    output_bytes: int = 0
    operations: list[int] = field(default_factory=list)
    output: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "id": self.id,
            "type": self.part.type,
            "label": self.part.label,
            "details": self.part.details,
            "follows": self.follows,
            "module": self.module,
            "group": list(self.group),
            "shape": list(self.shape),
            "output_bytes": self.output_bytes,
            **costs(self.rows),
        }


def costs(rows: Iterable[Cost]) -> dict[str, int | None]:
    """Parameters, MACs and FLOPs of some rows; None where none of them has a formula."""
    rows = list(rows)
    macs = [row.macs for row in rows if row.macs is not None]
    flops = [row.flops for row in rows if row.flops is not None]
    return {
        "parameters": sum(row.parameters for row in rows),
        "macs": sum(macs) if macs or not rows else None,
        "flops": sum(flops) if flops or not rows else None,
    }


def fold(sheet: Anatomy, opened: Iterable[str]) -> tuple[list[Node], list[tuple[str, str]]]:
    """Fold an anatomy's graph.

    Args:
        sheet: the anatomy.
        opened: paths of modules whose inside is shown; the outermost always is.

    Returns:
        Nodes in order of execution, the input first, and edges (from, to) between their names.
    """
    graph = sheet.graph
    wanted = _useful(sheet)
    owner = _owners(sheet, frozenset(opened))
    nodes: dict[str, Node] = {INPUT: _input(sheet)}
    members: dict[str, list[Operation]] = {}
    for operation in graph.operations:
        members.setdefault(owner[operation.index], []).append(operation)
    for name, operations in members.items():
        if any(operation.index in wanted for operation in operations):
            nodes[name] = _node(sheet, name, operations, wanted)
    edges = _edges(sheet, owner, nodes)
    return join_followers(nodes, edges)


def unfolded(sheet: Anatomy) -> list[Node]:
    """Everything open that can be opened: each node is one operation and what only follows it."""
    return unfolded_graph(sheet)[0]


def unfolded_graph(sheet: Anatomy) -> tuple[list[Node], list[tuple[str, str]]]:
    """The same with its edges, as from `fold`."""
    opened: set[str] = set()
    while True:
        nodes, edges = fold(sheet, opened)
        more = {node.module for node in nodes if node.module is not None}
        if not more:
            return nodes, edges
        opened |= more


def _useful(sheet: Anatomy) -> set[int]:
    """Operations that lie between the input and the output; what only prepares weights or counts batches does not."""
    graph = sheet.graph
    fed, reached = set(graph.inputs), set()
    for operation in graph.operations:
        if fed.intersection(operation.inputs):
            reached.add(operation.index)
            fed.update(operation.outputs)
    needed, useful = set(graph.outputs), set()
    for operation in reversed(graph.operations):
        if operation.index in reached and needed.intersection(operation.outputs):
            useful.add(operation.index)
            needed.update(operation.inputs)
    return useful


def _owners(sheet: Anatomy, opened: frozenset[str]) -> dict[int, str]:
    """For each operation, the outermost module around it that is not open, or itself."""
    graph = sheet.graph
    owner = {}
    for operation in graph.operations:
        around = []
        call = graph.calls[operation.call]
        while call.path:
            around.append(call)
            if call.parent is None:
                break
            call = graph.calls[call.parent]
        closed = next((call for call in reversed(around) if call.path not in opened), None)
        again = f"#{closed.occurrence + 1}" if closed and closed.occurrence else ""
        owner[operation.index] = f"{closed.path}{again}" if closed else operation.name
    return owner


def _input(sheet: Anatomy) -> Node:
    tensor = sheet.graph.tensors[sheet.graph.inputs[0]]
    part = Part(type="input", label="", details={})
    return Node(
        id=INPUT,
        part=part,
        module=None,
        group=(),
        shape=tensor.shape[1:],
        output_bytes=tensor.nbytes,
        output=tensor.index,
    )


def _node(sheet: Anatomy, name: str, operations: list[Operation], wanted: set[int]) -> Node:
    graph = sheet.graph
    path = name.partition("#")[0]
    is_module = path in graph.modules
    inner = path if is_module else operations[0].module
    part = part_of(graph, [each for each in operations if each.index in wanted], inner if is_module else None)
    last = [each for each in operations if each.index in wanted][-1]
    output = graph.tensors[last.outputs[0]]
    above = inner.split(".")[:-1] if is_module else inner.split(".")
    group = tuple(
        outer for depth in range(len(above)) if (outer := ".".join(above[: depth + 1])) and outer in graph.modules
    )
    return Node(
        id=name,
        part=part,
        module=inner if is_module and part.type == "module" else None,
        group=group,
        shape=output.shape[1:],
        rows=[sheet.rows[each.index] for each in operations],
        follows=list(part.follows),
        output_bytes=output.nbytes,
        operations=[each.index for each in operations if each.index in wanted],
        output=output.index,
    )


def _edges(sheet: Anatomy, owner: dict[int, str], nodes: dict[str, Node]) -> list[tuple[str, str]]:
    graph = sheet.graph
    edges: dict[tuple[str, str], None] = {}
    for operation in graph.operations:
        here = owner[operation.index]
        for index in operation.inputs:
            tensor = graph.tensors[index]
            there = INPUT if index in graph.inputs else None if tensor.producer is None else owner[tensor.producer]
            if there is not None and there != here and here in nodes and there in nodes:
                edges[there, here] = None
    return list(edges)


def join_followers(nodes: dict[str, Node], edges: list[tuple[str, str]]) -> tuple[list[Node], list[tuple[str, str]]]:
    """Let what only follows join the node before it, if nothing else reads that node.

    Args:
        nodes: by name, in order of execution.
        edges: (from, to), by name.
    """
    stands_for: dict[str, str] = {}

    def now(name: str) -> str:
        while name in stands_for:
            name = stands_for[name]
        return name

    for name, node in nodes.items():
        if node.part.type != "follower":
            continue
        before = {now(a) for a, b in edges if b == name}
        if len(before) != 1:
            continue
        first = before.pop()
        readers = {b for a, b in edges if now(a) == first and now(b) != first}
        if readers != {name} or nodes[first].part.type in ("module", "input"):
            continue
        stands_for[name] = first
        nodes[first].follows += [node.part.label] if node.part.label else []
        nodes[first].rows.extend(node.rows)
        if len(node.shape) < len(nodes[first].shape):
            continue  # flattening: the maps before it are what there is to see
        nodes[first].shape = node.shape
        nodes[first].output_bytes = node.output_bytes
        nodes[first].operations += node.operations
        nodes[first].output = node.output
    kept = [node for name, node in nodes.items() if name not in stands_for]
    for node in kept:
        if node.part.type == "follower":  # it follows a branching, so it stands alone
            node.part = replace(node.part, type="other", label=node.part.label or node.id.rpartition(".")[2])
    joined = dict.fromkeys((now(a), now(b)) for a, b in edges if now(a) != now(b))
    return kept, list(joined)
