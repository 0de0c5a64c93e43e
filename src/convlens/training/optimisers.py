"""Optimisers: which parameters they pull towards zero, which learn more slowly, and which not yet."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from convlens.training.config import TrainConfig
from convlens.training.lamb import Lamb

LEAST_SCALE = 0.1
"""A stage whose rate is less than this part of the last one's does not learn: it would cost more than it gives."""


@dataclass(frozen=True)
class Stage:
    """Modules of about the same depth, whose parameters share a learning rate."""

    modules: tuple[nn.Module, ...]


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimiser that the configuration names over the parameters of a network.

    Each group has a `scale`, by which its learning rate is that of the schedule: with `layer_decay` below 1 the earlier
    stages learn more slowly, and the earliest not at all.
    """
    groups = []
    for stage, scale in learning_stages(network, config):
        for parameters, decay in zip(split_by_decay(*stage.modules), (config.decay, 0.0), strict=True):
            if parameters:
                groups.append({"params": parameters, "weight_decay": decay, "scale": scale})
    rate = config.learning_rate
    # Not of a stage, the rest of whose network has no memory, nor of shares, for which SGD has none.
    fused = not any(parameter.is_meta or hasattr(parameter, "to_local") for parameter in network.parameters())
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=fused)
    if config.optimizer == "lamb":
        return Lamb(groups, lr=rate)
    return torch.optim.AdamW(groups, lr=rate, fused=fused)


def split_by_decay(*modules: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that decay helps, and the norms and biases that it only shrinks (He et al. 2018, section 3.1).

    Returns:
        Parameters with two or more dimensions, and the others; both in the modules' order.
    """
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]


def stages(network: nn.Module) -> list[Stage]:
    """The stages of a network, first to last: its children with parameters, and those of its sequences one by one.

    >>> [len(stage.modules) for stage in stages(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))]
    [1, 1]
    """
    found: list[Stage] = []
    for child in network.children():
        if isinstance(child, nn.Sequential) and len(found) < 64:
            found += [Stage((part,)) for part in child if any(True for _ in part.parameters())]
        elif any(True for _ in child.parameters()):
            found.append(Stage((child,)))
    return found or [Stage((network,))]


def learning_stages(network: nn.Module, config: TrainConfig) -> list[tuple[Stage, float]]:
    """The stages that learn, first to last, each with its rate relative to the last one's."""
    if config.layer_decay == 1:
        return [(Stage((network,)), 1.0)]
    found = stages(network)
    scaled = [(stage, config.layer_decay ** (len(found) - 1 - depth)) for depth, stage in enumerate(found)]
    return [(stage, scale) for stage, scale in scaled if scale >= LEAST_SCALE]


def body_that_learns(network: nn.Module, config: TrainConfig) -> list[nn.Module]:
    """The modules that learn once the body may."""
    return [module for stage, _ in learning_stages(network, config) for module in stage.modules]


def heads_that_learn(network: nn.Module, heads: Sequence[str]) -> list[nn.Module]:
    """The modules that learn while the body is frozen.

    Args:
        network: that they are of.
        heads: their names; where they have nothing to learn, such as the fixed bitmaps of LeNet-5 of 1998, the last
            layer that has is taken.
    """
    learning = [network.get_submodule(head) for head in heads]
    if any(True for head in learning for _ in head.parameters()):
        return learning
    return [module for module in network.modules() if any(True for _ in module.parameters(recurse=False))][-1:]


def let_learn(network: nn.Module, modules: Sequence[nn.Module]) -> None:
    """Let only some modules of a network in training mode learn; the norms of the others keep their statistics."""
    learning = {id(parameter) for module in modules for parameter in module.parameters()}
    inside = {id(module) for each in modules for module in each.modules()}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in learning)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module) not in inside:
            module.eval()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, each by its scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
