"""The block of MobileNetV2 and EfficientNet: MBConv, an inverted bottleneck; and the network that is made of it.

Sandler et al., MobileNetV2, 2018 (inverted residuals, linear bottlenecks); Hu et al., Squeeze-and-excitation networks,
2017; Huang et al., Deep networks with stochastic depth, 2016; put together by Tan et al., MnasNet, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convlens.networks.same_padding import SamePadding
from convlens.networks.scaling import round_width


class Stage(NamedTuple):
    """One row of the table of a paper: blocks of one width, of which the first has the stride."""

    expand_ratio: int
    kernel_size: int
    stride: int
    width: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class Style:
    """What the networks made of MBConv differ in, beside their tables.

    Attributes:
        activation: SiLU (swish) in EfficientNet, ReLU6 in MobileNetV2 and EfficientNet-Lite.
        squeeze_excite: after each depthwise convolution.
        same_padding: strided convolutions pad as TensorFlow's SAME does, which depends on the size of the map;
            otherwise by half of the kernel on every side.
        eps: of every batch norm.
        momentum: of every batch norm; 0.1 in torch is 0.9 in TensorFlow.
    """

    activation: type[nn.Module]
    squeeze_excite: bool
    same_padding: bool = False
    eps: float = 1e-5
    momentum: float = 0.1


def normalised(
    channels: int, width: int, kernel_size: int, style: Style, *, stride: int = 1, groups: int = 1, activate: bool
) -> nn.Sequential:
    """Return padding of its own where the style has it, convolution, batch norm and, if `activate`, the activation."""
    block = nn.Sequential()
    padding = kernel_size // 2
    if style.same_padding and stride > 1:
        block.add_module("pad", SamePadding(kernel_size, stride))
        padding = 0
    convolution = nn.Conv2d(channels, width, kernel_size, stride, padding, groups=groups, bias=False)
    block.add_module("conv", convolution)
    block.add_module("bn", nn.BatchNorm2d(width, eps=style.eps, momentum=style.momentum))
    if activate:
        block.add_module("act", style.activation(inplace=True))
    return block


class SqueezeExcite(nn.Module):
    """Average each channel over the map, and from all averages decide how much of each channel passes."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.SiLU(inplace=True)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return x, each channel multiplied by its gate from 0 to 1."""
        return self.gate(self.expand(self.act(self.reduce(self.avgpool(x))))) * x  # type: ignore[no-any-return]


class StochasticDepth(nn.Module):
    """In training, leave a sample's residual out with probability `drop`, and scale the others up to make up for it."""

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        """Return x, or in training each sample of it either zero or divided by the probability to stay."""
        if not self.training or self.drop == 0:
            return x
        keep = 1 - self.drop
        stays = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * stays / keep

    def extra_repr(self) -> str:
        """Show the probability where the module is printed."""
        return f"drop={self.drop:g}"


class MBConv(nn.Module):
    """1×1 to more channels, depthwise convolution, squeeze-and-excitation, 1×1 back without activation; plus x."""

    def __init__(
        self, *, channels: int, width: int, kernel_size: int, stride: int, expand_ratio: int, style: Style, drop: float
    ) -> None:
        super().__init__()
        inner = round_width(channels, expand_ratio)
        self.expand = normalised(channels, inner, 1, style, activate=True) if inner != channels else None
        self.depthwise = normalised(inner, inner, kernel_size, style, stride=stride, groups=inner, activate=True)
        self.squeeze_excite = SqueezeExcite(inner, max(1, channels // 4)) if style.squeeze_excite else None
        self.project = normalised(inner, width, 1, style, activate=False)
        self.skip = stride == 1 and channels == width
        self.stochastic_depth = StochasticDepth(drop if self.skip else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, width, H / stride, W / stride)."""
        y = self.depthwise(x if self.expand is None else self.expand(x))
        y = self.project(y if self.squeeze_excite is None else self.squeeze_excite(y))
        if self.skip:
            y = self.stochastic_depth(y) + x
        return y  # type: ignore[no-any-return]


class MBConvNetwork(nn.Module):
    """A strided stem, stages of `MBConv` blocks, a head of 1×1 convolutions, average over the map, classes.

    Convolutions start as He et al. (2015, arXiv:1502.01852) propose, fan out; the classifier uniformly within
    1/√classes, as in EfficientNet's code. Stochastic depth grows from zero to `stochastic_depth` over the blocks.
    """

    def __init__(
        self,
        *,
        stem: int,
        rows: Sequence[Stage],
        head: int,
        style: Style,
        classes: int,
        channels: int,
        dropout: float,
        stochastic_depth: float,
    ) -> None:
        super().__init__()
        self.stem = normalised(channels, stem, 3, style, stride=2, activate=True)
        blocks, before = sum(row.depth for row in rows), stem
        done = 0
        for name, row in zip(stage_names(len(rows)), rows, strict=True):
            stage = nn.Sequential()
            for number in range(row.depth):
                block = MBConv(
                    channels=before if number == 0 else row.width,
                    width=row.width,
                    kernel_size=row.kernel_size,
                    stride=row.stride if number == 0 else 1,
                    expand_ratio=row.expand_ratio,
                    style=style,
                    drop=stochastic_depth * done / blocks,
                )
                stage.append(block)
                done += 1
            self.add_module(name, stage)
            before = row.width
        self.stages = stage_names(len(rows))
        self.head = normalised(before, head, 1, style, activate=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(head, classes)
        _initialise(self)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        x = self.stem(x_NCHW)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        x = self.flatten(self.avgpool(self.head(x)))
        return self.classifier(self.dropout(x))  # type: ignore[no-any-return]


def stage_names(count: int) -> tuple[str, ...]:
    """What the stages are called, from `stage1` on."""
    return tuple(f"stage{number}" for number in range(1, count + 1))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -1 / math.sqrt(module.out_features), 1 / math.sqrt(module.out_features))
            nn.init.zeros_(module.bias)


def timm_layout(network: nn.Module) -> Mapping[str, str]:
    """timm numbers the batch norms of a block and calls the last 1×1 conv_pwl, or conv_pw where nothing expands."""
    names = {"conv_stem": "stem.conv", "bn1": "stem.bn", "conv_head": "head.conv", "bn2": "head.bn"}
    names["classifier"] = "classifier"
    for stage, index, block in blocks_of(network):
        theirs, ours = f"blocks.{int(stage.removeprefix('stage')) - 1}.{index}", f"{stage}.{index}"
        if block.squeeze_excite is not None:
            names |= {f"{theirs}.se.conv_reduce": f"{ours}.squeeze_excite.reduce"}
            names |= {f"{theirs}.se.conv_expand": f"{ours}.squeeze_excite.expand"}
        order = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
        if block.expand is None:
            order = {"depthwise": "conv_dw", "project": "conv_pw"}
        for position, (part, convolution) in enumerate(order.items(), start=1):
            names |= {
                f"{theirs}.{convolution}": f"{ours}.{part}.conv",
                f"{theirs}.bn{position}": f"{ours}.{part}.bn",
            }
    return names


def blocks_of(network: nn.Module) -> list[tuple[str, int, MBConv]]:
    """Every block with the name of its stage and its number in it, in order."""
    assert isinstance(network, MBConvNetwork)
    return [
        (stage, index, block)
        for stage in network.stages
        for index, block in enumerate(network.get_submodule(stage).children())
        if isinstance(block, MBConv)
    ]
