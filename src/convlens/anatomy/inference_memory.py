"""How many bytes one inference holds at once, from the lifetimes of its storages."""

from dataclasses import dataclass

from convlens.anatomy.workspace import workspace
from convlens.graph import Graph


@dataclass(frozen=True)
class InferenceMemory:
    """Bytes of one inference, each part apart.

    Attributes:
        parameters, buffers, inputs: what is there before the forward pass.
        peak: the most that the forward pass allocates beside these at any moment, as an allocator on a CPU counts it:
            live tensors and what the running operation needs for itself (see `workspace`).
        tensors: the same without what operations need for themselves.
        peak_operation: index of the operation during which it does, None if it allocates nothing.
    """

    parameters: int
    buffers: int
    inputs: int
    peak: int
    tensors: int
    peak_operation: int | None

    @property
    def total(self) -> int:
        """Everything: parameters, buffers, inputs and the peak."""
        return self.parameters + self.buffers + self.inputs + self.peak


def inference_memory(graph: Graph) -> InferenceMemory:
    """Add up the storages that live at the same time.

    A storage lives from the operation that allocates it until the code lets go of the last tensor on it; so a block's
    input is held until its shortcut is added, and an in-place operation allocates nothing.
    """
    tensors = live_bytes(graph)
    needed = [workspace(graph, operation) for operation in graph.operations]
    timeline = [alive + own for alive, own in zip(tensors, needed, strict=True)]
    peak = max(timeline, default=0)
    return InferenceMemory(
        parameters=_bytes(graph, "parameter"),
        buffers=_bytes(graph, "buffer"),
        inputs=_bytes(graph, "input"),
        peak=peak,
        tensors=max(tensors, default=0),
        peak_operation=timeline.index(peak) if peak else None,
    )


def live_bytes(graph: Graph) -> list[int]:
    """Bytes allocated by the forward pass and alive during each operation."""
    changes = [0] * (len(graph.operations) + 1)
    for storage in graph.storages:
        if storage.born < 0:
            continue
        changes[storage.born] += storage.nbytes
        if storage.died is not None:
            changes[max(storage.died, storage.born) + 1] -= storage.nbytes
    alive, timeline = 0, []
    for change in changes[:-1]:
        alive += change
        timeline.append(alive)
    return timeline


def _bytes(graph: Graph, role: str) -> int:
    storages = {tensor.storage for tensor in graph.tensors if tensor.role == role}
    return sum(graph.storages[index].nbytes for index in storages)
