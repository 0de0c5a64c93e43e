"""From a name to a network, with weights if wanted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from convlens.errors import ConvlensError
from convlens.networks.cards import Card, card
from convlens.networks.families import Builder, Family, Request
from convlens.networks.scaled import is_scaled, scaled_builder

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def create(
    name: str,
    *,
    classes: int | None = None,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    dropout: float | None = None,
    weights: str | Path | None = None,
) -> nn.Module:
    """Build a network of the catalogue.

    Args:
        name: one of `convlens.networks.names()`, or a base with coefficients such as `efficientnet@1.2,1.1,260`
            (`convlens.networks.scaled`).
        classes: outputs of the network; the card's, or those of the weights, when None.
        channels: channels of the images; the card's, or those of the weights, when None.
        size: (height, width) of the images; the card's when None. It only matters to networks whose layers depend on
            it (`mlp` and the LeNets); the others take any size from the card's smallest one on.
        dropout: probability that a unit of the classifier is dropped in training; the paper's when None.
        weights: the name of published weights, such as `"imagenet1k_v1"` (downloaded once), or a .pth, .pt or
            .safetensors file in our, torchvision's or timm's layout; initial weights as in the paper when None.

    Returns:
        The network in training mode: x (N, channels, H, W) float -> scores (N, classes), larger is likelier.
        Networks with auxiliary heads return `WithAuxiliary` in training mode. `input_size` is the size it is meant for.

    Raises:
        ConvlensError: an unknown name, a value out of range, a size below the smallest, weights that do not fit.

    >>> import torch
    >>> create("lenet5", classes=3)(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 3])
    """
    sheet = card(name)
    _check_values(classes, channels, dropout)
    check_size(name, sheet.input_size if size is None else size)
    family = family_of(sheet)
    if weights is not None:
        from convlens.networks.weights import create_with_weights

        network = create_with_weights(sheet, family, weights, classes, channels, size, dropout)
    else:
        request = Request(
            classes=sheet.classes if classes is None else classes,
            channels=sheet.channels if channels is None else channels,
            size=size or sheet.input_size,
            dropout=dropout,
        )
        network = builder_of(sheet, family)(request)
    network.input_size = size or sheet.input_size  # type: ignore[assignment]
    return network


def family_of(sheet: Card) -> Family:
    """Return what the network's file declares."""
    family: Family = import_module(f"convlens.networks.{sheet.family}").FAMILY
    return family


def builder_of(sheet: Card, family: Family) -> Builder:
    """Return what builds a network of a family."""
    return scaled_builder(sheet.name) if is_scaled(sheet.name) else family.networks[sheet.name]


def check_size(name: str, size: tuple[int, int]) -> None:
    """Check that images of a size can pass through a network.

    Args:
        name: one of `convlens.networks.names()`.
        size: (height, width) in pixels.

    Raises:
        ConvlensError: the size is below the smallest one, which the message names.

    >>> check_size("resnet18", (64, 64))
    """
    sheet = card(name)
    if not isinstance(size, tuple | list) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ConvlensError(f"size={size!r} must be two whole numbers (height, width)")
    height, width = size
    smallest_height, smallest_width = sheet.smallest_size
    if height < smallest_height or width < smallest_width:
        raise ConvlensError(
            f"{name} cannot take images of {height}×{width} pixels; "
            f"its layers need at least {smallest_height}×{smallest_width}"
        )


def _check_values(classes: int | None, channels: int | None, dropout: float | None) -> None:
    for argument, value in (("classes", classes), ("channels", channels)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ConvlensError(f"{argument}={value!r} must be a whole number of at least 1")
    if dropout is not None and not 0 <= dropout < 1:
        raise ConvlensError(f"dropout={dropout!r} must be a probability from 0 to below 1")
