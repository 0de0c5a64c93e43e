"""The published ImageNet weights: where they are, what they reach and how their images were prepared (`published.csv`).

The figures are those of the publishers (torchvision 0.28.0), not ours.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import cast

from convlens.images import Interpolation, Preprocessing


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One published file of weights.

    Attributes:
        network: the network that they fit.
        name: what `create(..., weights=name)` takes.
        url: where the file is.
        sha256_prefix: the first hexadecimal digits of its SHA-256.
        file_mb: its size in MiB.
        top1: ImageNet accuracy in percent for one crop, None for weights that are no classifier.
        top5: the same for five guesses.
        preprocessing: what its images went through.
    """

    network: str
    name: str
    url: str
    sha256_prefix: str
    file_mb: float
    top1: float | None
    top5: float | None
    preprocessing: Preprocessing

    @property
    def file_name(self) -> str:
        """Name of the file in the cache folder."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order; empty for weights that are no classifier."""
        return () if self.top1 is None else imagenet_classes()


def published_weights(network: str) -> Mapping[str, PublishedWeights]:
    """Return name -> weights of one network, empty where none were published."""
    return MappingProxyType({weights.name: weights for weights in _table() if weights.network == network})


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1,000 classes of ImageNet (ILSVRC 2012) by WordNet number, the order of outputs in torchvision and timm."""
    text = files("convlens.networks").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def read_preprocessing(row: dict[str, str], size: tuple[int, int]) -> Preprocessing:
    """Read the columns resize (pixels of the shorter side, or HxW), interpolation, mean and std of a table."""
    mean = tuple(float(value) for value in row["mean"].split())
    exact = "x" in row["resize"]
    return Preprocessing(
        size=size,
        resize=size if exact else int(row["resize"]),
        crop=None if exact else "center",
        interpolation=cast(Interpolation, row["interpolation"]),
        mean=mean,
        std=tuple(float(value) for value in row["std"].split()),
        channels=len(mean),
    )


@cache
def _table() -> tuple[PublishedWeights, ...]:
    text = files("convlens.networks").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_read_weights(row) for row in csv.DictReader(text.splitlines()))


def _read_weights(row: dict[str, str]) -> PublishedWeights:
    digits = re.search(r"-([0-9a-f]{8})\.pth$", row["url"])
    if digits is None:
        raise AssertionError(f"{row['url']} does not end with the digits of its SHA-256")
    return PublishedWeights(
        network=row["network"],
        name=row["weights"],
        url=row["url"],
        sha256_prefix=digits[1],
        file_mb=float(row["file_mb"]),
        top1=float(row["top1"]) if row["top1"] else None,
        top5=float(row["top5"]) if row["top5"] else None,
        preprocessing=read_preprocessing(row, (int(row["crop"]), int(row["crop"]))),
    )
