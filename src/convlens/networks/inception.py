"""The Inception module, naive and with dimension reductions (Szegedy et al., 2014, arXiv:1409.4842, figure 2).

Several sizes of pattern are looked for side by side and stacked. Done naively, the 5×5 convolutions cost most; a 1×1
convolution before them reduces the channels they see.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class InceptionWidths(NamedTuple):
    """One row of table 1 of the paper: filters of each convolution of a module."""

    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    project: int

    @property
    def total(self) -> int:
        """Channels that the module puts out."""
        return self.one + self.three + self.five + self.project


def convolution(channels: int, width: int, kernel_size: int, *, stride: int = 1, batch_norm: bool) -> nn.Sequential:
    """Return a padded convolution with ReLU, with bias or with batch norm (epsilon 0.001, as published)."""
    block = nn.Sequential()
    padding = kernel_size // 2
    block.add_module("conv", nn.Conv2d(channels, width, kernel_size, stride, padding, bias=not batch_norm))
    if batch_norm:
        block.add_module("bn", nn.BatchNorm2d(width, eps=0.001))
    block.add_module("relu", nn.ReLU(inplace=True))
    return block


class InceptionNaive(nn.Module):
    """The naive module (figure 2a): 1×1, 3×3, 5×5 and a max pool on the input itself, stacked.

    >>> InceptionNaive(192, one=64, three=128, five=32)(torch.zeros(1, 192, 28, 28)).shape
    torch.Size([1, 416, 28, 28])
    """

    def __init__(self, channels: int, *, one: int, three: int, five: int, batch_norm: bool = False) -> None:
        super().__init__()
        self.one = convolution(channels, one, 1, batch_norm=batch_norm)
        self.three = convolution(channels, three, 3, batch_norm=batch_norm)
        self.five = convolution(channels, five, 5, batch_norm=batch_norm)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, one + three + five + channels, H, W)."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class Inception(nn.Module):
    """The module with dimension reductions (figure 2b): 1×1 convolutions before 3×3 and 5×5 and after the max pool.

    `largest_kernel` is the paper's 5, or 3 as in the published weights.

    >>> module = Inception(192, InceptionWidths(64, 96, 128, 16, 32, 32))  # (3a) of table 1
    >>> sum(p.numel() for p in module.parameters() if p.dim() > 1)
    163328
    """

    def __init__(
        self, channels: int, widths: InceptionWidths, *, largest_kernel: int = 5, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.one = convolution(channels, widths.one, 1, batch_norm=batch_norm)
        self.reduce3 = convolution(channels, widths.reduce3, 1, batch_norm=batch_norm)
        self.three = convolution(widths.reduce3, widths.three, 3, batch_norm=batch_norm)
        self.reduce5 = convolution(channels, widths.reduce5, 1, batch_norm=batch_norm)
        self.five = convolution(widths.reduce5, widths.five, largest_kernel, batch_norm=batch_norm)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.project = convolution(channels, widths.project, 1, batch_norm=batch_norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, widths.total, H, W)."""
        branches = [
            self.one(x),
            self.three(self.reduce3(x)),
            self.five(self.reduce5(x)),
            self.project(self.pool(x)),
        ]
        return torch.cat(branches, dim=1)


class AuxiliaryHead(nn.Module):
    """A classifier in the middle of the network, so that gradients reach the lower layers (section 5).

    5×5 average pool of stride 3 (4×4 for a 14×14 map), 1×1 convolution to 128, 1024 units, 70 % dropout, classes.
    The published network with batch norm averages to 4×4 by bins instead.
    """

    def __init__(self, channels: int, classes: int, *, batch_norm: bool = False) -> None:
        super().__init__()
        self.pool = nn.Identity() if batch_norm else nn.AvgPool2d(5, stride=3)
        self.avgpool = nn.AdaptiveAvgPool2d(4)  # does nothing to the paper's 4×4 map; lets other sizes in
        self.conv = convolution(channels, 128, 1, batch_norm=batch_norm)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to scores (N, classes)."""
        x = self.flatten(self.conv(self.avgpool(self.pool(x))))
        return self.fc2(self.dropout(self.relu(self.fc1(x))))  # type: ignore[no-any-return]


def initialise(network: nn.Module) -> None:
    """Start as He et al. (2015, arXiv:1502.01852) propose, biases at zero; the classifiers small."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
