"""Optimisers, and which parameters they pull towards zero."""

import torch
from torch import nn

from convlens.training.config import TrainConfig


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimiser that the configuration names over all parameters of a network."""
    groups = [
        {"params": decayed, "weight_decay": decay}
        for decayed, decay in zip(split_by_decay(network), (config.decay, 0.0), strict=True)
        if decayed
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def split_by_decay(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that decay helps, and the norms and biases that it only shrinks (He et al. 2018, section 3.1).

    Args:
        network: any module.

    Returns:
        Parameters with two or more dimensions, and the others; both in the network's order.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
