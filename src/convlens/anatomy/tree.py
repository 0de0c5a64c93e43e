"""The tree of modules with the numbers of everything inside each."""

from collections.abc import Iterator
from dataclasses import dataclass

from convlens.anatomy.rows import Row
from convlens.graph import Graph
from convlens.graph.structure import refs


@dataclass(frozen=True)
class ModuleNode:
    """One module with everything inside it.

    Attributes:
        path: its first path in the tree, "" for the outermost module.
        kind: its class.
        calls: how often it ran; 0 for a module that the forward pass never reached.
        shapes: shapes of the tensors that its first call returned.
        trainable, frozen: elements of parameters inside, each counted under its first name only.
        shared: elements of parameters inside that were counted elsewhere.
        buffers: elements of buffers inside.
        macs, flops: sums over the operations inside; None if none of them has a formula.
        not_counted: how many operations inside have no formula.
        bytes_read, bytes_written: sums over the operations inside.
    """

    path: str
    kind: str
    calls: int
    shapes: tuple[tuple[int, ...], ...]
    trainable: int
    frozen: int
    shared: int
    buffers: int
    macs: int | None
    flops: int | None
    not_counted: int
    bytes_read: int
    bytes_written: int
    children: tuple["ModuleNode", ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def depth(self) -> int:
        """0 for the outermost module."""
        return self.path.count(".") + 1 if self.path else 0

    @property
    def parameters(self) -> int:
        """Trainable and frozen elements."""
        return self.trainable + self.frozen

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first tensor it returns."""
        return self.shapes[0] if self.shapes else ()

    def __iter__(self) -> Iterator["ModuleNode"]:
        return self.walk()

    def walk(self, depth: int | None = None) -> Iterator["ModuleNode"]:
        """Yield this module and those inside it, outer before inner, down to `depth`."""
        yield self
        for child in self.children:
            if depth is None or child.depth <= depth:
                yield from child.walk(depth)

    def find(self, path: str) -> "ModuleNode | None":
        """The module at `path`, or None."""
        return next((node for node in self.walk() if node.path == path), None)


def tree_of(graph: Graph, rows: tuple[Row, ...]) -> ModuleNode:
    """The modules of the graph as a tree."""
    children: dict[str, list[str]] = {path: [] for path in graph.modules}
    for path in graph.modules:
        if path:
            children[_parent(path, graph)].append(path)
    inside: dict[str, list[Row]] = {path: [] for path in graph.modules}
    for row in rows:
        for path in _ancestors(row.module):
            if path in inside:
                inside[path].append(row)
    return _node("", graph, children, inside)


def _parent(path: str, graph: Graph) -> str:
    outer = path.rpartition(".")[0]
    return outer if outer in graph.modules else graph.aliases.get(outer, "")


def _ancestors(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


def _node(path: str, graph: Graph, children: dict[str, list[str]], inside: dict[str, list[Row]]) -> ModuleNode:
    rows = inside[path]
    counted = [row for row in rows if row.macs is not None and row.flops is not None]
    calls = graph.calls_of(path)
    shown = [graph.tensors[index].shape for index in refs(calls[0].results)] if calls else []
    return ModuleNode(
        path=path,
        kind=graph.modules[path],
        calls=len(calls),
        shapes=tuple(shown),
        macs=sum(row.macs or 0 for row in counted) if counted or not rows else None,
        flops=sum(row.flops or 0 for row in counted) if counted or not rows else None,
        not_counted=len(rows) - len(counted),
        bytes_read=sum(row.bytes_read for row in rows),
        bytes_written=sum(row.bytes_written for row in rows),
        children=tuple(_node(child, graph, children, inside) for child in children[path]),
        **_state(path, graph),
    )


def _state(path: str, graph: Graph) -> dict[str, int]:
    """Count the parameters and buffers under `path`; a shared one counts where its first name is."""
    numbers = {"trainable": 0, "frozen": 0, "shared": 0, "buffers": 0}
    prefix = f"{path}." if path else ""
    seen: set[int] = set()
    for table in (graph.parameters, graph.buffers):
        for name, index in table.items():
            if not name.startswith(prefix) or index in seen:
                continue
            seen.add(index)
            tensor = graph.tensors[index]
            if not tensor.name.startswith(prefix):
                numbers["shared"] += tensor.numel if tensor.role == "parameter" else 0
            elif tensor.role == "buffer":
                numbers["buffers"] += tensor.numel
            else:
                numbers["trainable" if tensor.requires_grad else "frozen"] += tensor.numel
    return numbers
