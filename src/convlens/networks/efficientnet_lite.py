"""EfficientNet-Lite, the authors' variant for processors and phones (their code of 2020, efficientnet/lite).

EfficientNet (Tan and Le, 2019) without what such devices are slow at: no squeeze-and-excitation, ReLU6 in place of
swish, and a stem and a head that do not grow.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from convlens.networks.efficientnet import B0, STEM
from convlens.networks.families import Builder, Family, Request
from convlens.networks.mbconv import MBConvNetwork, Stage, Style, blocks_of, timm_layout
from convlens.networks.scaling import Scale, round_depth, round_width

HEAD = 1280
LITE = Style(activation=nn.ReLU6, squeeze_excite=False, same_padding=True, eps=0.001, momentum=0.01)


class EfficientNetLite(MBConvNetwork):
    """B0's stages, `width` times as wide; all but the first and the last `depth` times as deep."""

    def __init__(
        self,
        *,
        depth: float = 1.0,
        width: float = 1.0,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.2,
        stochastic_depth: float = 0.2,
        style: Style = LITE,
    ) -> None:
        def scaled(row: Stage) -> Stage:
            blocks = row.depth if row in (B0[0], B0[-1]) else round_depth(row.depth, depth)
            return row._replace(width=round_width(row.width, width), depth=blocks)

        super().__init__(
            stem=STEM,
            rows=[scaled(row) for row in B0],
            head=HEAD,
            style=style,
            classes=classes,
            channels=channels,
            dropout=dropout,
            stochastic_depth=stochastic_depth,
        )


def _efficientnet_pytorch(network: nn.Module) -> Mapping[str, str]:
    """The layout of EfficientNet-PyTorch, in which the weights were converted: blocks counted through all stages."""
    names = {"_conv_stem": "stem.conv", "_bn0": "stem.bn", "_conv_head": "head.conv", "_bn1": "head.bn"}
    names["_fc"] = "classifier"
    parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    parts["project"] = ("_project_conv", "_bn2")
    for number, (stage, index, _) in enumerate(blocks_of(network)):
        for part, (convolution, batch_norm) in parts.items():
            names[f"_blocks.{number}.{convolution}"] = f"{stage}.{index}.{part}.conv"
            names[f"_blocks.{number}.{batch_norm}"] = f"{stage}.{index}.{part}.bn"
    return names


def _builder(scale: Scale, dropout: float) -> Builder:
    def build(asked: Request) -> nn.Module:
        return EfficientNetLite(
            depth=scale.depth,
            width=scale.width,
            classes=asked.classes,
            channels=asked.channels,
            dropout=dropout if asked.dropout is None else asked.dropout,
        )

    return build


# The authors' efficientnet_lite_builder.py.
FAMILY = Family(
    networks={
        "efficientnet_lite0": _builder(Scale(depth=1.0, width=1.0, resolution=224), 0.2),
        "efficientnet_lite1": _builder(Scale(depth=1.1, width=1.0, resolution=240), 0.2),
        "efficientnet_lite2": _builder(Scale(depth=1.2, width=1.1, resolution=260), 0.3),
        "efficientnet_lite3": _builder(Scale(depth=1.4, width=1.2, resolution=280), 0.3),
        "efficientnet_lite4": _builder(Scale(depth=1.8, width=1.4, resolution=300), 0.3),
    },
    first="stem.conv",
    heads=("classifier",),
    layouts={"EfficientNet-PyTorch": _efficientnet_pytorch, "timm": timm_layout},
)
