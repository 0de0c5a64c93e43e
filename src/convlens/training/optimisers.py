"""Optimisers: which parameters they pull towards zero, which learn more slowly, and which not yet."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from convlens.training.config import TrainConfig
from convlens.training.lamb import Lamb


@dataclass(frozen=True)
class Stage:
    """Modules of about the same depth, whose parameters share a learning rate."""

    modules: tuple[nn.Module, ...]


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimiser that the configuration names over all parameters of a network.

    Each group has a `scale`, by which its learning rate is that of the schedule: with `layer_decay` below 1 the earlier
    stages learn more slowly.
    """
    groups = []
    found = stages(network) if config.layer_decay < 1 else [Stage((network,))]
    for depth, stage in enumerate(found):
        scale = config.layer_decay ** (len(found) - 1 - depth)
        for parameters, decay in zip(split_by_decay(*stage.modules), (config.decay, 0.0), strict=True):
            if parameters:
                groups.append({"params": parameters, "weight_decay": decay, "scale": scale})
    rate = config.learning_rate
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=True)
    if config.optimizer == "lamb":
        return Lamb(groups, lr=rate)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


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


def freeze_body(network: nn.Module, heads: Sequence[str], *, frozen: bool) -> None:
    """Let only the heads learn, or all; the norms of a frozen body keep their statistics.

    Args:
        network: in training mode.
        heads: names of the modules that go on learning; where they have nothing to learn, such as the fixed bitmaps of
            LeNet-5 of 1998, the last layer that has.
        frozen: whether the rest is frozen.
    """
    learning = [network.get_submodule(head) for head in heads]
    if not any(True for head in learning for _ in head.parameters()):
        learning = [module for module in network.modules() if any(True for _ in module.parameters(recurse=False))][-1:]
    kept = {id(parameter) for head in learning for parameter in head.parameters()}
    in_heads = {id(module) for head in learning for module in head.modules()}
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen or id(parameter) in kept)
    if frozen:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module) not in in_heads:
                module.eval()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, each by its scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
