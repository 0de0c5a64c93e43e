"""The tree of modules with the numbers of everything inside each."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from convlens.anatomy.rows import Row, window_of
from convlens.graph import Graph
from convlens.graph.structure import refs


@dataclass(frozen=True)
class ModuleNode:
    """One module with everything inside it.

    Attributes:
        path: its path in the tree, "" for the outermost module. A module that is called under several of its paths,
            from modules of their own, is a node under each.
        kind: its class.
        calls: how often it ran; 0 for a module that the forward pass never reached.
        shapes: shapes of the tensors that its first call returned.
        outputs: shapes of the first tensor that each call returned, each shape once.
        inputs: shapes of the tensors that its first call was given.
        kernel, stride: of the convolutions and poolings inside, where all are alike; else ().
        dtype: of the first tensor that its first call returned.
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
    outputs: tuple[tuple[int, ...], ...]
    inputs: tuple[tuple[int, ...], ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
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
    paths = [*graph.modules, *dict.fromkeys(call.path for call in graph.calls if call.path not in graph.modules)]
    children: dict[str, list[str]] = {path: [] for path in paths}
    for path in paths:
        if path:
            children[_parent(path, children)].append(path)
    inside: dict[str, list[Row]] = {path: [] for path in paths}
    for row in rows:
        for path in _ancestors(row.module):
            if path in inside:
                inside[path].append(row)
    return _node("", graph, children, inside)


def _parent(path: str, known: Container[str]) -> str:
    outer = path.rpartition(".")[0]
    while outer not in known:  # a shared module inside one that is itself shared, and was not called as such
        outer = outer.rpartition(".")[0]
    return outer


def _ancestors(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


def _node(path: str, graph: Graph, children: dict[str, list[str]], inside: dict[str, list[Row]]) -> ModuleNode:
    rows = inside[path]
    counted = [row for row in rows if row.macs is not None and row.flops is not None]
    calls = [call for call in graph.calls if call.path == path]
    made = [tuple(graph.tensors[index].shape for index in refs(call.results)) for call in calls]
    first = refs(calls[0].results) if calls else []
    kernel, stride = window_of(rows)
    return ModuleNode(
        path=path,
        kind=graph.modules[graph.aliases.get(path, path)],
        calls=len(calls),
        shapes=made[0] if made else (),
        outputs=tuple(dict.fromkeys(shapes[0] for shapes in made if shapes)),
        inputs=tuple(graph.tensors[index].shape for index in refs(calls[0].arguments)) if calls else (),
        kernel=kernel,
        stride=stride,
        dtype=str(graph.tensors[first[0]].dtype).removeprefix("torch.") if first else "",
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
