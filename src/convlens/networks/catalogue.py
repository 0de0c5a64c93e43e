"""From a name to a network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from convlens.errors import ConvlensError
from convlens.networks.cards import Card, card

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of `create`, with the card's defaults filled in; `dropout` None means the paper's."""

    classes: int
    channels: int
    size: tuple[int, int]
    dropout: float | None


class Builder(Protocol):
    """What a family's table `NETWORKS` holds for each name: builds the network with initial weights."""

    def __call__(self, request: Request, /) -> nn.Module: ...  # noqa: D102


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
        name: one of `convlens.networks.names()`.
        classes: outputs of the network; the card's when None.
        channels: channels of the images; the card's when None.
        size: (height, width) of the images; the card's when None. It only matters to networks whose layers depend on
            it (`mlp` and the LeNets); the others take any size from the card's smallest one on.
        dropout: probability that a unit of the classifier is dropped in training; the paper's when None.
        weights: the name of published weights, or a file of weights; initial weights as in the paper when None.

    Returns:
        The network in training mode: x (N, channels, H, W) float -> scores (N, classes), larger is likelier.
        Networks with auxiliary heads return `WithAuxiliary` in training mode.

    Raises:
        ConvlensError: an unknown name, a value out of range, a size below the smallest, weights that do not fit.

    >>> import torch
    >>> create("lenet5", classes=3)(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 3])
    """
    sheet = card(name)
    _check_values(classes, channels, dropout)
    check_size(name, size or sheet.input_size)
    if weights is not None:
        raise ConvlensError(f"weights={str(weights)!r}: published weights are not there yet; leave weights out")
    build: Builder = import_module(f"convlens.networks.{sheet.family}").NETWORKS[name]
    request = Request(
        classes=sheet.classes if classes is None else classes,
        channels=sheet.channels if channels is None else channels,
        size=size or sheet.input_size,
        dropout=dropout,
    )
    return build(request)


def check_size(name: str, size: tuple[int, int]) -> None:
    """Check that images of a size can pass through a network.

    Args:
        name: one of `convlens.networks.names()`.
        size: (height, width) in pixels.

    Raises:
        ConvlensError: the size is below the smallest one, which the message names.

    >>> check_size("resnet18", (64, 64))
    """
    sheet: Card = card(name)
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
