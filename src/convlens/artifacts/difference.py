"""Which operation of an artifact is the first to answer differently from PyTorch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlens.predicting.engines import Precision

if TYPE_CHECKING:
    from torch import nn

    from convlens.artifacts.artifact_formats import FormatModule
    from convlens.images import Preprocessing

# Difference, as a share of the largest value in the tensor, that rounding and another order of summing explain.
_EXPLAINED: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 0.05, "int8": 0.2}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An operation whose result differs although everything before it agrees.

    Args:
        operation: its name in the graph.
        module: the module of the network that it belongs to, "" if unknown.
        largest: difference of any value.
        scale: the largest value that PyTorch computes there.
    """

    operation: str
    module: str
    largest: float
    scale: float

    def __str__(self) -> str:
        place = f" in {self.module}" if self.module else ""
        return f"{self.operation}{place} (values up to {self.scale:.3g} differ by {self.largest:.3g})"


def first_difference(
    network: "nn.Module",
    preprocessing: "Preprocessing",
    model: Any,
    module: "FormatModule",
    precision: Precision,
    x_NCHW: NDArray[np.float32],
) -> Difference | None:
    """Run both operation by operation and find the first that differs; None if every one that has a name agrees."""
    import torch

    from convlens.artifacts.onnx_graph import reference_module
    from convlens.artifacts.program import freeze
    from convlens.artifacts.recording import record_values

    program = freeze(network, preprocessing.channels, preprocessing.size)
    graph = reference_module(program)
    expected = record_values(graph, torch.from_numpy(np.ascontiguousarray(x_NCHW)))
    found = module.operations_probe(model, list(expected), precision)(x_NCHW)
    places = {node.name: _module_of(node) for node in graph.graph.nodes}
    for name, values in expected.items():
        if name in found and found[name].shape == values.shape:
            largest = float(np.abs(found[name].astype(np.float32) - values).max(initial=0.0))
            scale = float(np.abs(values).max(initial=0.0))
            if not largest <= _EXPLAINED[precision] * max(scale, 1e-6):
                return Difference(operation=name, module=places[name], largest=largest, scale=scale)
    return None


def _module_of(node: Any) -> str:
    """The dotted path of the innermost module that the operation was recorded in."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path.removeprefix("network").lstrip(".")
