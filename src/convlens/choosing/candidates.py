"""What there is to choose from: networks by their names, patterns and ranges, at each size, with each weights."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from convlens import networks
from convlens.errors import ConvlensError, unknown_name

USUAL = "lenet5,resnet20..56,mobilenet_v2,efficientnet_lite*,efficientnet_b0..b2,resnet18..50"
"""From the smallest that learn digits to the largest that a laptop trains in an evening."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network at a size of its input, from initial or from published weights.

    Attributes:
        network: what `networks.create` takes.
        size: (height, width) of the input in pixels.
        weights: the name of published weights that are on this machine; None for initial ones.
    """

    network: str
    size: tuple[int, int]
    weights: str | None = None

    @property
    def name(self) -> str:
        """Its name in tables, and that of its run folder.

        >>> Candidate(network="resnet18", size=(96, 96)).name, Candidate(network="vgg11", size=(64, 96)).name
        ('resnet18-96', 'vgg11-64x96')
        """
        height, width = self.size
        size = str(height) if height == width else f"{height}x{width}"
        return "-".join([self.network, size, *([self.weights] if self.weights else [])])


def expand(patterns: str) -> tuple[str, ...]:
    """The networks that patterns name, each once, in the order in which they are named.

    Args:
        patterns: names with commas between them; `*` stands for anything, and `efficientnet_b0..b2` for all whose
            number lies between the two.

    Raises:
        ConvlensError: a pattern that no network fits; a range that is none.

    >>> expand("vgg1*,efficientnet_b0..b2")
    ('vgg11', 'vgg11_bn', 'vgg13', 'vgg13_bn', 'vgg16', 'vgg16_bn', 'vgg19', 'vgg19_bn', 'efficientnet_b0', \
'efficientnet_b1', 'efficientnet_b2')
    >>> expand("resnet18..34")
    ('resnet18', 'resnet34', 'resnet20', 'resnet32')
    """
    found: dict[str, None] = {}
    for pattern in _parts(patterns):
        found |= dict.fromkeys(_fitting(pattern))
    if not found:
        raise ConvlensError(f"networks is {patterns!r}; give names or patterns, such as 'resnet*,efficientnet_b0..b2'")
    return tuple(found)


def combine(
    names: Sequence[str], sizes: Sequence[tuple[int, int] | None], *, with_weights: bool
) -> list[tuple[str, tuple[int, int] | None, str | None]]:
    """All networks at all sizes, from initial weights and from the published ones that are on this machine."""
    combined = []
    for name in names:
        here = networks.installed_weights(name) if with_weights and networks.is_name(name) else None
        for size in sizes:
            combined += [(name, size, weights) for weights in (None, *([here.name] if here else []))]
    return combined


def _parts(patterns: str) -> list[str]:
    """The patterns one by one; numbers after a comma belong to the name before, as in efficientnet@1.2,1.1,260."""
    parts: list[str] = []
    for part in (part.strip() for part in patterns.split(",")):
        if parts and "@" in parts[-1] and re.fullmatch(r"[\d.]+", part):
            parts[-1] += f",{part}"
        elif part:
            parts.append(part)
    return parts


def _fitting(pattern: str) -> list[str]:
    if ".." in pattern:
        return _in_range(pattern)
    if any(letter in pattern for letter in "*?["):
        fitting = [name for name in networks.names() if fnmatchcase(name, pattern)]
        if not fitting:
            raise unknown_name("pattern of networks", pattern, networks.names())
        return fitting
    networks.card(pattern)  # says what is the nearest, where there is none of this name
    return [pattern]


def _in_range(pattern: str) -> list[str]:
    first, _, last = pattern.partition("..")
    low, high = _NUMBERED.fullmatch(first), _NUMBERED.fullmatch(last)
    if not low or not high or not low[1].endswith(high[1]) or low[3] != high[3]:
        raise ConvlensError(f"{pattern!r} is not a range of networks; write it as resnet18..50 or efficientnet_b0..b2")
    numbered = [(name, _NUMBERED.fullmatch(name)) for name in networks.names()]
    fitting = [
        name
        for name, parts in numbered
        if parts and (parts[1], parts[3]) == (low[1], low[3]) and int(low[2]) <= int(parts[2]) <= int(high[2])
    ]
    if not fitting:
        raise unknown_name("range of networks", pattern, networks.names())
    return fitting
