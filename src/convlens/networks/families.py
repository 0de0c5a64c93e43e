"""What every family file declares at its end, for the catalogue and for the loading of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import nn

    from convlens.images import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of `create`, with the card's defaults filled in; `dropout` None means the paper's."""

    classes: int
    channels: int
    size: tuple[int, int]
    dropout: float | None


class Builder(Protocol):
    """Builds one network with initial weights."""

    def __call__(self, request: Request, /) -> nn.Module: ...  # noqa: D102


# Given the network, returns: another project's name of a module -> our name of it. What a module holds (weight, bias,
# running_mean …) is called the same everywhere.
Layout = Callable[["nn.Module"], Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """The networks of one file, and how weights from elsewhere fit them.

    Attributes:
        networks: name -> builder.
        first: the layer that sees the image, whose kernel adapts to other channel counts; None if it cannot.
        heads: the layers that give one output a class, which start anew for other class counts; those of auxiliary
            heads are not in every network of the family, see `heads_of`.
        layouts: project -> how it names our modules; our own names always work.
        optional: beginnings of our names that a file may lack, or have without the network having them.
        prepare: sets the network up for images as published weights take them, where that is not in the weights.
    """

    networks: Mapping[str, Builder]
    first: str | None
    heads: tuple[str, ...]
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    prepare: Callable[[nn.Module, Preprocessing], None] | None = None

    def heads_of(self, network: nn.Module) -> tuple[str, ...]:
        """Those of `heads` that a network has."""
        there = {name for name, _ in network.named_modules()}
        return tuple(head for head in self.heads if head in there)
