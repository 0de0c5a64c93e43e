"""The block of EfficientNet: MBConv, an inverted bottleneck with squeeze-and-excitation and stochastic depth.

Sandler et al., MobileNetV2, 2018 (inverted residuals, linear bottlenecks); Hu et al., Squeeze-and-excitation networks,
2017; Huang et al., Deep networks with stochastic depth, 2016; put together by Tan et al., MnasNet, 2018.
"""

import torch
from torch import Tensor, nn

from convlens.networks.scaling import round_width


def normalised(
    channels: int, width: int, kernel_size: int, *, stride: int = 1, groups: int = 1, activate: bool
) -> nn.Sequential:
    """Return convolution, batch norm and, if `activate`, SiLU (swish in the paper, section 5.2)."""
    convolution = nn.Conv2d(channels, width, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    block = nn.Sequential()
    block.add_module("conv", convolution)
    block.add_module("bn", nn.BatchNorm2d(width))
    if activate:
        block.add_module("act", nn.SiLU(inplace=True))
    return block


class SqueezeExcite(nn.Module):
    """Average each channel over the map, and from all averages decide how much of each channel passes."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.SiLU(inplace=True)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return x, each channel multiplied by its gate from 0 to 1."""
        return self.gate(self.expand(self.act(self.reduce(self.avgpool(x))))) * x  # type: ignore[no-any-return]


class StochasticDepth(nn.Module):
    """In training, leave a sample's residual out with probability `drop`, and scale the others up to make up for it."""

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        """Return x, or in training each sample of it either zero or divided by the probability to stay."""
        if not self.training or self.drop == 0:
            return x
        keep = 1 - self.drop
        stays = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * stays / keep

    def extra_repr(self) -> str:
        """Show the probability where the module is printed."""
        return f"drop={self.drop:g}"


class MBConv(nn.Module):
    """1×1 to more channels, depthwise convolution, squeeze-and-excitation, 1×1 back without activation; plus x."""

    def __init__(
        self, *, channels: int, width: int, kernel_size: int, stride: int, expand_ratio: int, drop: float = 0.0
    ) -> None:
        super().__init__()
        inner = round_width(channels, expand_ratio)
        if inner != channels:
            self.expand: nn.Module | None = normalised(channels, inner, 1, activate=True)
        else:
            self.expand = None
        self.depthwise = normalised(inner, inner, kernel_size, stride=stride, groups=inner, activate=True)
        self.squeeze_excite = SqueezeExcite(inner, max(1, channels // 4))
        self.project = normalised(inner, width, 1, activate=False)
        self.skip = stride == 1 and channels == width
        self.stochastic_depth = StochasticDepth(drop if self.skip else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, width, H / stride, W / stride)."""
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.squeeze_excite(self.depthwise(y)))
        if self.skip:
            y = self.stochastic_depth(y) + x
        return y  # type: ignore[no-any-return]
