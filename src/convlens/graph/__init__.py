"""What one forward pass of any module does: operations, tensors, and the module each belongs to."""

from convlens.graph.execution import execute, observe, operations_between, resume
from convlens.graph.record import record
from convlens.graph.structure import Failure, Graph, ModuleCall, Operation, Ref, Storage, Tensor

__all__ = [
    "Failure",
    "Graph",
    "ModuleCall",
    "Operation",
    "Ref",
    "Storage",
    "Tensor",
    "execute",
    "observe",
    "operations_between",
    "record",
    "resume",
]
