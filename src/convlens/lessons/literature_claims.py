"""What the lecture says of the networks' sizes and speeds, each sentence with our number and the published one."""

from collections.abc import Sequence
from dataclasses import dataclass

from convlens.lessons.literature import Compared
from convlens.networks import card


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of the lecture.

    Attributes:
        text: the sentence, with both numbers.
        stated: the number that the lecture states.
        found: the same number from what we counted, or from the published seconds where `counted` is false.
        counted: whether `found` rests on our own networks.
    """

    text: str
    stated: float
    found: float
    counted: bool


def claims(rows: Sequence[Compared]) -> list[Claim]:
    """The lecture's claims, from the compared rows of every paper."""
    tan = {row.stated.network: row for row in rows if row.stated.in_figure_1}
    others = {row.stated.network: row for row in rows if not row.stated.in_figure_1}
    alexnet = others["AlexNet"]
    return [
        _smaller(tan["EfficientNet-B7"], tan["GPipe"], "GPipe's AmoebaNet-B", 8.4),
        _faster(tan["EfficientNet-B7"], tan["GPipe"], "GPipe's AmoebaNet-B", 6.1),
        _smaller(tan["EfficientNet-B1"], tan["ResNet-152"], "ResNet-152", 7.6),
        _faster(tan["EfficientNet-B1"], tan["ResNet-152"], "ResNet-152", 5.7),
        _size(alexnet, "AlexNet", 60e6, "in two groups of filters, as on two GPUs"),
        _size(others["VGG-16 (D)"], "VGG-16", 140e6, "nine tenths of them in its three linear layers"),
        _googlenet(others["GoogLeNet"], alexnet),
        _size(others["ResNet-50"], "ResNet-50", 25e6, "with one linear layer"),
    ]


def _smaller(small: Compared, large: Compared, name: str, stated: float) -> Claim:
    found = _counted(large) / _counted(small)
    return Claim(
        text=(
            f"{small.stated.network} is {found:.1f} times smaller than {name}: {_counted(small):,} parameters against "
            f"{_counted(large):,}; the paper says {stated:g} times, {_millions(small)} against {_millions(large)}"
        ),
        stated=stated,
        found=found,
        counted=True,
    )


def _faster(quick: Compared, slow: Compared, name: str, stated: float) -> Claim:
    assert quick.stated.seconds is not None
    assert slow.stated.seconds is not None
    found = slow.stated.seconds / quick.stated.seconds
    return Claim(
        text=(
            f"{quick.stated.network} is {stated:g} times faster than {name} on one core, as published: "
            f"{quick.stated.seconds:g} s against {slow.stated.seconds:g} s, which is {found:.2f} times"
        ),
        stated=stated,
        found=found,
        counted=False,
    )


def _size(row: Compared, name: str, stated: float, how: str) -> Claim:
    text = (
        f"{name} has {_counted(row):,} parameters, {how}; the lecture says about {stated / 1e6:g} M, "
        f"the paper {_millions(row)}"
    )
    return Claim(text=text, stated=stated, found=_counted(row), counted=True)


def _googlenet(row: Compared, alexnet: Compared) -> Claim:
    """Where "5 million" comes from, and why today's networks of that name have more."""
    assert row.stated.parameters is not None
    today = card("googlenet").parameters
    text = (
        f"GoogLeNet has {_counted(row):,} parameters as table 1 draws it, without the heads that only training uses; "
        f"the lecture says about {_millions(row)}, since the paper counts 12 times fewer than AlexNet's "
        f"{_millions(alexnet)}; today's {today:,} come from 3×3 in place of 5×5, and batch norm in place of biases"
    )
    return Claim(text=text, stated=row.stated.parameters, found=_counted(row), counted=True)


def _counted(row: Compared) -> int:
    assert row.parameters is not None
    return row.parameters


def _millions(row: Compared) -> str:
    assert row.stated.parameters is not None
    return f"{row.stated.parameters / 1e6:g} M"
