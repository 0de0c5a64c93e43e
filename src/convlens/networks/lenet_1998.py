"""LeNet-5 as its paper has it (LeCun et al., Gradient-based learning …, 1998, section II-B).

60,000 trainable parameters: partial connections in C3, subsampling with a trainable coefficient and bias, scaled tanh,
and an output that measures how far F6 is from a bitmap of each class.
"""

import math
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlens.networks.bitmaps import codes
from convlens.networks.families import Family, Request
from convlens.networks.size_checks import check_exact

# Table I: which maps of S2 each map of C3 sees. Six see three neighbours, nine see four, the last sees all.
C3_THREE = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5))
C3_FOUR = (
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),  # contiguous
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),  # not contiguous
)


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a/3), so that f(1) = 1 and f(-1) = -1 (appendix A)."""

    def forward(self, a: Tensor) -> Tensor:
        """Squash every element."""
        return 1.7159 * torch.tanh(a * (2 / 3))


class Subsampling(nn.Module):
    """Add up 2×2 pixels, multiply by a trainable coefficient and add a trainable bias, one of each a map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, maps, H, W) to (N, maps, H/2, W/2)."""
        return F.avg_pool2d(x, 2) * 4 * self.weight + self.bias


class C3(nn.Module):
    """The convolution with the partial connections of table I: 16 maps, 60 kernels instead of 96."""

    def __init__(self) -> None:
        super().__init__()
        self.three = nn.Conv2d(3 * len(C3_THREE), len(C3_THREE), 5, groups=len(C3_THREE))
        self.four = nn.Conv2d(4 * len(C3_FOUR), len(C3_FOUR), 5, groups=len(C3_FOUR))
        self.all = nn.Conv2d(6, 1, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 6, H, W) to (N, 16, H-4, W-4)."""
        three = self.three(x[:, list(chain(*C3_THREE))])
        four = self.four(x[:, list(chain(*C3_FOUR))])
        return torch.cat([three, four, self.all(x)], dim=1)


class RadialBasis(nn.Module):
    """How near F6 is to each class's fixed bitmap: y = -Σ (x - w)², larger is likelier (equation 7, negated)."""

    bitmaps: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("bitmaps", codes(classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 84), or a map (N, 84, H, W), to (N, classes) or (N, classes, H, W)."""
        differences = x.movedim(1, -1).unsqueeze(-2) - self.bitmaps
        return -(differences**2).sum(dim=-1).movedim(-1, 1)


class LeNet5Of1998(nn.Module):
    """The network of figure 2. Weights and biases start uniformly within 2.4/fan-in (appendix A).

    `size` sets C5's kernel so that its maps are 1×1, as they are for the paper's 32×32 images. The paper has ten
    bitmaps for ten digits; further classes get random codes of ±1, as section II-B mentions.
    """

    def __init__(
        self, *, classes: int = 10, channels: int = 1, size: tuple[int, int] = (32, 32), dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.size: tuple[int, int] | None = size
        height, width = (((side - 4) // 2 - 4) // 2 for side in size)
        self.c1 = nn.Conv2d(channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = C3()
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, (height, width))
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.squash = ScaledTanh()
        self.dropout = nn.Dropout(dropout)
        self.output = RadialBasis(classes)
        self._initialise()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes), the negated distances to the bitmaps."""
        check_exact(x_NCHW, self.size)
        x = self.squash(self.s2(self.squash(self.c1(x_NCHW))))
        x = self.squash(self.s4(self.squash(self.c3(x))))
        x = self.flatten(self.squash(self.c5(x)))
        return self.output(self.dropout(self.squash(self.f6(x))))  # type: ignore[no-any-return]

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Subsampling):
                fan_in = 4
            elif isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = math.prod(module.weight.shape[1:])
            else:
                continue
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in)


def _lenet5_1998(asked: Request) -> nn.Module:
    return LeNet5Of1998(classes=asked.classes, channels=asked.channels, size=asked.size, dropout=asked.dropout or 0.0)


FAMILY = Family(
    networks={"lenet5_1998": _lenet5_1998},
    first="c1",
    heads=("output",),
)
