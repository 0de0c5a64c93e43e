"""Networks named by their scaling coefficients: `efficientnet@1.2,1.1,260` is B0, deeper, wider and for larger images.

Tan and Le, EfficientNet, 2019, section 3.3, for any base of `BASES`: factors on the depth and the width of each stage,
and the side of the images in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from convlens.errors import ConvlensError, unknown_name
from convlens.networks.families import Request
from convlens.networks.scaling import Scale

if TYPE_CHECKING:
    from torch import nn

    from convlens.networks.cards import Card
    from convlens.networks.families import Builder, Request

# what stands before the @ -> the network of the catalogue that is scaled
BASES = {
    "efficientnet": "efficientnet_b0",
    "efficientnet_b0": "efficientnet_b0",
    "mobilenet_v2": "mobilenet_v2",
    "resnet": "resnet18",
    **{name: name for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")},
}
_LEAST, _MOST = 0.05, 20.0  # factors
_LARGEST = 4096  # pixels


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A base and its coefficients."""

    base: str
    scale: Scale


def is_scaled(name: str) -> bool:
    """Whether a name is meant to be one with coefficients."""
    return "@" in name


def scaled_name(base: str, scale: Scale) -> str:
    """The name of a base with coefficients; factors have two decimals.

    >>> scaled_name("efficientnet", Scale(depth=1.2, width=1.104, resolution=260))
    'efficientnet@1.2,1.1,260'
    """
    depth, width = (f"{round(factor, 2):g}" for factor in (scale.depth, scale.width))
    return f"{base}@{depth},{width},{scale.resolution}"


def read_scaled(name: str) -> Scaled:
    """Read a name such as `efficientnet@1.2,1.1,260`.

    Raises:
        ConvlensError: another base than those of `BASES`, or coefficients that are none.
    """
    base, _, text = name.partition("@")
    if base not in BASES:
        raise unknown_name(f"base in {name!r}:", base, BASES)
    parts = text.split(",")
    try:
        depth, width, resolution = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        parts = []
        depth, width, resolution = 0.0, 0.0, 0
    if len(parts) != 3:
        raise ConvlensError(
            f"{name!r} is not three coefficients after the @: factors on depth and width, and the side of the images "
            f"in pixels, such as {base}@1.2,1.1,260"
        )
    for what, factor in (("depth", depth), ("width", width)):
        if not _LEAST <= factor <= _MOST:
            raise ConvlensError(f"{name!r}: the factor on the {what} is {factor:g}; use {_LEAST:g} to {_MOST:g}")
    if not 1 <= resolution <= _LARGEST:
        raise ConvlensError(f"{name!r}: images of {resolution} pixels; use 1 to {_LARGEST}")
    return Scaled(base=base, scale=Scale(depth=depth, width=width, resolution=resolution))


def scaled_card(name: str, card: Callable[[str], Card]) -> Card:
    """The card of a scaled network: its base's paper, its own size, parameters and MACs, no published accuracy."""
    read = read_scaled(name)
    base, side = card(BASES[read.base]), read.scale.resolution
    if side < max(base.smallest_size):
        raise ConvlensError(f"{name!r}: images of {side} pixels; its layers need at least {max(base.smallest_size)}")
    parameters, macs = counted(name, base.classes, base.channels)
    return replace(
        base,
        name=name,
        input_size=(side, side),
        parameters=parameters,
        macs=macs,
        top1=None,
        top5=None,
        accuracy_source="none published for these coefficients",
        preprocessing=base.preprocessing.at_size((side, side)),
        weights={},
    )


def scaled_builder(name: str) -> Builder:
    """What builds a scaled network with initial weights."""
    read = read_scaled(name)
    scale = read.scale

    def build(asked: Request) -> nn.Module:
        base = BASES[read.base]
        dropout = 0.2 if asked.dropout is None else asked.dropout
        if base == "efficientnet_b0":
            from convlens.networks.efficientnet import EfficientNet

            return EfficientNet(
                depth=scale.depth, width=scale.width, classes=asked.classes, channels=asked.channels, dropout=dropout
            )
        if base == "mobilenet_v2":
            from convlens.networks.mobilenet_v2 import MobileNetV2

            return MobileNetV2(
                depth=scale.depth, width=scale.width, classes=asked.classes, channels=asked.channels, dropout=dropout
            )
        from convlens.networks.resnet import scale_resnet

        return scale_resnet(base, scale, asked)

    return build


@cache
def counted(name: str, classes: int, channels: int) -> tuple[int, int]:
    """Parameters, and multiply-adds of convolutions and linear layers for one image; nothing is computed."""
    import torch
    from torch import nn

    from convlens.networks.outline import outlined

    side = read_scaled(name).scale.resolution
    macs = 0

    def count(module: nn.Module, _: object, made: torch.Tensor) -> None:
        nonlocal macs
        macs += made.numel() * module.weight[0].numel()  # type: ignore[index]

    with outlined(), torch.inference_mode():
        network = scaled_builder(name)(
            Request(classes=classes, channels=channels, size=(side, side), dropout=None)
        ).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        network(torch.empty(1, channels, side, side))
    return sum(each.numel() for each in network.parameters()), macs
