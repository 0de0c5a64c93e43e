"""An average of the weights over the last steps, which generalises better (Polyak and Juditsky 1992)."""

import copy

import torch
from torch import nn


class AverageWeights:
    """A copy of a network whose weights and statistics follow it slowly.

    Args:
        network: what is averaged.
        decay: how much of the average stays in a step; fewer at first, so that the initial weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average a little towards the network, after its step number `step` from 0."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        ours, theirs = self.network.state_dict(), network.state_dict()
        moving = [name for name, tensor in ours.items() if tensor.is_floating_point() and not tensor.is_meta]
        torch._foreach_lerp_(
            [own_share(ours[name]) for name in moving], [own_share(theirs[name]) for name in moving], weight
        )
        for name in ours.keys() - set(moving):
            ours[name].copy_(theirs[name])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averaged weights."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take averaged weights over."""
        self.network.load_state_dict(state)


def own_share(tensor: torch.Tensor) -> torch.Tensor:
    """What this process has of a tensor: its share where several processes share it, else all."""
    share: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return share
