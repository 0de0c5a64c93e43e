"""EfficientNet (Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019, table 1).

A small network found by search, B0, is made larger in depth, width and image size together (section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from convlens.networks.families import Builder, Family, Request
from convlens.networks.mbconv import MBConv, normalised
from convlens.networks.scaling import BASE_RESOLUTION, Scale, round_depth, round_width


class Stage(NamedTuple):
    """One row of table 1 for B0."""

    expand_ratio: int
    kernel_size: int
    stride: int
    width: int
    depth: int


# Table 1, stages 2 to 8; stage 1 is the stem of 32 filters and stage 9 the head of 1280.
B0 = (
    Stage(expand_ratio=1, kernel_size=3, stride=1, width=16, depth=1),
    Stage(expand_ratio=6, kernel_size=3, stride=2, width=24, depth=2),
    Stage(expand_ratio=6, kernel_size=5, stride=2, width=40, depth=2),
    Stage(expand_ratio=6, kernel_size=3, stride=2, width=80, depth=3),
    Stage(expand_ratio=6, kernel_size=5, stride=1, width=112, depth=3),
    Stage(expand_ratio=6, kernel_size=5, stride=2, width=192, depth=4),
    Stage(expand_ratio=6, kernel_size=3, stride=1, width=320, depth=1),
)
STEM = 32
STAGES = tuple(f"stage{number}" for number in range(1, len(B0) + 1))


class BatchNorm(NamedTuple):
    """Epsilon and momentum of every batch norm; the larger networks were published with TensorFlow's."""

    eps: float = 1e-5
    momentum: float = 0.1


class EfficientNet(nn.Module):
    """Stem, seven stages of `MBConv` blocks, head of 1×1 convolutions, average over the map, classes.

    Convolutions start as He et al. (2015, arXiv:1502.01852) propose, fan out; the classifier uniformly within
    1/√classes, as in the authors' code. Stochastic depth grows from zero to `stochastic_depth` over the blocks (section
    5.2).
    """

    def __init__(
        self,
        *,
        depth: float = 1.0,
        width: float = 1.0,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.2,
        stochastic_depth: float = 0.2,
        batch_norm: BatchNorm = BatchNorm(),  # noqa: B008
    ) -> None:
        super().__init__()
        before = round_width(STEM, width)
        self.stem = normalised(channels, before, 3, stride=2, activate=True)
        blocks = sum(round_depth(stage.depth, depth) for stage in B0)
        done = 0
        for name, row in zip(STAGES, B0, strict=True):
            stage = nn.Sequential()
            after = round_width(row.width, width)
            for number in range(round_depth(row.depth, depth)):
                block = MBConv(
                    channels=before if number == 0 else after,
                    width=after,
                    kernel_size=row.kernel_size,
                    stride=row.stride if number == 0 else 1,
                    expand_ratio=row.expand_ratio,
                    drop=stochastic_depth * done / blocks,
                )
                stage.append(block)
                done += 1
            self.add_module(name, stage)
            before = after
        self.head = normalised(before, 4 * before, 1, activate=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(4 * before, classes)
        _initialise(self, batch_norm)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        x = self.stem(x_NCHW)
        for name in STAGES:
            x = self.get_submodule(name)(x)
        x = self.flatten(self.avgpool(self.head(x)))
        return self.classifier(self.dropout(x))  # type: ignore[no-any-return]


def _initialise(network: nn.Module, batch_norm: BatchNorm) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -1 / math.sqrt(module.out_features), 1 / math.sqrt(module.out_features))
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = batch_norm


def _torchvision(network: nn.Module) -> Mapping[str, str]:
    """torchvision numbers stem, stages and head, and within a block what there is of expand, depthwise, SE, project."""
    names = {"features.0.0": "stem.conv", "features.0.1": "stem.bn", "classifier.1": "classifier"}
    names |= {f"features.{len(STAGES) + 1}.{i}": f"head.{part}" for i, part in enumerate(("conv", "bn"))}
    for number, stage in enumerate(STAGES, start=1):
        for index, block in network.get_submodule(stage).named_children():
            parts = [part for part, _ in block.named_children() if part in _PARTS]
            for position, part in enumerate(parts):
                theirs, ours = f"features.{number}.{index}.block.{position}", f"{stage}.{index}.{part}"
                if part == "squeeze_excite":
                    names |= {f"{theirs}.fc1": f"{ours}.reduce", f"{theirs}.fc2": f"{ours}.expand"}
                else:
                    names |= {f"{theirs}.0": f"{ours}.conv", f"{theirs}.1": f"{ours}.bn"}
    return names


