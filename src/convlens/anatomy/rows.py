"""The rows of an anatomy: one for each operation, and one for each module whose parameters no operation used."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from convlens.anatomy.costs import cost
from convlens.graph import Graph, Operation, Tensor
from convlens.graph.operators import FAMILIES, Convolution, Pool, family, plain


@dataclass(frozen=True)
class Row:
    """One operation: what it makes, what it owns and what it costs.

    Attributes:
        name: the operation's unique name, such as `layer1.0.conv1.convolution`.
        kind: its operator, or "unused" for parameters that no operation read.
        module: path of the module it belongs to.
        operation: its index in the graph, None for unused parameters.
        shapes: shapes of the tensors it makes.
        inputs: shapes of the tensors it is given, without parameters and buffers.
        dtype: of the first tensor it makes, such as "float32".
        kernel, stride: of a convolution or a pooling, one number for each axis; () of anything else.
        parameters: elements of the parameters it is the first to use, so that rows add up; trainable + frozen.
        buffers: elements of the buffers it is the first to use.
        macs, flops: None where there is no formula.
        bytes_read, bytes_written: bytes of its inputs and outputs; 0 for a view.
    """

    name: str
    kind: str
    module: str
    operation: int | None
    shapes: tuple[tuple[int, ...], ...]
    trainable: int
    frozen: int
    buffers: int
    macs: int | None
    flops: int | None
    bytes_read: int
    bytes_written: int
    parameter_names: tuple[str, ...] = field(default=())
    inputs: tuple[tuple[int, ...], ...] = ()
    dtype: str = ""
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()

    @property
    def parameters(self) -> int:
        """Trainable and frozen elements."""
        return self.trainable + self.frozen

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first tensor it makes."""
        return self.shapes[0] if self.shapes else ()

    @property
    def is_view(self) -> bool:
        """Whether it only looks at the same bytes in another way."""
        return FAMILIES.get(plain(self.kind)) == "view"

    @property
    def is_room(self) -> bool:
        """Whether it only makes room in memory, as batch normalisation does: nothing is written or read."""
        return plain(self.kind) in ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")

    @property
    def intensity(self) -> float | None:
        """FLOPs for each byte moved; None where either is unknown or nothing is moved."""
        moved = self.bytes_read + self.bytes_written
        return self.flops / moved if moved and self.flops is not None else None


def rows_of(graph: Graph) -> tuple[Row, ...]:
    """One row for each operation in order, then one for each module with parameters or buffers that nothing used."""
    owners = _first_users(graph)
    rows = [_row(graph, operation, owners.get(operation.index, [])) for operation in graph.operations]
    return (*rows, *_unused(owners.get(None, [])))


def window_of(rows: Iterable[Row]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kernel size and stride of the convolutions and poolings among the rows, if they are all alike; else (), ()."""
    windows = {(row.kernel, row.stride) for row in rows if row.kernel}
    return windows.pop() if len(windows) == 1 else ((), ())


def _row(graph: Graph, operation: Operation, owned: list[Tensor]) -> Row:
    view = family(operation) == "view"
    price = cost(graph, operation)
    kernel, stride = _window(graph, operation)
    trainable, frozen, buffers = _owned(owned)
    return Row(
        name=operation.name,
        kind=operation.kind,
        module=operation.module,
        operation=operation.index,
        shapes=tuple(graph.tensors[index].shape for index in operation.outputs),
        macs=price.macs,
        flops=price.flops,
        bytes_read=0 if view else sum(graph.tensors[index].nbytes for index in set(operation.inputs)),
        bytes_written=0 if view else sum(graph.tensors[index].nbytes for index in set(operation.outputs)),
        parameter_names=tuple(tensor.name for tensor in owned),
        inputs=tuple(graph.tensors[index].shape for index in operation.inputs if _flows(graph.tensors[index])),
        dtype=str(graph.tensors[operation.outputs[0]].dtype).removeprefix("torch.") if operation.outputs else "",
        kernel=kernel,
        stride=stride,
        trainable=trainable,
        frozen=frozen,
        buffers=buffers,
    )


def _flows(tensor: Tensor) -> bool:
    return tensor.role not in ("parameter", "buffer")


def _window(graph: Graph, operation: Operation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    convolution, pool = Convolution.of(operation), Pool.of(operation)
    if convolution is not None:
        return graph.tensors[convolution.weight].shape[2:], convolution.stride
    return (pool.kernel_size, pool.stride) if pool is not None else ((), ())


def _owned(tensors: list[Tensor]) -> tuple[int, int, int]:
    """Elements that are trained, frozen, and of buffers."""
    parameters = [tensor for tensor in tensors if tensor.role == "parameter"]
    return (
        sum(tensor.numel for tensor in parameters if tensor.requires_grad),
        sum(tensor.numel for tensor in parameters if not tensor.requires_grad),
        sum(tensor.numel for tensor in tensors if tensor.role == "buffer"),
    )


def _unused(owned: list[Tensor]) -> list[Row]:
    groups: dict[str, list[Tensor]] = {}
    for tensor in owned:
        groups.setdefault(tensor.name.rpartition(".")[0], []).append(tensor)
    return [
        Row(
            name=f"{module}.unused" if module else "unused",
            kind="unused",
            module=module,
            operation=None,
            shapes=(),
            macs=0,
            flops=0,
            bytes_read=0,
            bytes_written=0,
            parameter_names=tuple(tensor.name for tensor in tensors),
            trainable=trainable,
            frozen=frozen,
            buffers=buffers,
        )
        for module, tensors in groups.items()
        for trainable, frozen, buffers in [_owned(tensors)]
    ]


def _first_users(graph: Graph) -> dict[int | None, list[Tensor]]:
    """For each operation, the parameters and buffers that count as its own; under None those that nothing used.

    It is the first operation that brings a parameter together with the input: the matrix product, and not the transpose
    of its weight before it. Where a parameter never meets the input, it is the first operation that reads it.
    """
    state = [tensor for tensor in graph.tensors if tensor.role in ("parameter", "buffer")]
    carried: dict[int, set[int]] = {tensor.index: {tensor.index} for tensor in state}
    fed = set(graph.inputs)
    first: dict[int, int] = {}
    met: dict[int, int] = {}
    for operation in graph.operations:
        brought = set().union(*(carried.get(index, set()) for index in operation.inputs))
        for index in brought:
            first.setdefault(index, operation.index)
        made = [*operation.outputs, *(after for _, after in operation.writes)]
        if fed.intersection(operation.inputs):
            for index in brought:
                met.setdefault(index, operation.index)
            fed.update(made)
        elif brought:
            for index in made:
                carried[index] = carried.get(index, set()) | brought
    owners: dict[int | None, list[Tensor]] = {}
    for tensor in state:
        user = met.get(tensor.index, first.get(tensor.index))
        if user is None and tensor.role == "buffer":
            user = _beside(graph, tensor)
        owners.setdefault(user, []).append(tensor)
    return owners


def _beside(graph: Graph, buffer: Tensor) -> int | None:
    """The first operation of the module that holds a buffer nobody read, such as a batch counter."""
    path = buffer.name.rpartition(".")[0]
    return next((operation.index for operation in graph.operations if operation.module == path), None)
