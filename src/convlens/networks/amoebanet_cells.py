"""The cells of AmoebaNet that evolution found: pairs of operations on earlier states, added up (Real et al., 2018).

State 0 is the cell's input, state 1 the output of the cell before the previous one, both brought to the cell's width;
every pair makes the next state. Figures as in the authors' published code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convlens.networks.same_padding import SamePadding

EPS = 0.001  # of every batch norm, TensorFlow's; its momentum of 0.9997 is left out, for it suits very long trainings

# (channels, width, stride) -> a module from channels to width
Operation = Callable[[int, int, int], nn.Module]


class Pair(NamedTuple):
    """Two operations and the states that they read; their sum is a new state."""

    left: Operation
    left_state: int
    right: Operation
    right_state: int


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """A cell: its five pairs, which make states 2 to 6, and the states that are stacked as its output."""

    pairs: tuple[Pair, ...]
    output: tuple[int, ...]


class Cell(nn.Module):
    """Width `width` inside, `len(plan.output)` times that as its output.

    Args:
        plan: what it computes.
        channels: of its input.
        previous: channels of the output of the cell before the previous one; None for the first cell, which has none
            and reads its own input instead, as it is.
        shrunk: whether that output is twice as high and wide as the input.
        width: channels of every state.
        stride: 2 halves the map, wherever states 0 and 1 are read.
    """

    def __init__(
        self, plan: CellPlan, *, channels: int, previous: int | None, shrunk: bool, width: int, stride: int
    ) -> None:
        super().__init__()
        self.plan = plan
        self.channels = width * len(plan.output)
        self.begin = activated(channels, width)
        self.previous: nn.Module = nn.Identity()
        if previous is not None and shrunk:
            self.previous = FactorisedReduction(previous, width)
        elif previous is not None and previous != width:
            self.previous = activated(previous, width)
        of_previous = channels if previous is None else width
        for number, pair in enumerate(plan.pairs, start=2):
            for side, operation, state in (("left", pair.left, pair.left_state), ("right", *pair[2:])):
                reads = of_previous if state == 1 else width
                self.add_module(f"{side}{number}", operation(reads, width, stride if state < 2 else 1))

    def forward(self, x: Tensor, previous: Tensor) -> Tensor:
        """Map (N, channels, H, W), and the earlier output, to (N, width * outputs, H / stride, W / stride)."""
        states = [self.begin(x), self.previous(previous)]
        for number, pair in enumerate(self.plan.pairs, start=2):
            left = self.get_submodule(f"left{number}")(states[pair.left_state])
            states.append(left + self.get_submodule(f"right{number}")(states[pair.right_state]))
        return torch.cat([states[index] for index in self.plan.output], dim=1)


class FactorisedReduction(nn.Module):
    """Half the height and width without leaving pixels out: two strided 1×1, the second one pixel further on."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.even = nn.Conv2d(channels, width // 2, 1, stride=2, bias=False)
        self.pad = nn.ZeroPad2d((-1, 1, -1, 1))
        self.odd = nn.Conv2d(channels, width // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, width, ⌈H / 2⌉, ⌈W / 2⌉)."""
        x = self.act(x)
        return self.bn(torch.cat([self.even(x), self.odd(self.pad(x))], dim=1))  # type: ignore[no-any-return]


def activated(
    channels: int, width: int, kernel_size: tuple[int, int] = (1, 1), stride: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """ReLU, convolution with SAME padding, batch norm."""
    return nn.Sequential(nn.ReLU(), *_convolution(channels, width, kernel_size, stride), nn.BatchNorm2d(width, eps=EPS))


def _convolution(
    channels: int, width: int, kernel_size: tuple[int, int], stride: tuple[int, int], groups: int = 1
) -> list[nn.Module]:
    """A convolution with SAME padding, which depends on the size of the map where there is a stride."""
    equal = (kernel_size[0] // 2, kernel_size[1] // 2) if stride == (1, 1) else (0, 0)
    convolution = nn.Conv2d(channels, width, kernel_size, stride, equal, groups=groups, bias=False)
    return (
        [convolution] if stride == (1, 1) or kernel_size == (1, 1) else [SamePadding(kernel_size, stride), convolution]
    )


def none(channels: int, width: int, stride: int) -> nn.Module:
    """The state itself, or a strided 1×1 where shape or width must change."""
    return nn.Identity() if stride == 1 and channels == width else activated(channels, width, stride=(stride, stride))


def one(channels: int, width: int, stride: int) -> nn.Module:
    """A 1×1 convolution."""
    return activated(channels, width, stride=(stride, stride))


def three(channels: int, width: int, stride: int) -> nn.Module:
    """A 3×3 convolution through a quarter of the width."""
    inner = max(1, width // 4)
    return nn.Sequential(
        activated(channels, inner), activated(inner, inner, (3, 3), (stride, stride)), activated(inner, width)
    )


def seven(channels: int, width: int, stride: int) -> nn.Module:
    """A 1×7 and a 7×1 convolution through a quarter of the width."""
    inner = max(1, width // 4)
    return nn.Sequential(
        activated(channels, inner),
        activated(inner, inner, (1, 7), (1, stride)),
        activated(inner, inner, (7, 1), (stride, 1)),
        activated(inner, width),
    )


def separable(kernel_size: int) -> Operation:
    """Twice ReLU, depthwise convolution, 1×1, batch norm; the first one strided.

    The authors' code searches over dilated ones too, and leaves the dilation out when it builds them.
    """

    def build(channels: int, width: int, stride: int) -> nn.Module:
        def layer(before: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                nn.ReLU(),
                *_convolution(before, before, (kernel_size, kernel_size), (stride, stride), groups=before),
                nn.Conv2d(before, width, 1, bias=False),
                nn.BatchNorm2d(width, eps=EPS),
            )

        return nn.Sequential(layer(channels, stride), layer(width, 1))

    return build


def largest(kernel_size: int) -> Operation:
    """Max pooling, and a 1×1 where the width must change."""

    def build(channels: int, width: int, stride: int) -> nn.Module:
        if stride == 1 and kernel_size % 2:
            pool: list[nn.Module] = [nn.MaxPool2d(kernel_size, 1, padding=kernel_size // 2)]
        else:
            pool = [SamePadding(kernel_size, stride, float("-inf")), nn.MaxPool2d(kernel_size, stride)]
        return nn.Sequential(*pool, *_to_width(channels, width))

    return build


def mean3(channels: int, width: int, stride: int) -> nn.Module:
    """3×3 average pooling of what lies inside the map, and a 1×1 where the width must change."""
    pool = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)  # never strided in these cells
    return nn.Sequential(pool, *_to_width(channels, width))


def _to_width(channels: int, width: int) -> list[nn.Module]:
    if channels == width:
        return []
    return [nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width, eps=EPS)]


max2, max3 = largest(2), largest(3)
sep3, sep5 = separable(3), separable(5)

NORMAL_B = CellPlan(
    pairs=(
        Pair(one, 1, max3, 1),
        Pair(none, 1, sep3, 0),
        Pair(one, 1, sep3, 0),
        Pair(one, 2, none, 2),
        Pair(mean3, 1, one, 5),
    ),
    output=(0, 3, 4, 6),
)
REDUCTION_B = CellPlan(
    pairs=(
        Pair(max2, 0, max3, 0),
        Pair(none, 2, three, 1),
        Pair(sep5, 2, max3, 2),
        Pair(none, 3, sep3, 1),
        Pair(mean3, 4, one, 3),
    ),
    output=(5, 6),
)
NORMAL_D = CellPlan(
    pairs=(
        Pair(one, 1, max3, 1),
        Pair(none, 1, seven, 0),
        Pair(one, 0, seven, 0),
        Pair(max3, 2, none, 2),
        Pair(mean3, 1, one, 5),
    ),
    output=(0, 3, 4, 6),
)
REDUCTION_D = CellPlan(
    pairs=(
        Pair(max2, 0, max3, 0),
        Pair(none, 2, three, 1),
        Pair(seven, 2, max3, 2),
        Pair(none, 3, max2, 1),
        Pair(mean3, 2, one, 3),
    ),
    output=(4, 5, 6),
)
