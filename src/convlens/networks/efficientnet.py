"""EfficientNet (Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019, table 1).

A small network found by search, B0, is made larger in depth, width and image size together (section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from convlens.networks.families import Builder, Family, Request
from convlens.networks.mbconv import MBConvNetwork, Stage, Style, blocks_of, timm_layout
from convlens.networks.scaling import BASE_RESOLUTION, Scale, round_depth, round_width

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

# Section 5: swish (SiLU) and squeeze-and-excitation. The larger networks were published with TensorFlow's batch norm.
SWISH = Style(activation=nn.SiLU, squeeze_excite=True)
TENSORFLOW = Style(activation=nn.SiLU, squeeze_excite=True, eps=0.001, momentum=0.01)


class EfficientNet(MBConvNetwork):
    """B0 with `depth` times the blocks and `width` times the channels of each stage (section 3.3)."""

    def __init__(
        self,
        *,
        depth: float = 1.0,
        width: float = 1.0,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.2,
        stochastic_depth: float = 0.2,
        style: Style = SWISH,
    ) -> None:
        rows = [row._replace(width=round_width(row.width, width), depth=round_depth(row.depth, depth)) for row in B0]
        super().__init__(
            stem=round_width(STEM, width),
            rows=rows,
            head=4 * rows[-1].width,
            style=style,
            classes=classes,
            channels=channels,
            dropout=dropout,
            stochastic_depth=stochastic_depth,
        )


def _torchvision(network: nn.Module) -> Mapping[str, str]:
    """torchvision numbers stem, stages and head, and within a block what there is of expand, depthwise, SE, project."""
    names = {"features.0.0": "stem.conv", "features.0.1": "stem.bn", "classifier.1": "classifier"}
    names |= {f"features.{len(B0) + 1}.{i}": f"head.{part}" for i, part in enumerate(("conv", "bn"))}
    for stage, index, block in blocks_of(network):
        parts = [part for part, _ in block.named_children() if part in _PARTS]
        for position, part in enumerate(parts):
            theirs = f"features.{stage.removeprefix('stage')}.{index}.block.{position}"
            ours = f"{stage}.{index}.{part}"
            if part == "squeeze_excite":
                names |= {f"{theirs}.fc1": f"{ours}.reduce", f"{theirs}.fc2": f"{ours}.expand"}
            else:
                names |= {f"{theirs}.0": f"{ours}.conv", f"{theirs}.1": f"{ours}.bn"}
    return names


_PARTS = ("expand", "depthwise", "squeeze_excite", "project")


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


def _builder(scale: Scale, dropout: float, style: Style = SWISH) -> Builder:
    def build(asked: Request) -> nn.Module:
        return EfficientNet(
            depth=scale.depth,
            width=scale.width,
            classes=asked.classes,
            channels=asked.channels,
            dropout=dropout if asked.dropout is None else asked.dropout,
            style=style,
        )

    return build


# The authors' coefficients (their efficientnet_builder.py), near the compound ones of section 3.3; epsilon and momentum
# as in the published weights.
FAMILY = Family(
    networks={
        "efficientnet_b0": _builder(Scale(depth=1.0, width=1.0, resolution=224), 0.2),
        "efficientnet_b1": _builder(Scale(depth=1.1, width=1.0, resolution=240), 0.2),
        "efficientnet_b2": _builder(Scale(depth=1.2, width=1.1, resolution=260), 0.3),
        "efficientnet_b3": _builder(Scale(depth=1.4, width=1.2, resolution=300), 0.3),
        "efficientnet_b4": _builder(Scale(depth=1.8, width=1.4, resolution=380), 0.4),
        "efficientnet_b5": _builder(Scale(depth=2.2, width=1.6, resolution=456), 0.4, TENSORFLOW),
        "efficientnet_b6": _builder(Scale(depth=2.6, width=1.8, resolution=528), 0.5, TENSORFLOW),
        "efficientnet_b7": _builder(Scale(depth=3.1, width=2.0, resolution=600), 0.5, TENSORFLOW),
    },
    first="stem.conv",
    heads=("classifier",),
    layouts={"torchvision": _torchvision, "timm": timm_layout},
)