_PARTS = ("expand", "depthwise", "squeeze_excite", "project")


def _timm(network: nn.Module) -> Mapping[str, str]:
    """timm numbers the batch norms of a block and calls the last 1×1 conv_pwl, or conv_pw where nothing expands."""
    names = {"conv_stem": "stem.conv", "bn1": "stem.bn", "conv_head": "head.conv", "bn2": "head.bn"}
    names["classifier"] = "classifier"
    for number, stage in enumerate(STAGES):
        for index, block in network.get_submodule(stage).named_children():
            theirs, ours = f"blocks.{number}.{index}", f"{stage}.{index}"
            names |= {f"{theirs}.se.conv_reduce": f"{ours}.squeeze_excite.reduce"}
            names |= {f"{theirs}.se.conv_expand": f"{ours}.squeeze_excite.expand"}
            expands = any(part == "expand" for part, _ in block.named_children())
            order = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
            if not expands:
                order = {"depthwise": "conv_dw", "project": "conv_pw"}
            for position, (part, convolution) in enumerate(order.items(), start=1):
                names |= {
                    f"{theirs}.{convolution}": f"{ours}.{part}.conv",
                    f"{theirs}.bn{position}": f"{ours}.{part}.bn",
                }
    return names


def scale_efficientnet(
    *,
    depth: float,
    width: float,
    resolution: int = BASE_RESOLUTION,
    classes: int = 1000,
    channels: int = 3,
    dropout: float = 0.2,
) -> EfficientNet:
    """Build an EfficientNet of any size between and beyond the published ones.

    Args:
        depth: factor on the number of blocks of each stage, rounded up.
        width: factor on the channels, rounded to multiples of eight.
        resolution: side of the images that it is meant for, kept as `input_size`; the layers do not depend on it.
        classes: outputs.
        channels: of the images.
        dropout: of the classifier; the published networks raise it from 0.2 (B0) to 0.5 (B7).

    >>> from convlens.networks import compound_scale
    >>> scale = compound_scale(0.5)
    >>> net = scale_efficientnet(depth=scale.depth, width=scale.width, resolution=scale.resolution, classes=10)
    """
    network = EfficientNet(depth=depth, width=width, classes=classes, channels=channels, dropout=dropout)
    network.input_size = (resolution, resolution)  # type: ignore[assignment]
    return network


def _builder(scale: Scale, dropout: float, batch_norm: BatchNorm = BatchNorm()) -> Builder:  # noqa: B008
    def build(asked: Request) -> nn.Module:
        return EfficientNet(
            depth=scale.depth,
            width=scale.width,
            classes=asked.classes,
            channels=asked.channels,
            dropout=dropout if asked.dropout is None else asked.dropout,
            batch_norm=batch_norm,
        )

    return build


_TENSORFLOW = BatchNorm(eps=0.001, momentum=0.01)

# The authors' coefficients (their efficientnet_builder.py), near the compound ones of section 3.3; epsilon and momentum
# as in the published weights.
FAMILY = Family(
    networks={
        "efficientnet_b0": _builder(Scale(depth=1.0, width=1.0, resolution=224), 0.2),
        "efficientnet_b1": _builder(Scale(depth=1.1, width=1.0, resolution=240), 0.2),
        "efficientnet_b2": _builder(Scale(depth=1.2, width=1.1, resolution=260), 0.3),
        "efficientnet_b3": _builder(Scale(depth=1.4, width=1.2, resolution=300), 0.3),
        "efficientnet_b4": _builder(Scale(depth=1.8, width=1.4, resolution=380), 0.4),
        "efficientnet_b5": _builder(Scale(depth=2.2, width=1.6, resolution=456), 0.4, _TENSORFLOW),
        "efficientnet_b6": _builder(Scale(depth=2.6, width=1.8, resolution=528), 0.5, _TENSORFLOW),
        "efficientnet_b7": _builder(Scale(depth=3.1, width=2.0, resolution=600), 0.5, _TENSORFLOW),
    },
    first="stem.conv",
    heads=("classifier",),
    layouts={"torchvision": _torchvision, "timm": _timm},
)
