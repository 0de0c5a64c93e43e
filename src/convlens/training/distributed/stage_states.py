"""State dicts of a network, its average and its optimiser of which every process has a part."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn


class StagedState:
    """A part of a training whose state dict, in the first process, is that of all stages; the same as of one process.

    Args:
        part: a network, averaged weights or an optimiser, in which what other stages have is on the meta device.
        gathered: gives what every process has.
        stages: of a pipeline; the first processes are one.
    """

    def __init__(self, part: Any, gathered: Callable[[Any], list[Any]], stages: int) -> None:
        self.part, self.gathered, self.stages = part, gathered, stages

    def state_dict(self) -> dict[str, Any]:
        """The state of all stages, on the processor; every process must ask."""
        own = self.part.state_dict()
        if not isinstance(self.part, torch.optim.Optimizer):
            found = self.gathered({name: tensor.cpu() for name, tensor in own.items() if not tensor.is_meta})
            merged = {name: tensor for each in found[: self.stages] for name, tensor in each.items()}
            return {name: merged[name] for name in own}
        states = self.gathered(
            {number: _on_processor(state) for number, state in own["state"].items() if not _is_meta(state)}
        )
        merged = {number: state for each in states[: self.stages] for number, state in each.items()}
        return {"state": dict(sorted(merged.items())), "param_groups": own["param_groups"]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take this process's part of the whole state."""
        if isinstance(self.part, torch.optim.Optimizer):
            self.part.load_state_dict(dict(state))
            return
        network = self.part if isinstance(self.part, nn.Module) else self.part.network
        own = network.state_dict()
        if own.keys() != state.keys():
            raise RuntimeError(f"weights of {len(state)} tensors, not {len(own)}")
        network.load_state_dict({name: state[name] for name in own if not own[name].is_meta}, strict=False)


def _is_meta(state: Mapping[str, Any]) -> bool:
    return any(isinstance(value, torch.Tensor) and value.is_meta for value in state.values())


def _on_processor(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
