"""One card a network: paper, sizes, cost, accuracy, preprocessing and published weights, read from two tables.

Every figure on a card is recomputed from the network by `tests/networks/test_cards.py`. Nothing here needs torch.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from convlens.errors import unknown_name
from convlens.images import Preprocessing
from convlens.networks import places
from convlens.networks.published import PublishedWeights, published_weights, read_preprocessing
from convlens.networks.scaled import BASES, is_scaled, read_scaled, scaled_card

# the name that means a network's default weights, whatever those are called
DEFAULT = "imagenet1k"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is published about one network.

    Attributes:
        name: the name that `convlens.create` takes.
        family: the module of `convlens.networks` that has its layers.
        paper: where it was described, with the section or table.
        year: of the paper.
        classes: default number of classes.
        channels: default number of input channels.
        input_size: (height, width) of the images that the figures below are for.
        smallest_size: (height, width) below which the geometry leaves nothing of the image.
        parameters: trainable parameters at `classes`, `channels` and `input_size`, with auxiliary heads where it has
        some. macs: multiply-adds of convolutions and linear layers for one image of `input_size`, in eval mode.
        top1: published accuracy in percent, None where none was published.
        top5: published top-5 accuracy in percent, None where none was published.
        accuracy_source: dataset, protocol and table of the accuracy.
        preprocessing: what happens to an image before the network, unless published weights say otherwise.
        weights: name -> published weights.
    """

    name: str
    family: str
    paper: str
    year: int
    classes: int
    channels: int
    input_size: tuple[int, int]
    smallest_size: tuple[int, int]
    parameters: int
    macs: int
    top1: float | None
    top5: float | None
    accuracy_source: str
    preprocessing: Preprocessing
    weights: Mapping[str, PublishedWeights]

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the outputs of the published weights mean, in order; empty where none were published."""
        return next((each.class_names for each in self.weights.values() if each.class_names), ())

    def named(self, weights: str | Path) -> PublishedWeights | None:
        """Find the published weights that a name means, in any case; None where it means none of this network's.

        `"imagenet1k"` means those that are installed, else the most accurate ones.
        """
        name = str(weights).lower()
        return self.weights.get(name) or (places.default(self.name) if name == DEFAULT else None)

    def published(self, weights: str | Path) -> PublishedWeights | None:
        """Find the published weights that a name means, or those that a file is a copy of (by its SHA-256)."""
        named, path = self.named(weights), Path(weights).expanduser()
        if named is not None or not self.weights or not path.is_file():
            return named
        digest = places.sha256(path)
        return next((each for each in self.weights.values() if digest.startswith(each.sha256_prefix)), None)


def names() -> tuple[str, ...]:
    """Return the name of every network, family by family.

    >>> "resnet18" in names()
    True
    """
    return tuple(_cards())


def card(name: str) -> Card:
    """Return the card of one network, or of a scaled one such as `efficientnet@1.2,1.1,260`.

    Raises:
        UnknownNameError: no network is called that; the nearest names are offered.

    >>> card("lenet5").parameters
    61706
    """
    if is_scaled(name):
        return scaled_card(name, card)
    try:
        return _cards()[name]
    except KeyError:
        raise unknown_name("network", name, names()) from None


def is_name(name: str) -> bool:
    """Whether a network is called that: one of `names()`, or a scaled one.

    >>> is_name("resnet18"), is_name("efficientnet@1.2,1.1,260"), is_name("photos")
    (True, True, False)

    Raises:
        ConvlensError: coefficients that are none.
    """
    return name in _cards() or (is_scaled(name) and name.partition("@")[0] in BASES and bool(read_scaled(name)))


@cache
def _cards() -> Mapping[str, Card]:
    text = files("convlens.networks").joinpath("cards.csv").read_text(encoding="utf-8")
    return MappingProxyType({row["name"]: _read_card(row) for row in csv.DictReader(text.splitlines())})


def _read_card(row: dict[str, str]) -> Card:
    size = _read_size(row["input"])
    return Card(
        name=row["name"],
        family=row["family"],
        paper=row["paper"],
        year=int(row["year"]),
        classes=int(row["classes"]),
        channels=int(row["channels"]),
        input_size=size,
        smallest_size=_read_size(row["smallest"]),
        parameters=int(row["parameters"]),
        macs=int(row["macs"]),
        top1=float(row["top1"]) if row["top1"] else None,
        top5=float(row["top5"]) if row["top5"] else None,
        accuracy_source=row["accuracy_source"],
        preprocessing=read_preprocessing(row, size),
        weights=published_weights(row["name"]),
    )


def _read_size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


def matching(pattern: str | None) -> list[str]:
    """The name that was given in full, else those that match a pattern or hold it; all for None.

    Raises:
        UnknownNameError: none does.
    """
    if pattern is not None and is_name(pattern):
        return [pattern]
    wanted = (pattern or "*").lower()
    found = [name for name in names() if fnmatchcase(name, wanted) or wanted in name]
    if not found:
        raise unknown_name("network", str(pattern), names())
    return found
