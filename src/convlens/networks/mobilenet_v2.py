"""MobileNetV2 (Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018, table 2).

The block that EfficientNet's MBConv comes from: wide between two narrow ends, and no activation where it is narrow.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from convlens.networks.families import Family, Request
from convlens.networks.mbconv import MBConvNetwork, Stage, Style, blocks_of, timm_layout
from convlens.networks.scaling import round_depth, round_width

# Table 2, its seven bottleneck rows: t, c, n, s, all of them 3×3.
TABLE_2 = (
    Stage(expand_ratio=1, kernel_size=3, stride=1, width=16, depth=1),
    Stage(expand_ratio=6, kernel_size=3, stride=2, width=24, depth=2),
    Stage(expand_ratio=6, kernel_size=3, stride=2, width=32, depth=3),
    Stage(expand_ratio=6, kernel_size=3, stride=2, width=64, depth=4),
    Stage(expand_ratio=6, kernel_size=3, stride=1, width=96, depth=3),
    Stage(expand_ratio=6, kernel_size=3, stride=2, width=160, depth=3),
    Stage(expand_ratio=6, kernel_size=3, stride=1, width=320, depth=1),
)
STEM, HEAD = 32, 1280
RELU6 = Style(activation=nn.ReLU6, squeeze_excite=False)


class MobileNetV2(MBConvNetwork):
    """Table 2, `width` times as wide and each stage `depth` times as deep.

    The head grows with the width and never shrinks (section 6.1).

    The classifier starts normally with a deviation of 0.01 and its bias at zero, as in torchvision.
    """

    def __init__(
        self,
        *,
        depth: float = 1.0,
        width: float = 1.0,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.2,
        style: Style = RELU6,
    ) -> None:
        super().__init__(
            stem=round_width(STEM, width),
            rows=[
                row._replace(width=round_width(row.width, width), depth=round_depth(row.depth, depth))
                for row in TABLE_2
            ],
            head=round_width(HEAD, max(1.0, width)),
            style=style,
            classes=classes,
            channels=channels,
            dropout=dropout,
            stochastic_depth=0.0,
        )
        nn.init.normal_(self.classifier.weight, std=0.01)


def _torchvision(network: nn.Module) -> Mapping[str, str]:
    """torchvision counts the blocks through all stages; the last convolution of each lies beside its batch norm."""
    names = {"features.0.0": "stem.conv", "features.0.1": "stem.bn", "classifier.1": "classifier"}
    blocks = blocks_of(network)
    names |= {f"features.{len(blocks) + 1}.{i}": f"head.{part}" for i, part in enumerate(("conv", "bn"))}
    for number, (stage, index, block) in enumerate(blocks, start=1):
        theirs, ours = f"features.{number}.conv", f"{stage}.{index}"
        inner = ("depthwise",) if block.expand is None else ("expand", "depthwise")
        for position, part in enumerate(inner):
            names[f"{theirs}.{position}.0"] = f"{ours}.{part}.conv"
            names[f"{theirs}.{position}.1"] = f"{ours}.{part}.bn"
        names[f"{theirs}.{len(inner)}"] = f"{ours}.project.conv"
        names[f"{theirs}.{len(inner) + 1}"] = f"{ours}.project.bn"
    return names


def _mobilenet_v2(asked: Request) -> nn.Module:
    dropout = 0.2 if asked.dropout is None else asked.dropout
    return MobileNetV2(classes=asked.classes, channels=asked.channels, dropout=dropout)


FAMILY = Family(
    networks={"mobilenet_v2": _mobilenet_v2},
    first="stem.conv",
    heads=("classifier",),
    layouts={"torchvision": _torchvision, "timm": timm_layout},
)
