"""Every value of a frozen program as it runs, by the name that the formats give it too."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import fx, nn


class _Recorder(fx.Interpreter):
    """Runs a graph node by node and keeps what each computes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, NDArray[Any]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and keep a copy, since in-place operations write over their input."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and n.op == "call_function":
            self.values[n.name] = value.detach().float().cpu().numpy().copy()
        return value


def record_values(module: nn.Module, x_NCHW: torch.Tensor) -> dict[str, NDArray[Any]]:
    """Run a program's module and give what every operation computed, in order, by its name in the graph."""
    assert isinstance(module, fx.GraphModule)
    recorder = _Recorder(module)
    with torch.inference_mode():
        recorder.run(x_NCHW)
    return recorder.values
